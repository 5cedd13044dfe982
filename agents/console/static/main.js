// The console's page: puts the parts together.
import { $, h, say, setText } from "./dom.js";
import { get, post, setCsrf } from "./api.js";
import { nowUs, plural, setClock } from "./format.js";
import { bindTheme } from "./theme.js";
import { Table } from "./table.js";
import { columns, isCurrent, matcher, newestFirst } from "./blocks.js";
import { clearDetail, showDetail, shownId, tickDetail } from "./detail.js";
import { addDialog, extendDialog, helpDialog, liftDialog } from "./dialogs.js";
import { agentsDialog, gatewaysUp, patchAgent, setAgents } from "./agents.js";
import { bindClusters, clustersDialog, patchCluster } from "./clusters.js";
import { messagesDialog } from "./messages.js";
import { bindFeed, incidents, patchFeed, setFeed } from "./feed.js";
import { follow } from "./stream.js";

const LIST = 5000;
const HISTORY = 1000;
const me = await get("me");
setCsrf(me.csrf);
setClock(me.now_us);
const operator = me.role === "operator";
document.body.dataset.role = me.role;
$("#honeynet").textContent = me.honeynet;
$("#who").textContent = me.user === me.role ? me.user : `${me.user} · ${me.role}`;
$("#dry").hidden = !me.dry_run;
$("#add").hidden = !operator;
document.title = `${me.honeynet} · OntoIDPS`;
bindTheme($("#theme"));
bindFeed();
bindClusters(operator);
clearDetail();

let ended = false;
let text = "";
const actions = {
  lift: (b) => operator && b.state === "active" && liftDialog(b),
  extend: (b) => operator && b.state === "active" && extendDialog(b, me),
  add: () => operator && addDialog(me, (b) => { table.patch(b); table.select(b.id, { reveal: true }); }),
  close: () => { table.select(null); clearDetail(); },
};

const table = new Table($("#grid"), {
  columns, order: newestFirst, label: "Blocks", empty: "",
  onSelect: (id) => { if (id !== null) showDetail(id, actions); },
  onOpen: (action, id) => actions[action](table.rows.get(id)),
});

function refilter() {
  const match = matcher(text);
  table.filter((b) => (ended ? b.state !== "active" : isCurrent(b)) && match(b));
  setText(table.empty, text ? "No block matches the filter." : ended ? "No block has ended yet." : "Nobody is blocked.");
  requestAnimationFrame(figures);
}

function figures() {
  let active = 0;
  let open = 0;
  for (const b of table.rows.values()) {
    if (b.state !== "active") continue;
    active += 1;
    if (!b.settled) open += 1;
  }
  const [up, all] = gatewaysUp();
  const recent = incidents().filter((i) => i.received_us > nowUs() - 3600e6).length;
  const tiles = [["Active blocks", active, ""], ["Not yet everywhere", open, open ? "warn" : ""],
    ["Gateways up", `${up} / ${all}`, up < all ? "bad" : "good"], ["Incidents, last hour", recent, ""]];
  const host = $("#figures");
  if (!host.children.length) host.append(...tiles.map(([title]) => h("div", null, h("dt", null, title), h("dd"))));
  tiles.forEach(([, value, kind], i) => {
    const cell = host.children[i].lastChild;
    setText(cell, typeof value === "number" ? value.toLocaleString("en") : value);
    cell.className = kind;
  });
  const shown = table.view.length;
  const total = ended ? table.rows.size - active : active;
  setText($("#shown"), text ? `${shown.toLocaleString("en")} of ${total.toLocaleString("en")}` : "");
}

async function read() {
  const [active, past, agents, found, alerts] = await Promise.all([get(`blocks?state=active&limit=${LIST}`),
    get(`blocks?state=ended&limit=${HISTORY}`), get("agents"), get("incidents?limit=200"), get("alerts?limit=200")]);
  table.set([...past, ...active]);
  setAgents(agents);
  setFeed("incidents", found);
  setFeed("alerts", alerts);
  figures();
  if (shownId()) showDetail(shownId(), actions);
}

function apply(change) {
  for (const b of change.blocks ?? []) {
    table.patch(b);
    if (b.id === shownId()) showDetail(b.id, actions);
  }
  for (const a of change.agents ?? []) patchAgent(a);
  for (const c of change.clusters ?? []) patchCluster(c);
  for (const i of change.incidents ?? []) patchFeed("incidents", i);
  for (const a of change.alerts ?? []) patchFeed("alerts", a);
  if (change.blocks?.length) say(`${plural(change.blocks.length, "block")} changed`);
  requestAnimationFrame(figures);
}

const STATES = { live: "live", down: "not connected", stale: "no news" };
function connection(state) {
  setText($("#link"), STATES[state]);
  $("#link").className = `link ${state}`;
  const stale = $("#stale");
  if (state === "live") {
    stale.hidden = true;
  } else if (stale.hidden) {
    const since = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format(Date.now());
    stale.textContent = `The supervisor has not been heard since ${since}. What you see may be out of date; the gateways go on blocking until each block's own end. Trying again…`;
    stale.hidden = false;
  }
  // A closed session looks like a lost stream: this call tells the two apart, and leads to the login.
  // At each failure: after a restart the supervisor first is away, and then knows no session.
  if (state === "down") get("me").catch(() => {});
}

follow({ read, apply, time: setClock, state: connection });
setInterval(() => { table.touch(); tickDetail(); figures(); }, 1000);

function show(past) {
  ended = past;
  $("#show-active").setAttribute("aria-pressed", String(!past));
  $("#show-ended").setAttribute("aria-pressed", String(past));
  refilter();
}
$("#show-active").addEventListener("click", () => show(false));
$("#show-ended").addEventListener("click", () => show(true));
$("#filter").addEventListener("input", (e) => { text = e.target.value; refilter(); });
$("#add").addEventListener("click", actions.add);
$("#messages").addEventListener("click", messagesDialog);
$("#help").addEventListener("click", helpDialog);
$("#agents").addEventListener("click", agentsDialog);
$("#logout").addEventListener("click", async () => { await post("logout"); location.assign("/login"); });
refilter();

const keys = {
  j: () => table.move(1),
  k: () => table.move(-1),
  l: () => table.current && actions.lift(table.current),
  e: () => table.current && actions.extend(table.current),
  b: actions.add,
  h: () => show(!ended),
  c: () => clustersDialog(operator),
  m: messagesDialog,
  "/": () => $("#filter").focus(),
  "?": helpDialog,
};
document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog[open]")) return;
  if (e.target.matches("input, select, textarea")) {
    if (e.key === "Escape") e.target.blur();
    return;
  }
  if (e.key === "Escape" && table.selected) actions.close();
  if (!keys[e.key]) return;
  e.preventDefault();
  keys[e.key]();
});
