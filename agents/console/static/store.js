// The one store: everything that the page shows, fed by the lists (a snapshot) and the event stream
// (changes). Views read it and are told which topics changed; nobody else keeps a copy.
import { get, getList, setCsrf } from "./api.js";
import { at, nowUs, setClock } from "./format.js";

const LIST = 5000;
const HISTORY = 1000;
const FEED = 200;
const HEARD_US = 14e6; // the supervisor answers the console every 5 s

// Conditions of a gateway (agents/base/conditions.py) under which nobody knows what its kernel drops.
const UNSURE = new Set(["firewall", "packet-path"]);

const keyOf = { blocks: (b) => b.id, agents: (a) => a.name, incidents: (i) => i.incident.id, alerts: (a) => a.alert.id, clusters: (c) => c.number };

class Store {
  constructor() {
    this.me = null;
    for (const topic of Object.keys(keyOf)) this[topic] = new Map();
    this.classes = [];
    this.doubts = new Map(); // gateway: why its last word may not hold any more
    this.hidden = { active: 0, ended: 0 }; // blocks that the console has and that were not read
    this.link = "connecting"; // to the console: live, down or stale
    this.heardUs = 0; // when the console last heard of the supervisor
    this.linkSince = Date.now();
    this.listeners = new Set();
  }

  // listener(topic); topics are the maps' names, "link" and "tick". Returns how to stop it.
  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  changed(...topics) {
    for (const listener of this.listeners) for (const topic of topics) listener(topic);
  }

  async start() {
    this.me = await get("me");
    setCsrf(this.me.csrf);
    setClock(this.me.now_us);
    this.heardUs = this.me.heard_us;
  }

  get operator() {
    return this.me.role === "operator";
  }

  async read() {
    const [active, waiting, shadow, past, agents, incidents, alerts, found] = await Promise.all([getList(`blocks?state=active&said=true&limit=${LIST}`),
      getList(`blocks?state=waiting&said=true&limit=${HISTORY}`), getList(`blocks?state=shadow&said=true&limit=${HISTORY}`),
      getList(`blocks?state=ended&said=true&limit=${HISTORY}`), get("agents"), get(`incidents?limit=${FEED}`), get(`alerts?limit=${FEED}`), get("clusters")]);
    this.classes = found.classes;
    this.hidden = { active: active.total - active.body.length, ended: past.total - past.body.length };
    const lists = { blocks: [...past.body, ...shadow.body, ...waiting.body, ...active.body], agents, incidents, alerts, clusters: found.clusters };
    for (const [topic, rows] of Object.entries(lists)) {
      this[topic].clear();
      for (const row of rows) this[topic].set(keyOf[topic](row), row);
    }
    this.judge();
    this.changed(...Object.keys(lists));
  }

  // { topic: [changed rows] }, as the stream brings them: while there are changes, no tick says
  // that the supervisor is there.
  stream(change) {
    this.heardUs = nowUs();
    this.apply(change);
  }

  // The same, as the answer to an action brings it.
  apply(change) {
    for (const [topic, rows] of Object.entries(change)) {
      if (!(topic in keyOf)) continue;
      for (const row of rows) this[topic].set(keyOf[topic](row), row);
      this.bound(topic);
      if (topic === "agents") this.judge();
      this.changed(topic);
    }
  }

  bound(topic) {
    const rows = this[topic];
    if (topic === "incidents" || topic === "alerts") {
      if (rows.size <= 2 * FEED) return;
      const received = [...rows].sort((x, y) => y[1].received_us - x[1].received_us);
      for (const [key] of received.slice(FEED)) rows.delete(key);
    } else if (topic === "blocks" && rows.size > LIST + 2 * HISTORY) {
      const ended = [...rows.values()].filter((b) => b.ended_us).sort((x, y) => y.ended_us - x.ended_us);
      for (const b of ended.slice(HISTORY)) rows.delete(b.id);
    }
  }

  // Why what a gateway said last may not hold any more; empty if it does.
  doubt(gateway) {
    return this.doubts.get(gateway) ?? "";
  }

  judge() {
    this.doubts.clear();
    for (const a of this.agents.values()) {
      if (a.role !== "reaction") continue;
      const unsure = a.conditions.find((c) => UNSURE.has(c.name))?.reason;
      const silent = a.state === "silent" && `it has not been heard since ${at(a.renewed_us)}`;
      const why = a.state === "absent" ? "it has not been heard since the supervisor started" : silent || unsure;
      if (why) this.doubts.set(a.node, why);
    }
  }

  setTime({ now_us: now, heard_us: heard }) {
    setClock(now);
    this.heardUs = heard;
    this.changed("link");
  }

  setLink(state) {
    if (state === this.link) return;
    if (this.link === "live" || this.link === "connecting") this.linkSince = Date.now();
    this.link = state;
    this.changed("link");
  }

  // "live", or why what is shown may be out of date.
  get state() {
    if (this.link !== "live") return this.link;
    return nowUs() - this.heardUs > HEARD_US ? "alone" : "live";
  }
}

export const store = new Store();
