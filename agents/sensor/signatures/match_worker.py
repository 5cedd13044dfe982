"""``python -m agents.sensor.signatures.match_worker``: rules on live packets, in its own process.

A process, since trying rules is Python's work, and a thread of it would take the interpreter from
capture and decoding. Frames (`ontology.frames`) on standard input and output; the parent's
end of both is `agents.sensor.signatures.match_process`:

- ``start``: paths, variables, sensor, honeypots, wait_us, look_us, one_sided, tunnels; once, first
- ``packets``: a block, as four columns of int64 and the bytes they point into
- ``tick``: the time, so that alerts come out and files are looked at without traffic
- back: ``alerts`` with counters and Turtle, ``say`` with a line for the agent's log,
  ``citation``: a packet that matched, before the alert that rests on it
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from agents.clock import now_us
from agents.sensor.evidence.citations import to_frame
from agents.sensor.evidence.matched import MatchedPackets
from agents.sensor.signatures.limits import AlertLimiter
from agents.sensor.signatures.rule_files import LoadedRules, Stamp, load_rules, stamp
from agents.sensor.tunnel_trust import TunnelTrust
from datasets.captures.pcap import RawPackets
from ontology import fragments, frames
from ontology.confined_worker import confine_worker
from ontology.records import Alert

TELL_US = 500_000
ALERTS_PER_FRAME = 50
NICE = 5
"""Capture comes first."""


def pack(raw: RawPackets) -> bytes:
    """A block of packets as one frame."""
    columns = np.vstack((raw.offsets, raw.lengths, raw.wire_lengths, raw.times_us))
    head = {"op": "packets", "count": len(raw), "link_type": raw.link_type}
    return frames.encode(head, columns.astype("<i8").tobytes() + raw.data.tobytes())


def unpack(head: dict[str, Any], body: bytes) -> RawPackets:
    """What `pack` packed."""
    size = 32 * head["count"]
    columns = np.frombuffer(body[:size], "<i8").reshape(4, -1)
    data = np.frombuffer(body, np.uint8, offset=size)
    offsets, lengths, wire_lengths, times_us = columns
    return RawPackets(data, offsets, lengths, wire_lengths, times_us, head["link_type"])


class RuleReloader:
    """The rules in use. A new set is built first, and takes over only when it is good."""

    def __init__(
        self, order: dict[str, Any], limiter: AlertLimiter, evidence: MatchedPackets
    ) -> None:
        self._evidence = evidence
        self._paths = [Path(path) for path in order["paths"]]
        self._order = order
        self._limiter = limiter
        self._tried: Stamp | None = None
        self._seen: Stamp | None = None
        self._building: threading.Thread | None = None
        self._result: LoadedRules | str = ""
        self.rules: LoadedRules | None = None

    def build(self) -> None:
        """Read the files and compile."""
        try:
            self._result = load_rules(
                self._paths,
                variables=self._order["variables"],
                sensor=self._order["sensor"],
                honeypots=[ip_address(text) for text in self._order["honeypots"]],
                limiter=self._limiter,
                wait_us=self._order["wait_us"],
                one_sided=self._order["one_sided"],
                tunnels=TunnelTrust(ip_address(text) for text in self._order["tunnels"]),
                evidence=self._evidence,
            )
        except (OSError, ValueError) as e:
            self._result = " ".join(str(e).split())
        except Exception as e:  # a mistake of ours or a library's must not end detection
            self._result = f"{type(e).__name__}: {e}"

    def look(self, *, wait: bool = False) -> tuple[str, str] | None:
        """Look at the files; (counter, line) when a set was taken up or refused.

        A file must look the same twice before it is read: it may still be being written.
        """
        if self._building is not None:
            if not wait and self._building.is_alive():
                return None
            self._building.join()
            self._building = None
            return self._take_up()
        now = stamp(self._paths)
        settled = now == self._seen or wait
        self._seen = now
        if now != self._tried and settled:
            self._tried = now
            self._building = threading.Thread(target=self.build, daemon=True)
            self._building.start()
            if wait:
                return self.look(wait=True)
        return None

    def _take_up(self) -> tuple[str, str]:
        new, old = self._result, self.rules
        kept = "no signatures are in use" if old is None else "the last good rules stay in use"
        if isinstance(new, str):
            return "bad_reloads", f"signatures: {new}; {kept}"
        if old is not None and len(new.found.faults) > len(old.found.faults):
            return "bad_reloads", f"signatures: {new.fault()}; {kept}"
        if old is not None:
            new.alerts.matcher.adopt(old.alerts.matcher)
        self.rules = new
        return "loads", f"signatures: {new.summary()}"


class Worker:
    """Frames in, frames out."""

    def __init__(self, order: dict[str, Any], out: BinaryIO) -> None:
        self._out = out
        self._limiter = AlertLimiter()
        self._evidence = MatchedPackets()
        self._rules = RuleReloader(order, self._limiter, self._evidence)
        self._every_us = int(order["look_us"])
        self._before: dict[str, int] = {}
        self._counts = {"loads": 0, "bad_reloads": 0, "alerts": 0, "unmatched": 0}
        self._look_us = self._tell_us = 0
        self._look(wait=True)

    def handle(self, head: dict[str, Any], body: bytes) -> None:
        """One frame of the parent's."""
        now = now_us()
        alerts: list[Alert] = []
        rules = self._rules.rules
        if head["op"] == "packets":
            if rules is None:
                self._counts["unmatched"] += head["count"]
            else:
                alerts = rules.alerts.on_packets(unpack(head, body))
        elif rules is not None:
            alerts = rules.alerts.tick(int(head["now_us"]))
        if now - self._look_us >= self._every_us:
            self._look_us = now
            alerts += self._look()
        for citation in self._evidence.take():
            fields, data = to_frame(citation)
            self._send({"op": "citation", **fields}, data)
        if alerts or now - self._tell_us >= TELL_US:
            self._tell_us = now
            self._tell(alerts)

    def _look(self, *, wait: bool = False) -> list[Alert]:
        old = self._rules.rules
        done = self._rules.look(wait=wait)
        if done is None:
            return []
        self._counts[done[0]] += 1
        self._send({"op": "say", "good": done[0] == "loads", "text": done[1]})
        if old is None or old is self._rules.rules:
            return []
        for name, count in old.alerts.matcher.counters.items():
            self._before[name] = self._before.get(name, 0) + count
        return old.alerts.finish()  # what waits there is reported by nobody else

    def _tell(self, alerts: Sequence[Alert]) -> None:
        counters = dict(self._counts)
        counters["alerts"] = self._counts["alerts"] = self._counts["alerts"] + len(alerts)
        counters.update(self._limiter.counters)
        for name, count in self._evidence.counters.items():
            counters[f"evidence.{name}"] = count
        rules = self._rules.rules
        if rules is not None:
            counters["loaded"] = len(rules.found.signatures)
            counters["in_use"] = len(rules.alerts.matcher.signatures)
            for name, count in rules.alerts.matcher.counters.items():
                counters[name] = count + self._before.get(name, 0)
        for begin in range(0, max(len(alerts), 1), ALERTS_PER_FRAME):
            part = alerts[begin : begin + ALERTS_PER_FRAME]
            text = fragments.encode(part).encode() if part else b""
            self._send({"op": "alerts", "counters": counters}, text)

    def _send(self, head: dict[str, Any], body: bytes = b"") -> None:
        self._out.write(frames.encode(head, body))
        self._out.flush()


def main() -> int:
    """Until the end of standard input, which also comes when the parent is gone."""
    os.nice(NICE)
    first = frames.read(sys.stdin.buffer)
    if first is None:
        return 0
    # Their folders: an editor puts a new file in the old one's place.
    paths = [Path(text) for text in first[0]["paths"]]
    confine_worker(read=[path if path.is_dir() else path.parent for path in paths])
    worker = Worker(first[0], sys.stdout.buffer)
    while (frame := frames.read(sys.stdin.buffer)) is not None:
        worker.handle(*frame)
    return 0


if __name__ == "__main__":
    try:
        code = main()
    except (BrokenPipeError, KeyboardInterrupt):
        code = 0
    os._exit(code)  # the pipe's other end may be gone: nothing to flush
