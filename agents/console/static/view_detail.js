// The explanation of one block: who, where, why, how long, and everything that was done about it.
import { h, setText } from "./dom.js";
import { get } from "./api.js";
import { at, ago, firstLine, gravity, iso, lastLine, left, nowUs, plural, span, who, words } from "./format.js";
import { chip, gatewayKind, lasts, stateAt, stateOf, waits } from "./block_columns.js";
import { store } from "./store.js";
import { alertItem } from "./view_alert.js";

const KEYS = [["j k", "next, previous block"], ["l", "lift"], ["e s", "extend, shorten"], ["a v", "approve, veto"], ["b", "block an address"], ["/", "filter"], ["?", "all keys"]];

const time = (us) => h("time", { datetime: iso(us), title: iso(us) }, at(us));
const part = (title, ...body) => h("section", null, h("h3", null, title), body);
const pairs = (...rows) => h("dl", { class: "pairs" }, rows.filter(Boolean).map(([k, ...v]) => [h("dt", null, k), h("dd", null, v)]));

export class DetailView {
  // actions: close(), lift(block), extend(block), shorten(block), approve(block), veto(block)
  constructor(actions) {
    this.actions = actions;
  }

  mount(host) {
    this.host = host;
    this.shown = null; // id
    this.block = null; // as it was when it was read
    this.counter = null;
    this.asked = 0; // the newest question wins
    this.clear();
  }

  update(topics, route) {
    if (route && route.id !== this.shown) this.open(route.id);
    else if (this.shown && (topics.has("agents") || (topics.has("blocks") && store.blocks.get(this.shown) !== this.block))) this.read(false);
    if (this.counter) setText(this.counter.element, left(Math.max(0, this.counter.until - nowUs())));
  }

  unmount() {
    this.asked += 1;
  }

  open(id) {
    this.shown = id;
    if (id) this.read(true);
    else this.clear();
  }

  clear() {
    this.asked += 1;
    this.counter = null;
    this.host.classList.remove("open");
    this.host.replaceChildren(h("div", { class: "blank" }, h("p", null, "Select a block to see who it stops, where, why and for how long."),
      h("dl", { class: "keys" }, KEYS.map(([k, what]) => [h("dt", null, k.split(" ").map((c) => h("kbd", null, c))), h("dd", null, what)]))));
  }

  async read(fresh) {
    const mine = ++this.asked;
    this.block = store.blocks.get(this.shown);
    let detail;
    try {
      detail = await get(`blocks/${encodeURIComponent(this.shown)}?said=true`);
    } catch (error) {
      if (mine === this.asked) this.host.replaceChildren(h("p", { class: "blank" }, error.message));
      return;
    }
    if (mine !== this.asked) return;
    const scroll = fresh ? 0 : this.host.scrollTop;
    const opened = new Set([...this.host.querySelectorAll("details[open]")].map((d) => d.dataset.key));
    const rest = h("b", { class: "mono" });
    this.counter = lasts(detail.block) ? { element: rest, until: detail.block.expires_us } : null;
    if (this.counter) setText(rest, left(Math.max(0, this.counter.until - nowUs())));
    this.host.replaceChildren(...build(detail, this.actions, rest));
    if (!fresh) for (const d of this.host.querySelectorAll("details")) d.open = opened.has(d.dataset.key);
    this.host.scrollTop = scroll;
    this.host.classList.add("open");
  }
}

