// One alert: what it says, the packet that it rests on as scapy reads it, and the conversation to download.
import { get } from "./api.js";
import { h } from "./dom.js";
import { at, gravity, iso, plural, protocol, words } from "./format.js";
import { Router } from "./router.js";

const time = (us) => h("time", { datetime: iso(us), title: iso(us) }, at(us));
const meter = (value) => [h("meter", { min: "0", max: "1", low: "0.4", high: "0.7", optimum: "0", value: String(value), "aria-hidden": "true" }), ` ${value.toFixed(2)}`];
const pairs = (...rows) => h("dl", { class: "pairs" }, rows.filter(Boolean).map(([k, ...v]) => [h("dt", null, k), h("dd", null, v)]));
const named = (title, names) => names.length > 0 && [title, h("span", { class: "mono" }, names.join(", "))];
const portOf = (a) => (a.target_port === null ? "" : ` port ${a.target_port}`);

export function alertHead(a) {
  const where = a.target ?? (a.target_count > 1 ? plural(a.target_count, "host") : "–");
  return [h("span", { class: `class ${gravity(a.classification)}` }, words(a.classification)), " ",
    h("span", { class: "mono" }, `→ ${where}`), h("span", { class: "muted" }, `${portOf(a)} · ×${a.count} · ${at(a.begin_us)}`)];
}

export function alertBody(a) {
  return [h("p", null, a.explanation),
    pairs(["Seen", time(a.begin_us), " – ", time(a.end_us)], ["Protocol", `${protocol(a.protocol)}${portOf(a)}`],
      ["Confidence", meter(a.confidence)], ["Sensor", a.sensor], ["Analyzer", a.analyzer],
      named("Signature", a.signatures ?? []), named("CVE", a.cves ?? []), named("Service", a.affected_services ?? []), named("System", a.affected_systems ?? []),
      a.targets.length > 0 && ["Targets", h("span", { class: "mono" }, a.targets.join(", "))],
      ["Id", h("a", { class: "mono small", href: Router.path({ name: "alert", id: a.id }) }, a.id)])];
}

const MOST_KNOWN = 50;
const known = new Map(); // alert id: what its sensor said

async function ask(a, path) {
  if (!known.has(a.id)) {
    const found = await get(`${path}/evidence`);
    if (known.size >= MOST_KNOWN) known.delete(known.keys().next().value);
    known.set(a.id, found);
  }
  return known.get(a.id);
}

// The sensor is asked once, when somebody wants to see it: it starts a process for the answer.
export async function showEvidence(host, a) {
  const path = `alerts/${encodeURIComponent(a.id.replace("urn:uuid:", ""))}`;
  if (!known.has(a.id)) host.replaceChildren(h("p", { class: "muted" }, "Asking the sensor for the packet …"));
  try {
    const found = await ask(a, path);
    host.replaceChildren(...[h("h4", null, "Packet"), h("p", { class: "muted" }, found.explanation),
      found.dissection && h("pre", { class: "dissection", tabindex: "0", "aria-label": "The packet, layer by layer" }, found.dissection),
      found.packets > 0 && h("p", null, h("a", { class: "capture", href: `/api/v1/${path}/capture`, download: true }, `Download the conversation (pcap, ${plural(found.packets, "packet")})`)),
    ].filter(Boolean));
  } catch (error) {
    host.replaceChildren(h("p", { class: "muted" }, error.message));
  }
}

export function alertItem(a) {
  const evidence = h("div", { class: "evidence" });
  const item = h("details", { class: "alert-item", data: { key: a.id } }, h("summary", null, alertHead(a)), alertBody(a), evidence);
  item.addEventListener("toggle", () => item.open && showEvidence(evidence, a));
  return item;
}

export class AlertView {
  title = "Alert";

  mount(host) {
    this.host = host;
    this.left = false;
    this.read(Router.parse(location.hash).id);
  }

  update() {}

  unmount() {
    this.left = true;
  }

  async read(id) {
    try {
      const { alert: a } = await get(`alerts/${encodeURIComponent((id ?? "").replace("urn:uuid:", "") || "none")}`);
      if (this.left) return;
      const evidence = h("div", { class: "evidence" });
      this.host.replaceChildren(h("p", null, alertHead(a)), ...alertBody(a).filter(Boolean), evidence);
      await showEvidence(evidence, a);
    } catch (error) {
      if (!this.left) this.host.replaceChildren(h("p", { class: "blank" }, error.message));
    }
  }
}
