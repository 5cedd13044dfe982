// Recent incidents and alerts, newest first.
import { $, h } from "./dom.js";
import { at, gravity, iso, plural, words } from "./format.js";
import { Router } from "./router.js";
import { store } from "./store.js";

const MOST = 200;
const TOPICS = ["incidents", "alerts"];

const stamp = (us) => h("time", { datetime: iso(us), class: "mono" }, at(us));

function incidentLine({ incident: i }) {
  const targets = i.targets.length > 2 ? plural(i.targets.length, "host") : i.targets.join(", ");
  return h("li", { title: i.explanation }, stamp(i.end_us), h("span", { class: `class ${gravity(i.classification)}` }, words(i.classification)),
    h("span", { class: "mono" }, `${i.source ?? "many"} → ${targets || "–"}`), h("span", { class: "muted" }, `rule ${i.rule} · ${plural(i.alerts.length, "alert")}`));
}

function alertLine({ alert: a }) {
  const target = a.target ?? plural(a.target_count, "host");
  return h("li", { title: a.explanation }, stamp(a.end_us), h("a", { class: `class ${gravity(a.classification)}`, href: Router.path({ name: "alert", id: a.id }) }, words(a.classification)),
    h("span", { class: "mono" }, `${a.source ?? plural(a.source_count, "source")} → ${target}`), h("span", { class: "muted" }, a.explanation));
}

const LINES = { incidents: incidentLine, alerts: alertLine };

export class FeedView {
  mount(host) {
    this.host = host;
    this.topic = TOPICS[0];
    this.stop = new AbortController();
    for (const topic of TOPICS) {
      $(`#feed-${topic}`).addEventListener("click", () => {
        this.topic = topic;
        for (const other of TOPICS) $(`#feed-${other}`).setAttribute("aria-pressed", String(other === topic));
        this.draw();
      }, { signal: this.stop.signal });
    }
  }

  update(topics) {
    if (topics.has(this.topic)) this.draw();
  }

  unmount() {
    this.stop.abort();
  }

  draw() {
    const time = (r) => (r.incident ?? r.alert).end_us;
    const rows = [...store[this.topic].values()].sort((x, y) => time(y) - time(x)).slice(0, MOST);
    this.host.replaceChildren(...(rows.length ? rows.map(LINES[this.topic])
      : [h("li", { class: "empty" }, this.topic === "incidents" ? "No incident yet." : "No alert yet.")]));
  }
}
