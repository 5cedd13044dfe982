// The columns of the block table: who, why, where, how long.
import { h, setText } from "./dom.js";
import { store } from "./store.js";
import { at, ago, gist, gravity, iso, left, nowUs, who, words } from "./format.js";

const CHIPS = 4;
const SIGN = { active: "✓", pending: "…", refused: "✕", failed: "✕", lifted: "○", expired: "○", unknown: "?", waiting: "⏸", shadow: "◌" };
const GRACE_US = 30e6;

// Has not ended: in force, or held back by a mode (agents/settings/modes.py).
export const lasts = (b) => b.state === "active" || b.state === "waiting" || b.state === "shadow";

// A gateway waits for a person.
export const waits = (b) => lasts(b) && b.gateways.some((g) => g.state === "waiting");

// An ended block stays among the active ones until every gateway has confirmed its end.
export const isCurrent = (b) => lasts(b) || (!b.settled && nowUs() - b.ended_us < GRACE_US);

// As it is known now: who said "active" and is not heard any more, or can't look, may not drop.
export const stateAt = (g) => (g.state === "active" && store.doubt(g.gateway) ? "unknown" : g.state);

export function stateOf(b) {
  const open = b.gateways.filter((g) => !g.confirmed);
  const unknown = b.gateways.filter((g) => stateAt(g) === "unknown").length;
  if (b.state === "waiting") return ["warn", "waits for approval"];
  if (b.state === "shadow") return ["quiet", "would be blocked"];
  if (b.state === "active") {
    if (unknown && unknown === b.gateways.length) return ["warn", "not known"];
    if (open.length && b.gateways.every((g) => g.state === "failed" || g.state === "refused")) return ["bad", "nowhere"];
    if (open.some((g) => g.state === "failed" || g.state === "refused")) return ["bad", "not everywhere"];
    if (unknown) return ["warn", "in doubt"];
    return open.length ? ["warn", "spreading"] : ["good", "blocked"];
  }
  const still = open.some((g) => g.state === "active" || g.state === "unknown");
  if (b.state === "lifted") return still ? ["warn", "lifting"] : ["quiet", "lifted"];
  return still ? ["warn", "expiring"] : ["quiet", "expired"];
}

export function gatewayKind(b, g) {
  if (stateAt(g) === "unknown") return "warn";
  if (g.state === "waiting" || g.state === "shadow") return g.state === "waiting" ? "warn" : "quiet";
  if (g.state === "failed" || g.state === "refused") return b.state === "active" ? "bad" : "quiet";
  if (g.state === "active") return g.confirmed ? "good" : "warn";
  if (g.state === "pending") return b.state === "active" ? "warn" : "quiet";
  return b.state === "active" ? "bad" : "quiet";
}

export function chip(b, g) {
  const late = g.wanted === "block" && g.state === "active" && !g.confirmed ? ", its new end is not yet confirmed" : "";
  const state = stateAt(g);
  const is = state === "unknown" ? `said active, but ${store.doubt(g.gateway) || "that may not hold any more"}` : `is ${state}`;
  const title = `${g.gateway}: wanted ${g.wanted === "block" ? "blocked" : "not blocked"}, ${is}${late}${g.detail ? ` (${g.detail})` : ""}`;
  return h("span", { class: `chip ${gatewayKind(b, g)}`, title },
    h("span", { "aria-hidden": "true" }, SIGN[state] ?? "?"), ` ${g.gateway}`, h("span", { class: "vh" }, ` ${state}`));
}

function chips(b) {
  const sorted = [...b.gateways].sort((x, y) => Number(x.confirmed) - Number(y.confirmed));
  const shown = sorted.length > CHIPS ? sorted.slice(0, CHIPS - 1) : b.gateways;
  const more = sorted.length - shown.length;
  const hidden = sorted.slice(shown.length).filter((g) => g.confirmed).length;
  return [...shown.map((g) => chip(b, g)), more ? h("span", { class: "chip quiet" }, `+${more} (${hidden} ✓)`) : null].filter(Boolean);
}

function fillLeft(cell, b) {
  const [text, bar] = cell.firstChild.children;
  const rest = lasts(b) ? Math.max(0, b.expires_us - nowUs()) : 0;
  setText(text, lasts(b) ? left(rest) : "–");
  bar.value = rest / Math.max(1, b.expires_us - b.since_us);
  bar.hidden = !lasts(b);
}

export const columns = [
  {
    title: "Source", name: "c-source",
    make: () => [h("b", { class: "mono" }), h("small", { class: "mono" })].reduce((box, e) => (box.append(e), box), h("div")),
    fill: (cell, b) => {
      const [source, target] = cell.firstChild.children;
      setText(source, b.source);
      setText(target, b.target ? `→ ${b.target}` : "");
    },
  },
  {
    title: "Why", name: "c-why",
    make: () => h("div", null, h("b", { class: "class" }), h("small")),
    fill: (cell, b) => {
      const [kind, reason] = cell.firstChild.children;
      setText(kind, words(b.classification));
      kind.className = `class ${gravity(b.classification)}`;
      setText(reason, gist(b.reason, b.classification));
      reason.title = b.reason;
    },
  },
  { title: "Where", name: "c-where", fill: (cell, b) => cell.replaceChildren(...chips(b)) },
  {
    title: "Since", name: "c-since", live: true,
    make: () => h("div", null, h("time"), h("small")),
    fill: (cell, b) => {
      const [time, by] = cell.firstChild.children;
      time.dateTime = iso(b.since_us);
      time.title = `${at(b.since_us)}, by ${b.origin}`;
      setText(time, ago(b.since_us));
      setText(by, `by ${who(b.origin).split(".")[0]}`);
    },
  },
  {
    title: "Time left", name: "c-left", live: true,
    make: () => h("div", null, h("span", { class: "mono" }), h("progress", { max: "1", "aria-hidden": "true" })),
    fill: fillLeft,
  },
  {
    title: "State", name: "c-state", live: true,
    make: () => h("span"),
    fill: (cell, b) => {
      const [kind, text] = stateOf(b);
      cell.firstChild.className = `badge ${kind}`;
      setText(cell.firstChild, text);
    },
  },
  {
    title: "", name: "c-act",
    make: () => h("button", { type: "button", class: "small", tabindex: "-1", data: { action: "lift" } }, "Lift"),
    fill: (cell, b) => {
      const act = b.state === "waiting" ? "Approve" : "Lift";
      cell.firstChild.hidden = !(b.state === "active" || b.state === "waiting") || !store.operator;
      cell.firstChild.dataset.action = act.toLowerCase();
      setText(cell.firstChild, act);
      cell.firstChild.setAttribute("aria-label", `${act} the block of ${b.source}`);
    },
  },
];

export const newestFirst = (x, y) => y.since_us - x.since_us || (x.id < y.id ? -1 : 1);

export function matcher(text) {
  const parts = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!parts.length) return () => true;
  return (b) => {
    const hay = [b.source, b.target ?? "", b.classification, words(b.classification), b.reason, b.origin, stateOf(b)[1],
      ...b.gateways.flatMap((g) => [g.gateway, g.state])].join(" ").toLowerCase();
    return parts.every((part) => hay.includes(part));
  };
}
