// The analyzers' clusters: what they are called, and calling one otherwise.
import { h, toast } from "./dom.js";
import { post } from "./api.js";
import { gravity, plural, words } from "./format.js";
import { ask, field, reason } from "./dialogs.js";
import { store } from "./store.js";

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
    store.operator && h("td", null, h("button", { type: "button", class: "small", "aria-label": `Rename cluster ${c.number}`, onclick: () => renameDialog(c) }, "Rename")));
}

export class ClustersView {
  title = "Clusters";

  mount(host) {
    const titles = ["No.", "Name", "Class", "Purity", "Radius", "Members", "Cases", ...(store.operator ? [""] : [])];
    this.body = h("tbody");
    host.append(
      h("p", { class: "muted" }, "What K-Means found in the training traffic. Alerts name the cluster that most of their connections fall into. ",
        "Clusters of the alert’s family raise its confidence, clusters of normal traffic lower it. Radius is in scaled features."),
      h("div", { class: "scroll", tabindex: "0" }, h("table", { class: "clusters" },
        h("thead", null, h("tr", null, titles.map((t) => h("th", { scope: "col", class: /No|Purity|Radius|Members|Cases/.test(t) ? "num" : null }, t)))), this.body)));
  }

  update(topics) {
    if (!topics.has("clusters")) return;
    const rows = [...store.clusters.values()].sort((x, y) => x.number - y.number);
    this.body.replaceChildren(...(rows.length ? rows.map(row)
      : [h("tr", null, h("td", { colspan: 8, class: "muted" }, "The ontology agent has not announced them yet."))]));
  }

  unmount() {}
}

function renameDialog(c) {
  ask(`Rename cluster ${c.number}`, [
    h("p", null, "Analyzers use name and class from the next alert on. The file in the ontology agent’s folder is changed, as by Protégé."),
    field("Name", h("input", { name: "name", required: true, maxlength: "80", autocomplete: "off", value: c.name })),
    field("Class", h("select", { name: "class" }, store.classes.map((name) =>
      h("option", { value: name, selected: name === c.traffic_class }, name))),
      `${plural(c.members, "connection")} in training, ${Math.round(c.purity * 100)} % of one class.`),
    reason("own backup, our scanner…"),
  ], {
    submit: "Rename",
    send: async (data) => {
      const now = await post(`clusters/${c.number}`, { name: data.get("name").trim(), traffic_class: data.get("class"), reason: data.get("reason") });
      store.apply({ clusters: [now] });
      toast(`Cluster ${c.number} is called ${now.name}`);
    },
  });
}
