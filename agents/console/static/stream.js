// The live picture: hello → read the lists → apply changes by key. Changes that come while the
// lists are being read wait for them.
const SILENCE_MS = 6500; // three ticks of the server
const WORKER = "/static/stream_worker.js";

function workerUrl() {
  if (!window.trustedTypes) return WORKER;
  const policy = window.trustedTypes.createPolicy("ontoidps", {
    createScriptURL: (url) => {
      if (url !== WORKER) throw new TypeError("unknown worker");
      return url;
    },
  });
  return policy.createScriptURL(WORKER);
}

export function follow({ read, apply, time, state }) {
  let heard = performance.now();
  let waiting = null; // changes since the last hello, until the lists are read
  let run = 0;
  let down = false;

  async function resync() {
    const mine = ++run;
    waiting = [];
    try {
      await read();
    } catch {
      if (mine === run) setTimeout(resync, 2000);
      return;
    }
    if (mine !== run) return;
    for (const change of waiting) apply(change);
    waiting = null;
    state("live");
  }

  const worker = new SharedWorker(workerUrl());
  worker.port.onmessage = ({ data: message }) => {
    if (message.kind === "down") {
      down = true;
      state("down");
      return;
    }
    down = false;
    heard = performance.now();
    if (message.kind === "hello" || message.kind === "tick") time(JSON.parse(message.data));
    if (message.kind === "hello" || message.kind === "resync") resync();
    else if (waiting === null) state("live");
    if (message.kind === "change") {
      const change = JSON.parse(message.data);
      if (waiting === null) apply(change);
      else waiting.push(change);
    }
  };
  addEventListener("pagehide", () => worker.port.postMessage("bye"));
  addEventListener("pageshow", (e) => e.persisted && location.reload());
  setInterval(() => {
    if (performance.now() - heard > SILENCE_MS && !down) state("stale");
  }, 1000);
}
