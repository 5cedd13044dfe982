// The contract of every view, and the register of those that are mounted.
//
//   mount(host, route)     once: build what it shows below host
//   update(topics, route)  what changed: a Set of the store's topics, "route" or "tick"
//   unmount()              once: let go of everything outside of host
//
// Updates are gathered and handed out once a frame.
import { store } from "./store.js";

const mounted = new Map(); // view: its host
let route = null;
let topics = new Set();
let asked = false;

export function mount(view, host) {
  mounted.set(view, host);
  view.mount(host, route);
  view.update(new Set(["route", "tick", "link", "blocks", "agents", "incidents", "alerts", "clusters"]), route);
}

export function unmount(view) {
  if (mounted.delete(view)) view.unmount();
}

export function notify(topic) {
  topics.add(topic);
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    const now = topics;
    topics = new Set();
    for (const view of [...mounted.keys()]) view.update(now, route);
  });
}

export function setRoute(next) {
  route = next;
  notify("route");
}

store.listen(notify);
setInterval(() => notify("tick"), 1000);
