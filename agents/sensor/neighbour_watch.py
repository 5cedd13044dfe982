"""IPv6 neighbour discovery (RFC 4861): rogue routers, and floods that fill neighbour tables.

Whoever is on the segment can send these under any name, so an alert names a source only where a
router speaks under its own new one, and none is ever verified. A second router alone is ordinary (a
standby, a new one) and told low.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from cachetools import LRUCache

from agents.sensor.flows.packets import ICMPV6, Packets
from agents.sensor.watch_alerts import SECOND, AlertMaker, Sighting
from datasets.captures.pcap import rows
from ontology.addresses import to_address
from ontology.records import Alert

ADVERTISEMENT, SOLICIT, ADVERTISE = 134, 135, 136
MAX_ROUTERS = 64
"""Known at once: a segment has two or three. Beyond, it is a flood."""
BLOCK = 5000
"""Router advertisements looked at one by one per block of packets; more are counted only."""
REPEATS, REPEAT_US = 5, 60 * SECOND
"""Advertisements in a minute by a router that is new: one that is set up as by default sends three
at first and then one in 200 s or more (RFC 4861, section 6.2.1), ``fake_router6`` one in five
seconds."""
SETTLED_US = 1800 * SECOND
"""After so long (the default lifetime of a router) a new one belongs to the segment."""
FLOOD, FLOOD_US = 512, 10 * SECOND
"""Different neighbours, or routers, in the window: Linux begins to throw neighbours out at 512
(``gc_thresh2``) and takes no more at 1024."""
CHANGED, SUSPICIOUS, CERTAIN = 0.3, 0.6, 0.85
"""Confidence of a new router: without a sign, with one, with two."""
_HIGH = 0x08
"""Preference high, of the bits 0x18 (RFC 4191, section 2.1)."""


@dataclass(slots=True)
class _Router:
    begin_us: int
    hardware: bytes
    """Of its first advertisement's option; empty: none."""
    first: bool
    """The first that was heard on this segment."""
    times: deque[int] = field(default_factory=lambda: deque(maxlen=REPEATS))
    count: int = 0
    signs: set[str] = field(default_factory=set)
    reported: tuple[float, int] = (0.0, 0)


@dataclass(slots=True)
class _Flood:
    window: int = -1
    begin_us: int = 0
    names: set[bytes] = field(default_factory=set)
    packets: int = 0
    reported: int = 0


