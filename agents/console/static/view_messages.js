// The message monitor: what agents of the console's host say to each other, newest first.
import { h, setText, toast } from "./dom.js";
import { get } from "./api.js";
import { at, iso, plural } from "./format.js";

const PAGE = 100;
const MOST = 2000; // rows in the page
const ACTS = ["inform", "inform-ref", "request", "agree", "refuse", "failure", "subscribe", "query-ref", "query-if", "not-understood", "confirm", "cancel"];
const PROTOCOLS = ["fipa-request", "fipa-subscribe", "fipa-query"];
const RECORDS = ["Alert", "Answer", "AgentDescription", "Block", "ConnectionBatch", "Decision", "HostProfile", "Incident",
  "OntologyAction", "OntologyChanged", "Query", "Subscription", "TrafficCluster", "AgentStatus", "AuditLine", "Ban", "BanAction",
  "FeedPart", "Receipt", "Ruling", "unreadable"];
const short = (jid) => jid.split("@")[0];
const address = (m) => `${encodeURIComponent(m.keeper)}/${m.time_us}/${m.offset}`;
const carries = (records) => Object.entries(records).map(([name, n]) => (n > 1 ? `${n} ${name}` : name)).join(", ");

const choice = (name, label, options) => h("label", null, h("span", null, label),
  h("select", { name }, h("option", { value: "" }, "any"), options.map((o) => h("option", { value: o }, o))));
const text = (name, label) => h("label", null, h("span", null, label),
  h("input", { name, type: "search", maxlength: "256", autocomplete: "off", spellcheck: "false" }));
const tick = (name, label, title) => h("label", { class: "tick", title }, h("input", { name, type: "checkbox" }), h("span", null, label));

export class MessagesView {
  title = "Messages";

  mount(host) {
    monitor(host);
  }

  update() {}

  unmount() {}
}

function monitor(host) {
  const body = h("tbody");
  const list = h("div", { class: "scroll", tabindex: "0" }, h("table", { class: "messages" },
    h("thead", null, h("tr", null, ["Time", "From", "To", "Performative", "Carries", "Protocol"].map((t) => h("th", { scope: "col" }, t)))), body));
  const whole = h("div", { class: "scroll whole", tabindex: "0", "aria-live": "polite" }, h("p", { class: "muted" }, "Select a message to read it with its OWL fragment."));
  const said = h("span", { class: "muted", role: "status" });
  const older = h("button", { type: "button", hidden: true }, "Older");
  const fresh = h("button", { type: "button" }, "Newest");
  const fields = h("div", { class: "asked" },
    text("agent", "Agent"), choice("performative", "Performative", ACTS), choice("protocol", "Protocol", PROTOCOLS),
    choice("record", "Record", RECORDS), text("conversation", "Conversation"), text("text", "Fragment contains"),
    tick("refused", "refused only"), tick("sent", "as sent", "as the sender kept them, instead of the receiver"),
    tick("routine", "routine too", "also acknowledgements and registrations"));
  host.append(fields, h("div", { class: "monitor" }, list, whole), h("div", { class: "monitor-foot" }, fresh, older, said));
  let asked = 0; // the newest question wins
  let before = null;

  function question() {
    const wish = new URLSearchParams({ limit: PAGE });
    for (const input of fields.querySelectorAll("input, select")) {
      const value = input.type === "checkbox" ? input.checked && "true" : input.value.trim();
      if (value) wish.set(input.name, value);
    }
    return wish;
  }

  async function read(more) {
    const number = ++asked;
    const wish = question();
    if (more && before !== null) wish.set("before", before);
    older.disabled = true;
    try {
      const found = await get(`messages?${wish}`);
      if (number !== asked || !body.isConnected) return;
      if (!more) body.replaceChildren();
      body.append(...found.messages.map(row));
      before = found.before;
      older.hidden = before === null || body.children.length >= MOST;
      const n = body.children.length;
      setText(said, found.keepers.length ? `${plural(n, "message")}${before === null ? "" : ", older ones to be looked through"}`
        : "No agent of this host keeps messages (message_log_mib).");
    } catch (e) {
      toast(e.message, "bad");
    } finally {
      older.disabled = false;
    }
  }

  function row(m) {
    const line = h("tr", { tabindex: "0", "aria-selected": "false" },
      h("td", { class: "mono" }, h("time", { title: iso(m.time_us) }, at(m.time_us))),
      h("td", { title: m.sender }, short(m.sender)),
      h("td", { title: m.receivers.join(", ") }, m.receivers.map(short).join(", ")),
      h("td", null, h("b", null, m.performative), m.refused && [" ", h("span", { class: "chip bad", title: "not accepted" }, m.refused)]),
      h("td", null, carries(m.records)),
      h("td", { class: "muted", title: m.conversation_id }, m.protocol));
    const choose = () => open(line, m);
    line.addEventListener("click", choose);
    line.addEventListener("keydown", (e) => {
      const next = { ArrowDown: line.nextElementSibling, ArrowUp: line.previousElementSibling }[e.key];
      if (next) next.focus();
      else if (e.key === "Enter") choose();
      else return;
      e.preventDefault();
    });
    return line;
  }

  async function open(line, m) {
    for (const other of body.querySelectorAll("[aria-selected='true']")) other.setAttribute("aria-selected", "false");
    line.setAttribute("aria-selected", "true");
    try {
      const found = await get(`messages/${address(m)}`);
      if (line.getAttribute("aria-selected") !== "true") return;
      whole.replaceChildren(...[h("h3", null, `${short(m.sender)} → ${m.receivers.map(short).join(", ")}: ${m.performative}`),
        h("p", { class: "muted" }, `${iso(m.time_us)}, kept by ${short(m.keeper)} as ${m.way}, ${plural(m.size, "byte")}`),
        m.refused && h("p", { class: "alert" }, `Not accepted: ${m.refused}`),
        m.in_reply_to && h("p", { class: "muted" }, `in reply to ${m.in_reply_to}`),
        h("p", null, h("button", { type: "button", class: "small", onclick: () => conversation(m.conversation_id) }, "This conversation")),
        h("pre", null, found.fipa)].filter(Boolean));
      whole.scrollTop = 0;
    } catch (e) {
      whole.replaceChildren(h("p", { class: "alert", role: "alert" }, e.message));
    }
  }

  function conversation(id) {
    fields.querySelector("[name=conversation]").value = id;
    read(false);
  }

  let waiting = 0;
  const again = () => { clearTimeout(waiting); waiting = setTimeout(() => read(false), 250); };
  fields.addEventListener("input", again);
  fields.addEventListener("change", again);
  fields.addEventListener("keydown", (e) => { if (e.key === "Enter") e.preventDefault(); });
  fresh.addEventListener("click", () => read(false));
  older.addEventListener("click", () => read(true));
  read(false);
}
