"""The sensor's end of the process that matches signatures: blocks in, alerts out, without waiting.

`MatchProcess.offer` is called by the thread that decodes and must not slow it: what does not fit
into a short queue is dropped and counted. A worker that ends is started again; one that hangs is
killed first.
"""

from __future__ import annotations

import logging
import queue
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, BinaryIO, cast

from agents.clock import now_us
from agents.sensor.evidence.citations import Citation, from_frame
from agents.sensor.signatures.match_worker import pack
from agents.settings.honeynet import Node
from datasets.captures.pcap import RawPackets
from ontology import fragments, frames
from ontology.records import Address, Alert

logger = logging.getLogger(__name__)

QUEUE_BLOCKS = 8
"""Blocks of at most 4 MiB that wait; beyond, packets are not looked at, and counted."""
MAX_WAITING = 2_000
"""Alerts that wait to be sent; the oldest go first, counted."""
MAX_CITATIONS = 256
"""Packets to cite that wait to be kept; the oldest go first, counted."""
WAIT_US = 2_000_000
"""How long an alert waits for the proof of its source, an acknowledgement."""
LOOK_US = 1_000_000
"""How often the rule files are looked at."""
_TICK_S = 0.25
_HANGS_S = 30.0
_RESTART_S = 1.0
_MAX_RESTART_S = 30.0


class MatchProcess:
    """Made for a node that names ``signatures``; every method may be called from any thread."""

    def __init__(
        self,
        node: Node,
        *,
        sensor: str,
        honeypots: Iterable[Address],
        wait_us: int = WAIT_US,
        look_us: int = LOOK_US,
    ) -> None:
        self._order = {
            "op": "start",
            "paths": [str(path) for path in node.signatures],
            "variables": dict(node.signature_variables),
            "sensor": sensor,
            "honeypots": [str(address) for address in honeypots],
            "wait_us": wait_us,
            "look_us": look_us,
            "one_sided": node.one_sided,
            "tunnels": [str(address) for address in node.tunnels],
        }
        self._queue: queue.Queue[RawPackets] = queue.Queue(QUEUE_BLOCKS)
        self._alerts: deque[Alert] = deque()
        self._citations: deque[Citation] = deque()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._writing_since: float | None = None
        self._ending = ""
        """Why the last worker ended, until another one answers."""
        self._said_bad = ""
        """What the worker said last, if that was a complaint."""
        self._own: Counter[str] = Counter()
        self._theirs: dict[str, int] = {}
        self._before: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, name="signatures", daemon=True)

    def start(self) -> None:
        """Start the worker; returns at once, rules are read there."""
        self._thread.start()

    def offer(self, raw: RawPackets) -> None:
        """Have a block matched, or dropped if there are too many before it."""
        try:
            self._queue.put_nowait(raw)
        except queue.Full:
            with self._lock:
                self._own["dropped"] += len(raw)

    def take(self, most: int) -> list[Alert]:
        """At most so many alerts, oldest first. Call it every second or so: it also kills a worker
        that hangs."""
        since = self._writing_since
        process = self._process
        if since is not None and process is not None and time.monotonic() - since > _HANGS_S:
            logger.error("the signature worker has hung for %.0f s; killed", _HANGS_S)
            process.kill()
        with self._lock:
            return [self._alerts.popleft() for _ in range(min(most, len(self._alerts)))]

    def take_citations(self) -> list[Citation]:
        """Packets that matched, since the last call."""
        with self._lock:
            found = list(self._citations)
            self._citations.clear()
        return found

    def counters(self) -> dict[str, int]:
        """Totals as ``signatures.NAME``: packets, dropped, matches, alerts, joined, suppressed …"""
        with self._lock:
            total = Counter(self._theirs)
            for name, count in (self._own + self._before).items():
                total[name] += count
        return {f"signatures.{name}": count for name, count in total.items()}

    def trouble(self) -> str:
        """Why no signature is matched just now, in words; empty if they are, or soon will be."""
        with self._lock:
            if self._ending:
                return f"no signatures are matched: {self._ending}"
            if self._said_bad and not self._theirs.get("in_use"):
                return self._said_bad
        return ""

    def close(self) -> None:
        """End the worker. Blocks for up to two seconds."""
        self._ended.set()
        process = self._process
        if process is not None:
            process.kill()
        if self._thread.ident is not None:
            self._thread.join(2.0)

    def _run(self) -> None:
        delay = _RESTART_S
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                self._serve()
            except OSError as e:
                if not self._ended.is_set():
                    logger.error("the signature worker ended (%s); again in %.0f s", e, delay)
            with self._lock:
                self._ending = "the worker ended, another one is started"
                self._own["restarts"] += 1
                # What a worker counted stays counted; how many rules it has does not add up.
                self._before.update(
                    {k: v for k, v in self._theirs.items() if k not in ("loaded", "in_use")}
                )
                self._theirs = {}
            if time.monotonic() - began > 60:
                delay = _RESTART_S
            self._ended.wait(delay)
            delay = min(delay * 2, _MAX_RESTART_S)

    def _serve(self) -> None:
        """One worker's life. Raises: OSError when it ends."""
        process = subprocess.Popen(
            [sys.executable, "-m", "agents.sensor.signatures.match_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._process = process
        stdin, stdout = cast(BinaryIO, process.stdin), cast(BinaryIO, process.stdout)
        reader = threading.Thread(target=self._read, args=(stdout,), daemon=True)
        reader.start()
        try:
            self._write(stdin, frames.encode(self._order))
            while not self._ended.is_set():
                try:
                    frame = pack(self._queue.get(timeout=_TICK_S))
                except queue.Empty:
                    # A little behind the clock: packets of the last moments are still to come.
                    frame = frames.encode({"op": "tick", "now_us": now_us() - 500_000})
                self._write(stdin, frame)
        finally:
            self._writing_since = None
            process.kill()
            process.wait()
            reader.join()
            for pipe in (stdin, stdout):
                try:
                    pipe.close()
                except OSError:
                    pass

    def _write(self, stdin: BinaryIO, frame: bytes) -> None:
        self._writing_since = time.monotonic()
        stdin.write(frame)
        stdin.flush()
        self._writing_since = None

    def _read(self, stdout: BinaryIO) -> None:
        try:
            while (frame := frames.read(stdout)) is not None:
                self._take_in(*frame)
        except (ValueError, OSError) as e:
            # It writes nothing but frames; whatever this is, it is not ours any more.
            logger.error("the signature worker says nonsense: %s", e)
            process = self._process
            if process is not None:
                process.kill()

    def _take_in(self, head: dict[str, Any], body: bytes) -> None:
        if head["op"] == "say":
            logger.log(logging.INFO if head["good"] else logging.WARNING, "%s", head["text"])
            with self._lock:
                self._said_bad = "" if head["good"] else str(head["text"])
            return
        if head["op"] == "citation":
            citation = from_frame(head, body)
            with self._lock:
                self._citations.append(citation)
                while len(self._citations) > MAX_CITATIONS:
                    self._citations.popleft()
                    self._own["evidence.lost"] += 1
            return
        alerts = (
            [r for r in fragments.decode(body.decode()) if isinstance(r, Alert)] if body else []
        )
        with self._lock:
            self._theirs, self._ending = head["counters"], ""
            self._alerts.extend(alerts)
            while len(self._alerts) > MAX_WAITING:
                self._alerts.popleft()
                self._own["alerts_lost"] += 1
