// The bar above: which honeynet, who is logged in, whether the picture is live, the agents' health.
import { $, h, setText } from "./dom.js";
import { get } from "./api.js";
import { plural, told } from "./format.js";
import { store } from "./store.js";

const KIND = { up: "good", degraded: "warn", silent: "bad", absent: "quiet" };
const LINES = 3; // conditions named above the page; the list of agents has all
const WORDS = { connecting: "connecting", live: "live", down: "not connected", stale: "no news", alone: "no supervisor" };
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

export class HeaderView {
  mount() {
    const { me } = store;
    $("#honeynet").textContent = me.honeynet;
    $("#who").textContent = me.user === me.role ? me.user : `${me.user} · ${me.role}`;
    $("#dry").hidden = !me.dry_run;
    document.title = `${me.honeynet} · OntoIDPS`;
  }

  update(topics) {
    if (topics.has("agents")) this.agents();
    if (topics.has("link") || topics.has("tick")) this.link();
  }

  unmount() {}

  agents() {
    const nodes = new Map();
    for (const a of store.agents.values()) nodes.set(a.node, [...(nodes.get(a.node) ?? []), a]);
    const down = [...store.agents.values()].filter((a) => a.state !== "up").length;
    this.conditions();
    $("#agents").replaceChildren(
      ...[...nodes].map(([node, list]) => h("span", { class: list.every((a) => a.state === "up") ? "node" : "node off" },
        h("span", { class: "name" }, node),
        list.map((a) => h("i", { class: `dot ${KIND[a.state]}`, title: `${a.role}: ${a.state}`, "aria-hidden": "true" })))),
      h("span", { class: "vh" }, `Agents: ${store.agents.size - down} up, ${down} not up. Show them.`));
  }

  conditions() {
    const held = [...store.agents.values()].filter((a) => a.state !== "silent")
      .flatMap((a) => a.conditions.map((c) => ({ agent: `${a.node} ${a.role}`, ...c })))
      .sort((x, y) => (x.level < y.level ? -1 : Number(x.level > y.level)) || x.since_us - y.since_us);
    const more = held.length - LINES;
    $("#conditions").hidden = !held.length;
    $("#conditions").replaceChildren(...held.slice(0, LINES).map((c) => h("li", { class: c.level === "degraded" ? "bad" : "warn" }, h("b", null, c.agent), ` ${told(c)}`)),
      ...(more > 0 ? [h("li", { class: "muted" }, `and ${plural(more, "more condition")}: see the agents`)] : []));
  }

  link() {
    const state = store.state;
    setText($("#link"), WORDS[state]);
    $("#link").className = `link ${state === "alone" || state === "stale" ? "late" : state}`;
    const stale = $("#stale");
    stale.hidden = state === "live" || state === "connecting";
    if (!stale.hidden) {
      const who = state === "alone" ? "supervisor" : "console";
      const since = state !== "alone" ? store.linkSince : store.heardUs / 1000;
      setText(stale, `The ${who} has not been heard ${since ? `since ${clock.format(since)}` : "yet"}. What you see may be out of date; `
        + "the gateways go on blocking until each block's own end. Trying again…");
    }
    // A closed session looks like a lost stream: this call tells the two apart, and leads to the login.
    // At each failure: after a restart the console first is away, and then knows no session.
    if (state === "down" && !this.asking) {
      this.asking = true;
      get("me").catch(() => {}).finally(() => { this.asking = false; });
    }
  }
}
