"""Where a sensor's packets come from: rings, log groups, growing files; threads that read them.

Ring k of every interface goes into lane k (`agents.sensor.capture.lane`), so a connection stays in
one lane (`Capture` shares packets out by connection). Log groups and files have lanes of their own:
their clocks run behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Protocol

from agents.base.kernel_addresses import KernelAddressesError, read_links_and_routes
from agents.sensor.capture.capture import Capture, InterfaceMissing, RingMissing
from agents.sensor.capture.interfaces import InterfaceWatch
from agents.sensor.capture.lane import READ_S, Lane, Offer
from agents.sensor.capture.nflog import NflogCapture
from agents.sensor.capture.opener import DirectOpener, Opener
from agents.sensor.capture.scapy_capture import ScapyCapture
from agents.sensor.evidence.citations import Citation
from agents.sensor.grounds import MAX_ROUTES, make_grounds
from agents.sensor.payloads.reading_shares import SHARE
from agents.settings.honeynet import Node
from datasets.captures.growing import GrowingCapture
from datasets.captures.pcap import CaptureError, RawPackets
from ontology.records import Address, Alert, ConnectionBatch

logger = logging.getLogger(__name__)

_REOPEN_S = 1.0
_MAX_REOPEN_S = 30.0
_GATHER_S = 0.05
"""Pause after a small read: decoding costs much the same for one packet as for hundreds."""
_SMALL_READ = 2000
_LOOK_S = 0.25
"""How often a file is looked at that has not grown."""

_ROUTES_S = 10.0
"""How often routes are read, unless that takes more than 1 / `_ROUTES_SHARE` of the time."""
_ROUTES_SHARE = 20


class _Reader(Protocol):
    def read(self, timeout_s: float) -> RawPackets: ...

    def dropped(self) -> int: ...


class Sources:
    """All that the ``[[node]]`` of a sensor names. Threads from `start` to `stop`."""

    def __init__(
        self,
        node: Node,
        sensor: str,
        state_dir: Path | None = None,
        *,
        own: Collection[Address] = (),
        others: Collection[Address] = (),
        opener: Opener | None = None,
    ) -> None:
        """
        Args:
            state_dir: where the places in growing files are kept over a restart.
            own: addresses of the node and the honeypots behind it.
            others: those of other nodes; nothing that arrives from outside in their name proves
                anything.
            opener: who has the right to open sockets, by default we.
        """
        self._opener = opener or DirectOpener(node.capture_filter)
        self._node = node
        self._own, self._others = own, others
        self._grounded = threading.Event()
        self.routes_unknown = ""
        """Why only what honeynet.toml names counts as inside; empty if all that is routed does."""
        self._state_dir = state_dir
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._counters: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()
        self._troubles: dict[str, str] = {}
        """By ring, group or file: why nothing comes from it."""
        self._unwritten = ""
        self._offer: Offer | None = None
        workers = node.capture_workers if node.interfaces else 0
        make = partial(Lane, sensor, one_sided=node.one_sided, tunnels=node.tunnels)
        self._shared = [make(reading=SHARE / workers) for _ in range(workers)]
        self._groups = {group: make() for group in node.nflog}
        self._files = {path: make(own_clock=True) for path in node.captures}
        self._lanes = [*self._shared, *self._groups.values(), *self._files.values()]

    @property
    def capturing(self) -> set[str]:
        """Names of interfaces, groups and files whose packets arrive just now."""
        with self._lock:
            return {name for name, count in self._open.items() if count > 0}

    def troubles(self) -> dict[str, str]:
        """Interfaces, groups and files from which nothing can come just now, and why; the first one
        says so if that is all of them."""
        with self._lock:
            found = dict(self._troubles)
        names = {name.partition("#")[0]: why for name, why in sorted(found.items(), reverse=True)}
        nothing = len(names) >= len(self._node.interfaces) + len(self._groups) + len(self._files)
        begin = "captures nothing" if nothing else "captures only a part"
        return {name: f"{begin}: {why}" for name, why in names.items()}

    def start(self, offer: Offer | None = None) -> None:
        """``offer`` is called with every block that was decoded, from several threads, without what
        can't be evidence."""
        self._offer = offer
        if self._node.interfaces or self._node.nflog:
            self._begin("routes", self._follow_routes)
        for lane in self._lanes:
            self._begin("decode", lane.run, self._ended, offer)
        for interface in self._node.interfaces:
            # A number that nobody else has: a group of one interface is shared by all who name it.
            group = secrets.randbelow(1 << 16) if len(self._shared) > 1 else None
            for number, lane in enumerate(self._shared):
                name = interface if group is None else f"{interface}#{number}"
                self._begin(
                    "capture",
                    self._follow,
                    lane,
                    interface,
                    name,
                    lambda i=interface, g=group, n=number: self._ring(i, g, n),
                )
        for log_group, lane in self._groups.items():
            name = f"nflog:{log_group}"
            self._begin(
                "nflog",
                self._follow,
                lane,
                name,
                name,
                lambda g=log_group: NflogCapture(g, self._opener.log_group),
            )
        for path, lane in self._files.items():
            self._begin("file", self._follow_file, lane, path)

    def stop(self) -> list[ConnectionBatch]:
        """End the threads; the last batches, once. Blocks for a few seconds at most."""
        if self._ended.is_set():
            return []
        self._ended.set()
        for thread in self._threads:
            thread.join(2.0)
        for lane in self._lanes:
            lane.run(self._ended, self._offer)  # what came after its thread had ended
        return self._take(final=True)

    def take(self) -> list[ConnectionBatch]:
        """What is due now."""
        return self._take(final=False)

    @property
    def light(self) -> bool:
        """Whether `take` costs less than handing it to another thread would."""
        return all(lane.light for lane in self._lanes)

    def take_alerts(self) -> list[Alert]:
        """Alerts that need no connection, since the last call."""
        return [alert for lane in self._lanes for alert in lane.take_alerts()]

    def take_citations(self) -> list[Citation]:
        """Packets that something was concluded from, since the last call."""
        return [citation for lane in self._lanes for citation in lane.take_citations()]

    def counters(self) -> Counter[str]:
        """Totals of all lanes, and of each source as ``capture.NAME.packets`` and ``.dropped``
        (by the kernel), ``.overrun`` (no room in the queue)."""
        with self._lock:
            total = Counter(self._counters)
        for lane in self._lanes:
            total.update(lane.counters())
        return total

    def _take(self, *, final: bool) -> list[ConnectionBatch]:
        return [batch for lane in self._lanes for batch in lane.take(final=final)]

    def _begin(self, kind: str, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name=f"sensor-{kind}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _count(self, name: str, number: int = 1) -> None:
        if number:
            with self._lock:
                self._counters[name] += number

    def _trouble(self, name: str, why: str) -> None:
        with self._lock:
            if why:
                self._troubles[name] = why
            else:
                self._troubles.pop(name, None)

    def _opened(self, name: str, change: int) -> None:
        with self._lock:
            self._open[name] += change

    def _ring(
        self, interface: str, group: int | None, number: int
    ) -> AbstractContextManager[_Reader] | None:
        """A ring, or for the first worker what takes its place; None for the others."""
        filter_expression = self._node.capture_filter
        try:
            return Capture(
                interface,
                filter_expression,
                ring_bytes=self._node.capture_ring_mib << 20,
                fanout=group,
                open_=self._opener.packets,
            )
        except RingMissing as e:
            if number:
                return None
            logger.warning("%s; using scapy's socket: some 5,000 packets a second at most", e)
            return ScapyCapture(interface, filter_expression, self._opener.scapy)

    def _follow(
        self,
        lane: Lane,
        source: str,
        name: str,
        open_: Callable[[], AbstractContextManager[_Reader] | None],
    ) -> None:
        """Capture until the end, through interfaces that go and come back."""
        complained = ""
        delay = _REOPEN_S
        # Until it is known which side is which, nothing that arrives could be judged.
        while not (self._grounded.wait(_LOOK_S) or self._ended.is_set()):
            pass
        while not self._ended.is_set():
            opened = False
            try:
                with contextlib.ExitStack() as stack:
                    watch = None
                    if source in self._node.interfaces:
                        watch = stack.enter_context(contextlib.closing(InterfaceWatch(source)))
                    capture = open_()
                    if capture is None:
                        return
                    reader = stack.enter_context(capture)
                    logger.info("capturing on %s", name)
                    complained, delay, opened = "", _REOPEN_S, True
                    self._opened(source, 1)
                    self._trouble(name, "")
                    self._read(reader, lane, name, watch)
            except (CaptureError, OSError) as e:  # no descriptors, for now
                self._count("capture_errors")
                missing = isinstance(e, InterfaceMissing)
                self._trouble(name, f"no interface {source}" if missing else str(e))
                if str(e) != complained:
                    logger.warning("%s; trying again", e)
                    complained = str(e)
                # An interface may come back any moment; the rest needs somebody to mend it.
                delay = _REOPEN_S if missing else min(delay * 2, _MAX_REOPEN_S)
            finally:
                if opened:
                    self._opened(source, -1)
            self._ended.wait(delay)

    def _follow_routes(self) -> None:
        """Keep what the kernel routes where up to date: routes change while we run."""
        complained = ""
        sides = {
            name: self._node.side(name) for name in (*self._node.interfaces, *self._node.sides)
        }
        while not self._ended.is_set():
            began = time.monotonic()
            links: Sequence[Mapping[str, object]] = ()
            routes: Sequence[Mapping[str, object]] = ()
            try:
                links, routes = read_links_and_routes()
                if len(routes) > MAX_ROUTES:
                    raise KernelAddressesError(f"{len(routes)} routes are more than {MAX_ROUTES}")
                complained = self.routes_unknown = ""
            except (KernelAddressesError, OSError) as e:
                self._count("route_errors")
                self.routes_unknown = f"routes are not known: {e}"
                if str(e) != complained:
                    logger.warning(
                        "routes are not known, only what the file names is inside: %s", e
                    )
                    complained = str(e)
            grounds = make_grounds(sides, self._own, self._others, links, routes)
            for lane in self._lanes:
                lane.on_grounds(grounds)
            self._grounded.set()
            took = time.monotonic() - began
            self._ended.wait(max(_ROUTES_S, _ROUTES_SHARE * took))

    def _read(self, reader: _Reader, lane: Lane, name: str, watch: InterfaceWatch | None) -> None:
        """Until the end. Raises: CaptureError: what it reads from is gone."""
        lost = 0
        looked_s = -READ_S
        while not self._ended.is_set():
            raw = reader.read(READ_S)
            if watch is not None and (now_s := time.monotonic()) - looked_s >= READ_S:
                looked_s = now_s
                self._trouble(name, watch.trouble())
            missing = reader.dropped() - lost
            lost += missing
            self._count(f"capture.{name}.dropped", missing)
            self._count(f"capture.{name}.packets", len(raw))
            if len(raw) and not lane.put(raw):
                missing += len(raw)
                self._count(f"capture.{name}.overrun", len(raw))
            if missing:
                lane.on_dropped(missing)
            if 0 < len(raw) < _SMALL_READ:
                self._ended.wait(_GATHER_S)

    def _follow_file(self, lane: Lane, path: Path) -> None:
        name = f"file:{path}"
        state = None
        if self._state_dir is not None:
            # The path only as a hash, whatever it is made of; as for the logs.
            digest = hashlib.sha256(str(path).encode()).hexdigest()[:16]
            state = self._state_dir / f"capture-{digest}.json"
        capture = GrowingCapture(path, state=state)
        self._opened(name, 1)
        try:
            while not self._ended.is_set():
                raw = capture.read()
                # A file can wait, where it is; what is not taken any more is read by the next run.
                while raw is not None and not lane.put(raw):
                    if self._ended.wait(_GATHER_S):
                        return
                self._settle(capture, name)
                self._trouble(name, capture.trouble())
                if raw is None:
                    self._ended.wait(_LOOK_S)
                with self._lock:
                    for key, count in capture.counters.items():
                        self._counters[f"capture.{name}.{key}"] = count
        finally:
            capture.close()
            self._opened(name, -1)

    def _settle(self, capture: GrowingCapture, name: str) -> None:
        try:
            capture.settle()
        except OSError as e:
            self._count(f"capture.{name}.place_unwritten")
            if self._unwritten != str(e):
                self._unwritten = str(e)
                logger.error("%s: its place can't be kept: %s", name, e)
