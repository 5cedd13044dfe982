// The blocks, active or ended, with the figures above them.
import { $, h, say, setText } from "./dom.js";
import { ago, nowUs, plural } from "./format.js";
import { columns, isCurrent, lasts, matcher, newestFirst, stateAt, waits } from "./block_columns.js";
import { store } from "./store.js";
import { Table } from "./table.js";

export class BlocksView {
  // router; actions: add(), undo(), lift(block), approve(block)
  constructor(router, actions) {
    Object.assign(this, { router, actions });
  }

  mount(host) {
    this.ended = false;
    this.text = "";
    this.stop = new AbortController();
    this.known = new Map();
    this.table = new Table(host, {
      rows: store.blocks, columns, order: newestFirst, label: "Blocks", empty: "",
      onSelect: (id) => this.router.go({ name: this.name, id }, { replace: true }),
      onOpen: (action, id) => this.actions[action](store.blocks.get(id)),
    });
    const listen = (id, type, listener) => $(id).addEventListener(type, listener, { signal: this.stop.signal });
    listen("#show-active", "click", () => this.router.go({ name: "blocks" }));
    listen("#show-ended", "click", () => this.router.go({ name: "ended" }));
    listen("#filter", "input", (e) => { this.text = e.target.value; this.refilter(); });
    listen("#add", "click", this.actions.add);
    listen("#undo", "click", this.actions.undo);
    $("#add").hidden = $("#undo").hidden = !store.operator;
  }

  update(topics, route) {
    if (topics.has("route") && route) this.follow(route);
    if (topics.has("blocks")) this.announce();
    if (topics.has("agents")) this.table.refill();
    if (topics.has("blocks") || topics.has("tick")) this.table.touch();
    this.figures();
  }

  unmount() {
    this.stop.abort();
    this.table.close();
  }

  get name() {
    return this.ended ? "ended" : "blocks";
  }

  get current() {
    return this.table.current;
  }

  move(step) {
    this.table.move(step);
  }

  toggle() {
    this.router.go({ name: this.ended ? "blocks" : "ended" });
  }

  follow({ name, id }) {
    this.ended = name === "ended";
    $("#show-active").setAttribute("aria-pressed", String(!this.ended));
    $("#show-ended").setAttribute("aria-pressed", String(this.ended));
    this.refilter();
    if (id !== this.table.selected) this.table.select(id, { reveal: true });
  }

  refilter() {
    const match = matcher(this.text);
    this.table.filter((b) => (this.ended ? !lasts(b) : isCurrent(b)) && match(b));
    setText(this.table.empty, this.text ? nobody(this.text) : this.ended ? "No block has ended yet." : "Nobody is blocked.");
  }

  // For who can't see the table change.
  announce() {
    let changed = 0;
    for (const [id, b] of store.blocks) if (this.known.get(id) !== b) changed += 1;
    if (this.known.size && changed) say(`${plural(changed, "block")} changed`);
    this.known = new Map(store.blocks);
  }

  figures() {
    let active = 0;
    let open = 0;
    let waiting = 0;
    let held = 0;
    for (const b of store.blocks.values()) {
      if (waits(b)) waiting += 1;
      if (lasts(b) && b.state !== "active") held += 1;
      if (b.state !== "active") continue;
      active += 1;
      if (!b.settled || (store.doubts.size && b.gateways.some((g) => stateAt(g) === "unknown"))) open += 1;
    }
    const gateways = [...store.agents.values()].filter((a) => a.role === "reaction");
    const up = gateways.filter((a) => (a.state === "up" || a.state === "degraded") && !store.doubt(a.node)).length;
    const recent = [...store.incidents.values()].filter((i) => i.received_us > nowUs() - 3600e6).length;
    const tiles = [["Active blocks", active, ""], ["Not known everywhere", open, open ? "warn" : ""], ["Waiting for approval", waiting, waiting ? "warn" : ""],
      ["Gateways up", `${up} / ${gateways.length}`, up < gateways.length ? "bad" : "good"], ["Incidents, last hour", recent, ""]];
    const host = $("#figures");
    if (!host.children.length) host.append(...tiles.map(([title]) => h("div", null, h("dt", null, title), h("dd"))));
    tiles.forEach(([, value, kind], i) => {
      const cell = host.children[i].lastChild;
      setText(cell, typeof value === "number" ? value.toLocaleString("en") : value);
      cell.className = kind;
    });
    const have = this.ended ? store.blocks.size - active - held : active + held;
    const total = have + (this.ended ? store.hidden.ended : store.hidden.active);
    const shown = this.text ? this.table.view.length : have;
    setText($("#shown"), this.text || shown < total ? `showing ${shown.toLocaleString("en")} of ${total.toLocaleString("en")}` : "");
  }
}

// An address that nobody is asked to block may still be blocked where nobody knows.
function nobody(text) {
  if (!/^[0-9a-f.:]*[.:][0-9a-f.:]*$/i.test(text.trim())) return "No block matches the filter.";
  const gateways = [...store.agents.values()].filter((a) => a.role === "reaction");
  const unsure = gateways.filter((a) => store.doubt(a.node)).map((a) => `${a.node}: ${store.doubt(a.node)}`);
  const sure = gateways.filter((a) => !store.doubt(a.node)).map((a) => `${a.node} (heard ${ago(a.renewed_us)})`);
  return [`No block of ${text.trim()} here.`, sure.length ? `Not blocked on ${sure.join(", ")}.` : "",
    unsure.length ? `Not known: ${unsure.join("; ")}.` : ""].filter(Boolean).join(" ");
}