function build({ block: b, decisions, incidents, alerts, audit }, actions, rest) {
  const [kind, text] = stateOf(b);
  const active = b.state === "active";
  return [
    h("header", null,
      h("button", { type: "button", class: "icon close", "aria-label": "Close", onclick: actions.close }, "✕"),
      h("p", { class: `class ${gravity(b.classification)}` }, words(b.classification)),
      h("h2", { class: "mono" }, b.source), h("span", { class: `badge ${kind}` }, text),
      waits(b) && store.operator && h("p", { class: "acts" },
        h("button", { type: "button", class: "primary", onclick: () => actions.approve(b) }, "Approve", h("kbd", null, "a")),
        h("button", { type: "button", onclick: () => actions.veto(b) }, "Veto", h("kbd", null, "v"))),
      active && store.operator && h("p", { class: "acts" },
        h("button", { type: "button", class: "danger", onclick: () => actions.lift(b) }, "Lift block", h("kbd", null, "l")),
        h("button", { type: "button", onclick: () => actions.extend(b) }, "Extend", h("kbd", null, "e")),
        h("button", { type: "button", onclick: () => actions.shorten(b) }, "Shorten", h("kbd", null, "s")))),
    part("Who", pairs(
      ["Source", h("span", { class: "mono" }, b.source)],
      b.target && ["Attacked", h("span", { class: "mono" }, b.target)],
      ["Decided by", h("span", { title: b.origin }, who(b.origin)), " · ", h("span", { class: "muted" }, lastLine(b.reason))])),
    part("How long", pairs(
      lasts(b) ? [active ? "Time left" : b.state === "waiting" ? "Waits for another" : "Would be blocked for another", rest] : ["Ended", time(b.ended_us), ` · ${b.ended_by === "time" ? "its time was over" : `by ${who(b.ended_by)}`}`],
      ["From – to", time(b.since_us), " – ", time(b.expires_us), h("span", { class: "muted" }, ` · ${span(b.expires_us - b.since_us)}`)],
      decisions.length > 1 && ["Decisions", h("ol", { class: "plain" }, decisions.map((d) => h("li", null,
        time(d.received_us), ` ${d.outcome} by ${who(d.decision.origin)}`, h("span", { class: "muted" }, d.decision.reason ? ` · ${firstLine(d.decision.reason)}` : ""))))])),
    part("Where", h("ul", { class: "where" }, b.gateways.map((g) => gateway(b, g)))),
    part("Why", why(b, incidents, alerts)),
    audit.length ? part("Record", h("ol", { class: "plain" }, audit.map((a) => h("li", null, time(a.at_us), " ", h("b", null, a.what),
      ` · ${who(a.who)}`, a.reason ? h("span", { class: "muted", title: a.reason }, ` · ${firstLine(a.reason)}`) : null)))) : null,
  ].filter(Boolean);
}

const IS = { unknown: "not known", pending: "the order is on its way", active: "blocked", refused: "refused", failed: "failed", lifted: "not blocked", expired: "not blocked, its time was over", waiting: "waits for approval", shadow: "not blocked, it would be" };

function gateway(b, g) {
  const wanted = g.confirmed ? null : `, should be ${g.wanted === "block" ? "blocked" : "free again"}`;
  const until = g.state === "active" && g.expires_us ? ` until ${at(g.expires_us)}` : "";
  return h("li", { class: gatewayKind(b, g) }, chip(b, g),
    h("span", null, h("b", null, IS[stateAt(g)] ?? g.state), stateAt(g) === "unknown" ? `, it said blocked, but ${store.doubt(g.gateway)}` : "", until, g.state === "active" && g.wanted === "block" ? null : wanted, g.wanted === "block" && g.state === "active" && !g.confirmed ? " (new end not yet confirmed)" : null, h("span", { class: "muted" }, ` · ${ago(g.since_us)}`),
      g.detail ? h("span", { class: "muted" }, ` · ${g.detail}`) : null));
}

function why(b, incidents, alerts) {
  if (!incidents.length) {
    const text = b.classification === "Manual" ? "Blocked by hand; no rule fired." : "The evidence is no longer kept.";
    return [h("p", null, text), alerts.map((a) => alertItem(a))];
  }
  // The incident that the block was made for comes first, whatever else its source has done.
  const first = (i) => Number(i.id !== b.incident);
  return [...incidents].sort((x, y) => first(x) - first(y)).map((i) => {
    const mine = alerts.filter((a) => i.alerts.includes(a.id));
    const [meaning, ...facts] = i.explanation.split("\n").map((l) => l.trim()).filter(Boolean);
    return h("article", { class: "why" },
      pairs(["Rule", h("b", null, i.rule)], ["Severity", meter(i.severity)],
        ["Source", i.verified_source ? "verified: it completed a TCP handshake" : "could be forged"]),
      h("p", null, (meaning ?? "").replace(`Rule ${i.rule}: `, "")),
      facts.length ? h("ul", { class: "facts" }, facts.map((f) => h("li", null, f))) : null,
      h("h4", null, plural(i.alerts.length, "alert")), mine.map((a) => alertItem(a)),
      mine.length < i.alerts.length ? h("p", { class: "muted" }, `${i.alerts.length - mine.length} more are not shown.`) : null,
      h("p", null, h("a", { class: "capture", href: `/api/v1/ontology/incidents/${encodeURIComponent(i.id)}`, download: true }, "Download for Protégé (OWL: alerts, ontology, rules)")));
  });
}

const meter = (value) => [h("meter", { min: "0", max: "1", low: "0.4", high: "0.7", optimum: "0", value: String(value), "aria-hidden": "true" }), ` ${value.toFixed(2)}`];
