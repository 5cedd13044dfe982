// Dialogs: what is about to be done is spelled out, and every change needs a reason.
import { h, toast } from "./dom.js";
import { post } from "./api.js";
import { left, nowUs, plural, span } from "./format.js";

export function ask(title, body, { submit, kind = "primary", send }) {
  const error = h("p", { class: "alert", role: "alert", hidden: true });
  const go = h("button", { type: "submit", class: kind }, submit);
  const form = h("form", { method: "dialog" },
    h("h2", { id: "dialog-title" }, title), body, error,
    h("menu", null, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), go));
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    go.disabled = true;
    error.hidden = true;
    try {
      await send(new FormData(form));
      dialog.close();
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
      go.disabled = false;
    }
  });
  show(dialog);
}

function show(dialog) {
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (e) => e.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}

export const field = (label, input, hint) => h("label", null, h("span", null, label), input, hint ? h("small", null, hint) : null);
export const reason = (placeholder) => field("Reason", h("input", { name: "reason", required: true, maxlength: "500", autocomplete: "off", placeholder }), "Kept in the audit trail.");
const gateways = (names) => `${plural(names.length, "gateway")}: ${names.join(", ")}`;
const LENGTHS = [["15 minutes", 900], ["1 hour", 3600], ["6 hours", 21600], ["1 day", 86400], ["7 days", 604800]];

function lengths(name, standard, maximum) {
  const all = [...LENGTHS];
  if (!all.some(([, s]) => s === standard)) all.push([span(standard * 1e6), standard]);
  all.sort((a, b) => a[1] - b[1]);
  return h("select", { name }, all.filter(([, s]) => s <= maximum).map(([text, s]) => h("option", { value: String(s), selected: s === standard }, text)));
}

// For how long the same incidents don't block the address again; the API's grace_s.
function grace(me) {
  const select = lengths("grace", me.lift_grace_s, Infinity);
  if (me.lift_grace_s) select.prepend(h("option", { value: "0" }, "no time"));
  return field("Grace", select, "For so long incidents of the same class don't block it again.");
}

export function liftDialog(block, me) {
  const names = block.gateways.map((g) => g.gateway);
  ask("Lift the block?", [
    h("p", null, h("b", { class: "mono" }, block.source), " may pass again on ", gateways(names), ". Otherwise it stays blocked for ",
      h("b", null, left(block.expires_us - nowUs())), "."),
    grace(me),
    reason("false positive, own scanner…"),
  ], {
    submit: "Lift block", kind: "danger",
    send: async (data) => {
      await post(`blocks/${encodeURIComponent(block.id)}/lift`, { grace_s: Number(data.get("grace")), reason: data.get("reason") });
      toast(`The block of ${block.source} is being lifted`);
    },
  });
}

export function extendDialog(block, me) {
  ask("Extend the block", [
    h("p", null, h("b", { class: "mono" }, block.source), " is blocked for another ", h("b", null, left(block.expires_us - nowUs())), "."),
    field("Add", lengths("seconds", 3600, me.maximum_duration_s)),
    reason("still attacking…"),
  ], {
    submit: "Extend",
    send: async (data) => {
      await post(`blocks/${encodeURIComponent(block.id)}/extend`, { seconds: Number(data.get("seconds")), reason: data.get("reason") });
      toast(`The block of ${block.source} ends later`);
    },
  });
}

export function shortenDialog(block) {
  const rest = Math.floor((block.expires_us - nowUs()) / 1e6);
  ask("Shorten the block", [
    h("p", null, h("b", { class: "mono" }, block.source), " is blocked for another ", h("b", null, left(rest * 1e6)), "."),
    field("Take off", lengths("seconds", Math.max(1, Math.floor(rest / 2)), Math.max(1, rest - 1)), "To end it now, lift it."),
    reason("only a scan…"),
  ], {
    submit: "Shorten",
    send: async (data) => {
      await post(`blocks/${encodeURIComponent(block.id)}/shorten`, { seconds: Number(data.get("seconds")), reason: data.get("reason") });
      toast(`The block of ${block.source} ends earlier`);
    },
  });
}

export function undoDialog() {
  ask("Undo?", [
    h("p", null, "The last thing that you did about a block is taken back: what was made or approved is lifted, what was lifted is blocked again for what remains, an end is as it was before."),
    reason("wrong address…"),
  ], {
    submit: "Undo", kind: "danger",
    send: async (data) => {
      const block = await post("undo", { reason: data.get("reason") });
      toast(`Undone: ${block.source} is ${block.state}`);
    },
  });
}

// word: approve or veto
export function verdictDialog(block, word, me) {
  const held = block.gateways.filter((g) => g.state === "waiting").map((g) => g.gateway);
  const approves = word === "approve";
  ask(approves ? "Approve the block?" : "Veto the block?", [
    h("p", null, h("b", { class: "mono" }, block.source), approves ? " will be dropped on " : " will not be dropped on ", gateways(held), "."),
    approves ? null : grace(me),
    reason(approves ? "looked at the evidence…" : "false positive, own scanner…"),
  ], {
    submit: approves ? "Approve block" : "Veto block", kind: approves ? "primary" : "danger",
    send: async (data) => {
      await post(`blocks/${encodeURIComponent(block.id)}/${word}`, { ...(approves ? {} : { grace_s: Number(data.get("grace")) }), reason: data.get("reason") });
      toast(approves ? `${block.source} is being blocked` : `${block.source} is not blocked`);
    },
  });
}

export function addDialog(me, added) {
  ask("Block an address", [
    h("p", null, "It will be dropped on ", gateways(me.gateways), "."),
    field("Address", h("input", { name: "source", class: "mono", required: true, maxlength: "45", autocomplete: "off", spellcheck: "false", placeholder: "192.0.2.7 or 2001:db8::7" })),
    field("For", lengths("duration", me.block_duration_s, me.maximum_duration_s)),
    reason("reported by…"),
  ], {
    submit: "Block", kind: "danger",
    send: async (data) => {
      const block = await post("blocks", { source: data.get("source").trim(), duration_s: Number(data.get("duration")), reason: data.get("reason") });
      toast(`${block.source} is being blocked`);
      added(block);
    },
  });
}

// A sheet over the page for one view; onclose is called however it is closed.
export function sheet(title, onclose) {
  const host = h("div", { class: "sheet-body" });
  const dialog = h("dialog", { class: "sheet", "aria-labelledby": "dialog-title" },
    h("form", { method: "dialog" }, h("h2", { id: "dialog-title" }, title), host, h("menu", null, h("button", { type: "submit" }, "Close"))));
  dialog.addEventListener("close", onclose);
  show(dialog);
  return { dialog, host };
}
