"""Overlapping fragments: teardrop, and strings hidden from who joins packets otherwise.

No honest stack sends them: a router splits a datagram into parts that fit together (RFC 791,
section 3.2; RFC 5722 forbids overlaps of IPv6). The sender gets no answer that it
needs, so anybody's address may stand there: nobody is named.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from cachetools import LRUCache

from agents.sensor.flows.packets import Packets
from agents.sensor.fragment_headers import parts
from agents.sensor.watch_alerts import SECOND, AlertMaker, Sighting
from ontology.addresses import to_address
from ontology.records import Alert

DATAGRAM_US = 2 * SECOND
"""The fragments of one datagram come together; later its number (16 bits) may be another's."""
DATAGRAMS, WINDOW_US = 3, 60 * SECOND
"""So many overlapping datagrams to one host: one may be a number that came twice (RFC 4963)."""
ONE, SEVERAL = 0.4, 0.7
MAX_DATAGRAMS, MAX_TARGETS = 8192, 1024
MAX_PARTS = 64
"""Of one datagram; an Ethernet needs 45 for 65,535 bytes."""
BLOCK = 2000
"""Fragments looked at per block of packets; more are passed over, counted."""


@dataclass(slots=True)
class _Datagram:
    last_us: int
    parts: list[tuple[int, int]] = field(default_factory=list)
    """(first byte, byte behind the last)."""
    overlapped: bool = False


@dataclass(slots=True)
class _Target:
    begin_us: int
    datagrams: int = 0
    sources: set[bytes] = field(default_factory=set)
    reported: int = 0


class FragmentWatch:
    """Fragments by datagram. Pure: time comes with the packets."""

    def __init__(self, sensor: str) -> None:
        self.alerts = AlertMaker(sensor)
        self._datagrams: LRUCache[bytes, _Datagram] = LRUCache(MAX_DATAGRAMS)
        self._targets: LRUCache[bytes, _Target] = LRUCache(MAX_TARGETS)
        self.evicted = 0
        """Datagrams and targets forgotten, and fragments passed over, for want of room."""

    def on_packets(self, packets: Packets) -> list[Alert]:
        """Alerts that the fragments of a block bring about."""
        which = np.flatnonzero(packets.fragment)
        if not len(which):
            return []
        self.evicted += max(len(which) - BLOCK, 0)
        which = which[:BLOCK]
        alerts = []
        for row, key, begin, end in parts(packets, which):
            now = int(packets.time_us[row])
            if self._overlaps(key, begin, end, now):
                alert = self._on_overlap(packets, row, now)
                alerts += [] if alert is None else [alert]
        return alerts

    def _overlaps(self, key: bytes, begin: int, end: int, now: int) -> bool:
        """Whether this is the first part of its datagram that lies over another's bytes."""
        datagram = self._datagrams.get(key)
        if datagram is None or now - datagram.last_us > DATAGRAM_US:
            self.evicted += datagram is None and len(self._datagrams) == self._datagrams.maxsize
            datagram = self._datagrams[key] = _Datagram(now)
        datagram.last_us = now
        part = (begin, end)
        # The same once more is a copy.
        if part in datagram.parts or len(datagram.parts) >= MAX_PARTS:
            return False
        over = any(begin < other_end and other < end for other, other_end in datagram.parts)
        datagram.parts.append(part)
        first = over and not datagram.overlapped
        datagram.overlapped |= over
        return first

    def _on_overlap(self, packets: Packets, row: int, now: int) -> Alert | None:
        raw = packets.dst[row].tobytes()
        target = self._targets.get(raw)
        if target is None or now - target.begin_us > WINDOW_US:
            self.evicted += target is None and len(self._targets) == self._targets.maxsize
            target = self._targets[raw] = _Target(now)
        target.datagrams += 1
        if len(target.sources) < MAX_PARTS:
            target.sources.add(packets.src[row].tobytes())
        if target.datagrams not in (1, DATAGRAMS) and target.datagrams < 2 * target.reported:
            return None
        target.reported = target.datagrams
        return self.alerts.alert(
            Sighting(
                classification="FragmentAttack",
                key=raw.hex(),
                source=None,
                sources=tuple(to_address(one) for one in sorted(target.sources)[:16]),
                source_count=len(target.sources),
                target=to_address(raw),
                begin_us=target.begin_us,
                end_us=now,
                count=target.datagrams,
                confidence=SEVERAL if target.datagrams >= DATAGRAMS else ONE,
                explanation=(
                    f"{target.datagrams} datagrams with fragments that lie over each other in "
                    f"{(now - target.begin_us) / SECOND:.1f} s (teardrop, or evasion), from "
                    f"{len(target.sources)} addresses, which may be forged"
                ),
                protocol=int(packets.protocol[row]),
            )
        )
