// The analyzers' clusters: what they are called, and calling one otherwise.
import { $, h, toast } from "./dom.js";
import { get, post } from "./api.js";
import { gravity, plural, words } from "./format.js";
import { ask, field, reason, sheet } from "./dialogs.js";

let clusters = new Map();
let classes = [];
let open = null; // the table of the open sheet, with the operator's right to rename

export async function readClusters() {
  const found = await get("clusters");
  clusters = new Map(found.clusters.map((c) => [c.number, c]));
  classes = found.classes;
  draw();
}

export function patchCluster(cluster) {
  clusters.set(cluster.number, cluster);
  draw();
}

const label = (c) => (c.traffic_class === "Normal" ? "Normal" : words(c.traffic_class));
const kind = (c) => (c.traffic_class === "Normal" ? "class own" : `class ${gravity(c.traffic_class)}`);

function row(c) {
  const share = `${Math.round(c.purity * 100)} %`;
  return h("tr", { data: { number: c.number } },
    h("td", { class: "num" }, c.number),
    h("td", { class: "wrap" }, c.given ? h("b", null, c.name) : h("span", { class: "muted" }, "not named")),
    h("td", { class: kind(c), title: c.traffic_class }, label(c)),
    h("td", { class: "num" }, h("meter", { min: 0, max: 1, value: c.purity, title: `purity ${share}` }), ` ${share}`),
    h("td", { class: "num" }, c.radius.toFixed(2)),
    h("td", { class: "num" }, c.members.toLocaleString("en")),
    h("td", { class: "num" }, c.cases.toLocaleString("en")),
    open.operator && h("td", null, h("button", { type: "button", class: "small", "aria-label": `Rename cluster ${c.number}`, onclick: () => renameDialog(c.number) }, "Rename")));
}

let asked = false;
function draw() {
  if (!open || asked) return;
  asked = true;
  requestAnimationFrame(drawNow);
}

function drawNow() {
  asked = false;
  if (!open) return;
  const rows = [...clusters.values()].sort((x, y) => x.number - y.number);
  open.body.replaceChildren(...(rows.length ? rows.map(row)
    : [h("tr", null, h("td", { colspan: 8, class: "muted" }, "The ontology agent has not told yet."))]));
}

export function clustersDialog(operator) {
  const titles = ["No.", "Name", "Class", "Purity", "Radius", "Members", "Cases", ...(operator ? [""] : [])];
  const body = h("tbody");
  const dialog = sheet("Clusters",
    h("p", { class: "muted" }, "What K-Means found in the training traffic. Alerts name the cluster that most of their connections fall into. ",
      "Clusters of the alert’s family raise its confidence, clusters of normal traffic lower it. Radius is in scaled features."),
    h("div", { class: "scroll", tabindex: "0" }, h("table", { class: "clusters" },
      h("thead", null, h("tr", null, titles.map((t) => h("th", { scope: "col", class: /No|Purity|Radius|Members|Cases/.test(t) ? "num" : null }, t)))), body)));
  open = { body, operator };
  dialog.addEventListener("close", () => { if (open?.body === body) open = null; });
  draw();
  readClusters().catch((e) => toast(e.message, "bad"));
}

function renameDialog(number) {
  const c = clusters.get(number);
  ask(`Rename cluster ${number}`, [
    h("p", null, "Analyzers use name and class from the next alert on. The file in the ontology agent’s folder is changed, as by Protégé."),
    field("Name", h("input", { name: "name", required: true, maxlength: "80", autocomplete: "off", value: c.name })),
    field("Class", h("select", { name: "class" }, classes.map((name) =>
      h("option", { value: name, selected: name === c.traffic_class }, name))),
      `${plural(c.members, "connection")} in training, ${Math.round(c.purity * 100)} % of one class.`),
    reason("own backup, our scanner…"),
  ], {
    submit: "Rename",
    send: async (data) => {
      const now = await post(`clusters/${number}`, { name: data.get("name").trim(), traffic_class: data.get("class"), reason: data.get("reason") });
      patchCluster(now);
      toast(`Cluster ${number} is called ${now.name}`);
    },
  });
}

export function bindClusters(operator) {
  $("#clusters").addEventListener("click", () => clustersDialog(operator));
}
