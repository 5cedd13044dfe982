// One event stream for all tabs of this browser: HTTP/1.1 allows six connections to one host.
const ports = new Set();
let source = null;
let retry = 0;

function tell(message) {
  for (const port of ports) port.postMessage(message);
}

function open() {
  clearTimeout(retry);
  if (source) source.close();
  source = new EventSource("/api/v1/events");
  source.addEventListener("hello", (e) => tell({ kind: "hello", data: e.data }));
  source.addEventListener("tick", (e) => tell({ kind: "tick", data: e.data }));
  source.addEventListener("resync", () => tell({ kind: "resync" }));
  source.onmessage = (e) => tell({ kind: "change", data: e.data });
  source.onerror = () => {
    tell({ kind: "down" });
    // A refusal (logged out) ends an EventSource for good; look again, somebody may log in.
    if (source.readyState === EventSource.CLOSED) retry = setTimeout(open, 2000);
  };
}

onconnect = (event) => {
  const port = event.ports[0];
  ports.add(port);
  port.onmessage = ({ data }) => {
    if (data === "bye") ports.delete(port);
    if (ports.size === 0 && source) {
      clearTimeout(retry);
      source.close();
      source = null;
    }
  };
  // Anew for each tab, so that each gets its own "hello"; the others read their lists again.
  open();
};