class NeighbourWatch:
    """Routers and neighbours of one sensor's segment. Pure: time comes with the packets."""

    def __init__(self, sensor: str) -> None:
        self.alerts = AlertMaker(sensor)
        self._routers: LRUCache[bytes, _Router] = LRUCache(MAX_ROUTERS)
        self._floods = {"neighbour": _Flood(), "router": _Flood()}
        self.evicted = 0
        """Routers forgotten and advertisements passed over for want of room."""

    def on_packets(self, packets: Packets) -> list[Alert]:
        """Alerts that the neighbour discovery in a block brings about."""
        kind = packets.src_port
        found = packets.protocol == ICMPV6
        if not found.any():
            return []
        alerts = []
        asked = np.flatnonzero(
            found & ((kind == SOLICIT) | (kind == ADVERTISE)) & (packets.payload_length >= 16)
        )
        if len(asked):
            targets = rows(packets.data, packets.payload_offset[asked], 16)
            # Who asks and who is asked for: either fills a table.
            alerts += self._count("neighbour", packets.time_us[asked], packets.src[asked], targets)
        spoken = np.flatnonzero(found & (kind == ADVERTISEMENT) & (packets.payload_length >= 8))
        if len(spoken):
            alerts += self._count("router", packets.time_us[spoken], packets.src[spoken])
            self.evicted += max(len(spoken) - BLOCK, 0)
            for row in spoken[:BLOCK].tolist():
                # In a flood each is another's name: it is told as one.
                if self._floods["router"].packets < FLOOD:
                    alert = self._on_router(packets, row)
                    alerts += [] if alert is None else [alert]
        return alerts

    def _count(self, what: str, times: np.ndarray, *names: np.ndarray) -> list[Alert]:
        """Take in (n, 16) names, window by window: a block of a slow capture holds hours."""
        windows = times // FLOOD_US
        alerts = []
        for window in np.unique(windows).tolist():
            here = windows == window
            distinct = np.unique(np.vstack([each[here] for each in names]), axis=0)
            alerts += self._add(what, window, distinct, times[here])
        return alerts

    def _add(self, what: str, window: int, names: np.ndarray, times: np.ndarray) -> list[Alert]:
        now = int(times.max())
        flood = self._floods[what]
        if window != flood.window:
            flood = self._floods[what] = _Flood(window=window, begin_us=int(times.min()))
        flood.packets += len(times)
        room = 4 * FLOOD - len(flood.names)
        flood.names.update(name.tobytes() for name in names[: max(room, 0)])
        if len(flood.names) < FLOOD or flood.packets < 2 * flood.reported:
            return []
        flood.reported = flood.packets
        alert = self.alerts.alert(
            Sighting(
                classification="NeighbourFlood",
                key=what,
                source=None,
                target=None,
                begin_us=flood.begin_us,
                end_us=now,
                count=flood.packets,
                confidence=0.6 + 0.3 * min(len(flood.names) / (4 * FLOOD), 1.0),
                explanation=(
                    f"{len(flood.names)} different {what}s in {flood.packets} messages in "
                    f"{(now - flood.begin_us) / SECOND:.1f} s: neighbour tables hold 1024"
                ),
                protocol=ICMPV6,
                source_count=len(flood.names),
            )
        )
        return [] if alert is None else [alert]

    def _on_router(self, packets: Packets, row: int) -> Alert | None:
        name, now = packets.src[row].tobytes(), int(packets.time_us[row])
        begin = int(packets.payload_offset[row])
        end = begin + int(packets.payload_length[row])
        head = packets.data[begin - 4 : begin].tobytes()
        preference, lifetime = head[1] & 0x18, int.from_bytes(head[2:4], "big")
        hardware = _hardware(packets.data[begin + 8 : min(end, begin + 200)].tobytes())
        router = self._routers.get(name)
        if router is None:
            self.evicted += len(self._routers) == self._routers.maxsize
            router = _Router(begin_us=now, hardware=hardware, first=not self._routers)
            self._routers[name] = router
        router.count += 1
        router.times.append(now)
        impostor = bool(router.hardware and hardware and hardware != router.hardware)
        if impostor:
            router.signs.add(f"{_hex(hardware)} speaks in the name of {_hex(router.hardware)}")
            if lifetime == 0:
                router.signs.add("and ends its service")
        elif router.first or now - router.begin_us > SETTLED_US:
            return None
        else:
            if preference == _HIGH:
                router.signs.add("it wants to be preferred")
            pace = len(router.times) == REPEATS and now - router.times[0] <= REPEAT_US
            if pace:
                router.signs.add(f"{REPEATS} advertisements in a minute")
        confidence = (CHANGED, SUSPICIOUS, CERTAIN)[min(len(router.signs), 2)]
        before, count = router.reported
        if confidence <= before and router.count < 2 * count:
            return None
        router.reported = (confidence, router.count)
        why = "; ".join(sorted(router.signs)) or "perhaps a standby or a new one"
        return self.alerts.alert(
            Sighting(
                classification="RogueRouter",
                key=name.hex(),
                source=None if impostor else to_address(name),
                target=to_address(name) if impostor else None,
                begin_us=router.begin_us,
                end_us=now,
                count=router.count,
                confidence=confidence,
                explanation=f"another router, {to_address(name)}, on this segment: {why}",
                protocol=ICMPV6,
            )
        )


def _hardware(options: bytes) -> bytes:
    """The source link-layer address among them; empty: none (RFC 4861, section 4.6.1)."""
    at = 0
    while at + 8 <= len(options) and options[at + 1]:
        if options[at] == 1:
            return options[at + 2 : at + 8]
        at += 8 * options[at + 1]
    return b""


def _hex(hardware: bytes) -> str:
    return hardware.hex(":")
