// Recent incidents and alerts, newest first.
import { $, h } from "./dom.js";
import { at, gravity, iso, plural, words } from "./format.js";

const MOST = 200;
const lists = { incidents: new Map(), alerts: new Map() };
let topic = "incidents";
let asked = false;

export function setFeed(name, rows) {
  lists[name] = new Map(rows.map((r) => [(r.incident ?? r.alert).id, r]));
  draw();
}

export function patchFeed(name, row) {
  const list = lists[name];
  const id = (row.incident ?? row.alert).id;
  lists[name] = new Map([[id, row], ...[...list].filter(([key]) => key !== id)].slice(0, MOST));
  draw();
}

export const incidents = () => [...lists.incidents.values()];

function draw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    const time = (r) => (r.incident ?? r.alert).end_us;
    const rows = [...lists[topic].values()].sort((x, y) => time(y) - time(x));
    $("#feed").replaceChildren(...(rows.length ? rows.map(topic === "incidents" ? incidentLine : alertLine)
      : [h("li", { class: "empty" }, topic === "incidents" ? "No incident yet." : "No alert yet.")]));
  });
}

const stamp = (us) => h("time", { datetime: iso(us), class: "mono" }, at(us));

function incidentLine({ incident: i }) {
  const targets = i.targets.length > 2 ? plural(i.targets.length, "host") : i.targets.join(", ");
  return h("li", { title: i.explanation }, stamp(i.end_us), h("span", { class: `class ${gravity(i.classification)}` }, words(i.classification)),
    h("span", { class: "mono" }, `${i.source ?? "many"} → ${targets || "–"}`), h("span", { class: "muted" }, `rule ${i.rule} · ${plural(i.alerts.length, "alert")}`));
}

function alertLine({ alert: a }) {
  const target = a.target ?? plural(a.target_count, "host");
  return h("li", { title: a.explanation }, stamp(a.end_us), h("span", { class: `class ${gravity(a.classification)}` }, words(a.classification)),
    h("span", { class: "mono" }, `${a.source ?? plural(a.source_count, "source")} → ${target}`), h("span", { class: "muted" }, a.explanation));
}

export function bindFeed() {
  const buttons = { incidents: $("#feed-incidents"), alerts: $("#feed-alerts") };
  for (const [name, button] of Object.entries(buttons)) {
    button.addEventListener("click", () => {
      topic = name;
      for (const [other, b] of Object.entries(buttons)) b.setAttribute("aria-pressed", String(other === name));
      draw();
    });
  }
}
