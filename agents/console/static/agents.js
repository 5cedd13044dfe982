// The agents' health: one mark per agent in the header, the table behind it.
import { $, h } from "./dom.js";
import { ago, plural } from "./format.js";
import { sheet } from "./dialogs.js";

const agents = new Map();
const KIND = { up: "good", silent: "bad", absent: "quiet" };

export function setAgents(rows) {
  agents.clear();
  for (const a of rows) agents.set(a.name, a);
  draw();
}

export function patchAgent(agent) {
  const old = agents.get(agent.name);
  agents.set(agent.name, agent);
  if (!old || old.state !== agent.state) draw();
}

export const gatewaysUp = () => {
  const all = [...agents.values()].filter((a) => a.role === "reaction");
  return [all.filter((a) => a.state === "up").length, all.length];
};

function draw() {
  const nodes = new Map();
  for (const a of agents.values()) nodes.set(a.node, [...(nodes.get(a.node) ?? []), a]);
  const down = [...agents.values()].filter((a) => a.state !== "up").length;
  $("#agents").replaceChildren(
    ...[...nodes].map(([node, list]) => h("span", { class: list.every((a) => a.state === "up") ? "node" : "node off" },
      h("span", { class: "name" }, node),
      list.map((a) => h("i", { class: `dot ${KIND[a.state]}`, title: `${a.role}: ${a.state}`, "aria-hidden": "true" })))),
    h("span", { class: "vh" }, `Agents: ${agents.size - down} up, ${down} not up. Show them.`),
  );
}

export function agentsDialog() {
  const rows = [...agents.values()];
  const counters = (a) => Object.entries(a.health).filter(([, v]) => v !== "0").map(([k, v]) => h("span", { class: "count" }, `${k} `, h("b", null, v)));
  sheet(plural(rows.length, "agent"), h("div", { class: "scroll", tabindex: "0" }, h("table", null,
    h("thead", null, h("tr", null, ["Node", "Agent", "State", "Since", "Heard", "Ontology", "Counters"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", null, rows.map((a) => h("tr", null, h("td", null, a.node), h("td", { title: a.name }, a.role),
      h("td", null, h("span", { class: `badge ${KIND[a.state]}` }, a.state)),
      h("td", null, a.since_us ? ago(a.since_us) : "–"), h("td", null, a.renewed_us ? ago(a.renewed_us) : "–"),
      h("td", null, a.ontology_version || "–"), h("td", { class: "counts" }, counters(a))))))));
}
