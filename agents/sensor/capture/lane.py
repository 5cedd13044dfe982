"""A bounded queue of captured blocks, a thread that decodes them and a `SensorCore`."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Final

from agents.clock import now_us
from agents.sensor.core import SensorCore
from agents.sensor.evidence.citations import Citation
from agents.sensor.evidence.marked import MarkedPackets
from agents.sensor.grounds import Grounds
from agents.sensor.payloads.reading_shares import SHARE, ReadingShares
from agents.sensor.sides import SideJudge
from agents.sensor.tunnel_trust import TunnelTrust
from datasets.captures.pcap import RawPackets
from ontology.records import Address, Alert, ConnectionBatch

logger = logging.getLogger(__name__)

QUEUE_BLOCKS = 16
"""Reads of at most 4 MiB between capture and decoding; beyond, packets are dropped and counted."""
READ_S: Final = 1.0
"""Longest wait for a packet; the ring and the queue wake their readers as soon as there is one."""
_LAG_US = 100_000
"""A packet may be this old before it comes out of the ring and the queue."""
_LIGHT = 500
"""Open connections up to which a look at them takes some 0.1 ms."""

Offer = Callable[[RawPackets], None]


class Lane:
    """Blocks in, batches out; a thread of its own in between."""

    def __init__(
        self,
        sensor: str,
        *,
        own_clock: bool = False,
        reading: float = SHARE,
        one_sided: bool = False,
        tunnels: Collection[Address] = (),
    ) -> None:
        """``own_clock``: time goes by the packets, as in a file that is written with delay; it can
        wait, and all of it is read. ``reading``: see `ReadingShares`. ``one_sided`` and
        ``tunnels``: as of a node.
        """
        self._judge = SideJudge()
        shares = None if own_clock else ReadingShares(reading)
        self._core = SensorCore(
            sensor,
            judge=self._judge,
            shares=shares,
            one_sided=one_sided,
            tunnels=TunnelTrust(tunnels),
            evidence=MarkedPackets(),
        )
        self._own_clock = own_clock
        self._blocks: queue.Queue[RawPackets] = queue.Queue(QUEUE_BLOCKS)
        self._lock = threading.Lock()
        self._failed = 0
        """Blocks that could not be decoded."""
        self._arrived = time.monotonic()

    def put(self, raw: RawPackets) -> bool:
        """False if there is no room."""
        try:
            self._blocks.put_nowait(raw)
        except queue.Full:
            return False
        return True

    def on_dropped(self, count: int) -> None:
        """Count packets that were lost on their way here."""
        with self._lock:
            self._core.on_dropped(count)

    def on_grounds(self, grounds: Grounds) -> None:
        """Judge by these from the next block on."""
        self._judge.grounds = grounds

    def run(self, ended: threading.Event, offer: Offer | None) -> None:
        """Decode until ``ended``, and then what still waits; ``offer`` gets what counts of it."""
        while not (ended.is_set() and self._blocks.empty()):
            try:
                raw = self._blocks.get(timeout=READ_S)
            except queue.Empty:
                continue
            try:
                with self._lock:
                    raw = self._core.on_packets(raw)
                    self._arrived = time.monotonic()
            except Exception:
                # A slip of ours, or no descriptors for now: one block is lost, and not the sensor.
                self._failed += 1
                logger.exception("%d packets can't be decoded", len(raw))
                continue
            if offer is not None and len(raw):
                offer(raw)

    def take(self, *, final: bool = False) -> list[ConnectionBatch]:
        """What is due now; with ``final`` also what is still open."""
        # While packets wait, the clock is theirs: time-outs must not overtake them.
        waiting = not self._blocks.empty()
        with self._lock:
            core = self._core
            if final:
                at = now_us()
            elif waiting:
                at = core.last_us
            elif self._own_clock:
                at = core.last_us + int((time.monotonic() - self._arrived) * 1_000_000)
            else:
                at = now_us() - _LAG_US
            return core.take_batches(at, final=final)

    @property
    def light(self) -> bool:
        """Whether `take` costs less than handing it to another thread would."""
        return self._blocks.empty() and self._core.open_flows < _LIGHT

    def take_alerts(self) -> list[Alert]:
        """Alerts that need no connection (ARP); see `SensorCore.take_alerts`."""
        with self._lock:
            return self._core.take_alerts()

    def take_citations(self) -> list[Citation]:
        """See `SensorCore.take_citations`."""
        with self._lock:
            return self._core.take_citations()

    def counters(self) -> Counter[str]:
        with self._lock:
            found = Counter(self._core.counters)
        if self._failed:
            found["decode_errors"] = self._failed
        return found
