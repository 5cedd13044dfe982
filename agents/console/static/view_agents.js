// The agents: state, lease and counters of each that the honeynet file names.
import { h } from "./dom.js";
import { ago, at, told } from "./format.js";
import { store } from "./store.js";

const KIND = { up: "good", degraded: "warn", silent: "bad", absent: "quiet" };
const TITLES = ["Node", "Agent", "State", "Since", "Heard", "Ontology", "Counters"];

const counters = (a) => Object.entries(a.health).filter(([, v]) => v !== "0").map(([k, v]) => h("span", { class: "count" }, `${k} `, h("b", null, v)));
const conditions = (a) => (a.conditions.length ? h("ul", { class: "conditions" },
  a.conditions.map((c) => h("li", { class: c.level === "degraded" ? "bad" : "warn" }, told(c), h("small", null, ` since ${at(c.since_us)}`)))) : null);
const row = (a) => h("tr", null, h("td", null, a.node), h("td", { title: a.name }, a.role),
  h("td", { class: "how" }, h("span", { class: `badge ${KIND[a.state]}` }, a.state), conditions(a)),
  h("td", null, a.since_us ? ago(a.since_us) : "–"), h("td", null, a.renewed_us ? ago(a.renewed_us) : "–"),
  h("td", null, a.ontology_version || "–"), h("td", { class: "counts" }, counters(a)));

export class AgentsView {
  title = "Agents";

  mount(host) {
    this.body = h("tbody");
    host.append(h("div", { class: "scroll", tabindex: "0" }, h("table", null,
      h("thead", null, h("tr", null, TITLES.map((t) => h("th", { scope: "col" }, t)))), this.body)));
  }

  update(topics) {
    if (topics.has("agents")) this.body.replaceChildren(...[...store.agents.values()].map(row));
  }

  unmount() {}
}
