// How values are written for people.
let skewMs = 0;
export const setClock = (serverUs) => {
  skewMs = serverUs / 1000 - Date.now();
};
export const nowUs = () => (Date.now() + skewMs) * 1000;

export function left(us) {
  const s = Math.max(0, Math.ceil(us / 1e6));
  const two = (n) => String(n).padStart(2, "0");
  const day = Math.floor(s / 86400);
  const clock = `${two(Math.floor((s % 86400) / 3600))}:${two(Math.floor((s % 3600) / 60))}:${two(s % 60)}`;
  return day ? `${day} d ${clock}` : clock;
}

export function span(us) {
  const s = Math.round(us / 1e6);
  if (s < 60) return `${s} s`;
  if (s < 3600) return s % 60 && s < 600 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.round(s / 60)} min`;
  if (s < 86400) {
    const minutes = Math.round((s % 3600) / 60);
    return minutes ? `${Math.floor(s / 3600)} h ${minutes} min` : `${Math.floor(s / 3600)} h`;
  }
  return `${(s / 86400).toFixed(s % 86400 ? 1 : 0)} d`;
}

// What an agent can't do, with its numbers.
export const told = (c) => {
  const numbers = Object.entries(c.numbers).map(([name, n]) => `${n.toLocaleString("en")} ${name.replaceAll("_", " ")}`);
  return numbers.length ? `${c.reason} (${numbers.join(", ")})` : c.reason;
};

export function ago(us) {
  const past = nowUs() - us;
  return past < 2e6 ? "now" : `${span(past < 60e6 ? past : Math.floor(past / 60e6) * 60e6)} ago`;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dated = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
export function at(us) {
  const when = new Date(us / 1000);
  return (when.toDateString() === new Date(nowUs() / 1000).toDateString() ? clock : dated).format(when);
}
export const iso = (us) => new Date(us / 1000).toISOString();

// "HoneypotBruteForceIncident" is shown as "Honeypot brute force", "SynScan" as "SYN scan".
const SHORT = new Set(["ack", "arp", "fin", "ftp", "http", "icmp", "sql", "ssh", "syn", "tcp", "udp"]);
export function words(name) {
  if (name === "CustomIncident") return "Custom rule";
  const text = name.replace(/Incident$/, "").replace(/([a-z0-9])([A-Z])/g, "$1 $2").trim() || name;
  const all = text.toLowerCase().split(" ").map((w) => (SHORT.has(w) ? w.toUpperCase() : w)).join(" ");
  return all.charAt(0).toUpperCase() + all.slice(1);
}

// A decision's reason opens with what its rule means, and ends with what made it a block.
export const firstLine = (reason) => reason.split("\n", 1)[0];
export const lastLine = (reason) => reason.split("\n").at(-1);
export function gist(reason, classification) {
  const [, rule, meaning] = /^Rule (\S+): (.+)$/.exec(firstLine(reason)) ?? [];
  return rule && words(rule) === words(classification) ? meaning : firstLine(reason);
}

// A ranking for colour only; the word always stands beside it.
export function gravity(name) {
  if (/Exploit|BruteForce|RootAccess|BufferOverflow/.test(name)) return "high";
  if (/Flood|WebAttack|SqlInjection|Injection|Scripting|Traversal/.test(name)) return "mid";
  return name === "Manual" ? "own" : "low";
}

const PROTOCOLS = { 1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 254: "ARP" };
export const protocol = (number) => PROTOCOLS[number] ?? `protocol ${number}`;

export const who = (origin) => (origin.startsWith("user:") ? origin.slice(5) : origin.split("@")[0]);
export const plural = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
