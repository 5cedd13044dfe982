"""ARP answers that nobody asked for, told to one host: how a third comes between two.

`agents.sensor.arp_watch` tells who took an address from whom, for which it must have heard the
owner before. Here it doesn't matter who was first. An announcement (RFC 5227) goes to everybody and
names the address as its own target; an answer goes to who asked. What is neither is pushed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import numpy as np
from cachetools import FIFOCache, LRUCache

from agents.sensor.flows.packets import ARP, Packets
from agents.sensor.watch_alerts import SECOND, AlertMaker, Sighting
from datasets.captures.pcap import rows
from ontology.records import Alert

REPEATS, REPEAT_US = 5, 60 * SECOND
"""Pushed answers for one address in a minute: arpspoof sends one every two seconds. One or two may
be answers to a question that the capture lost."""
ASKED_US = 2 * SECOND
MAX_CLAIMERS, MAX_QUESTIONS = 4096, 8192
MAX_ADDRESSES = 16
"""Remembered per claimer."""
ONE, SEVERAL = 0.4, 0.6
"""Confidence: one address (a script that moves a service to a standby does so too); two or more, as
both ends of a conversation."""
_BLOCK_CLAIMS = 5000


@dataclass(slots=True)
class _Claimer:
    begin_us: int = 0
    pushed: dict[int, deque[int]] = field(default_factory=dict)
    """Address to the times of its last answers."""
    own: set[int] = field(default_factory=set)
    """Addresses that it asked in the name of."""
    count: int = 0
    reported: tuple[float, int] = (0.0, 0)


class ArpPushes:
    """Who pushes which addresses on one sensor's segment. Pure: time comes with the packets."""

    def __init__(self, sensor: str) -> None:
        self.alerts = AlertMaker(sensor)
        self._claimers: LRUCache[bytes, _Claimer] = LRUCache(MAX_CLAIMERS)
        self._asked: FIFOCache[tuple[int, int], int] = FIFOCache(MAX_QUESTIONS)
        """(who asked, for what) to when."""
        self.evicted = 0
        """Claimers and questions forgotten, and claims passed over, for want of room."""

    def on_packets(self, packets: Packets) -> list[Alert]:
        """Alerts that the ARP packets of a block bring about."""
        which = np.flatnonzero(packets.protocol == ARP)
        if not len(which):
            return []
        # Operation, then hardware and address of the sender and the target (RFC 826).
        body = rows(packets.data, packets.payload_offset[which] - 28, 28)
        self.evicted += max(len(which) - _BLOCK_CLAIMS, 0)
        alerts = []
        for row, now in zip(body[:_BLOCK_CLAIMS], packets.time_us[which].tolist(), strict=False):
            alert = self._on_claim(row.tobytes(), now)
            if alert is not None:
                alerts.append(alert)
        return alerts

    def _on_claim(self, body: bytes, now: int) -> Alert | None:
        mac, address = body[8:14], int.from_bytes(body[14:18], "big")
        told, target = body[18:24], int.from_bytes(body[24:28], "big")
        if address == 0 or mac[0] & 1 or not any(mac):
            return None
        if body[7] != 2:
            if target != address:
                key = (address, target)
                self.evicted += key not in self._asked and len(self._asked) == MAX_QUESTIONS
                self._asked[key] = now
                asker = self._claimer(mac, now)
                if len(asker.own) < MAX_ADDRESSES:
                    asker.own.add(address)
            return None
        asked = self._asked.get((target, address))
        if target in (0, address) or told[0] & 1 or (asked is not None and now - asked <= ASKED_US):
            return None
        claimer = self._claimer(mac, now)
        if not claimer.count:
            claimer.begin_us = now
        if address not in claimer.pushed and len(claimer.pushed) >= MAX_ADDRESSES:
            return None
        claimer.count += 1
        claimer.pushed.setdefault(address, deque(maxlen=REPEATS)).append(now)
        return self._judge(mac, claimer, now)

    def _claimer(self, mac: bytes, now: int) -> _Claimer:
        claimer = self._claimers.get(mac)
        if claimer is None:
            self.evicted += len(self._claimers) == self._claimers.maxsize
            claimer = self._claimers[mac] = _Claimer(begin_us=now)
        return claimer

    def _judge(self, mac: bytes, claimer: _Claimer, now: int) -> Alert | None:
        pushed = sorted(
            address
            for address, times in claimer.pushed.items()
            if len(times) == REPEATS and now - times[0] <= REPEAT_US
        )
        if not pushed:
            return None
        confidence = SEVERAL if len(pushed) > 1 else ONE
        before, count = claimer.reported
        if confidence <= before and claimer.count < 2 * count:
            return None
        claimer.reported = (confidence, claimer.count)
        own = claimer.own - claimer.pushed.keys()
        named = ", ".join(str(IPv4Address(address)) for address in pushed[:4])
        return self.alerts.alert(
            Sighting(
                classification="ArpSpoofing",
                key=f"push|{mac.hex()}",
                # Its own address, if it ever asked in one that it does not push.
                source=IPv4Address(next(iter(own))) if len(own) == 1 else None,
                target=IPv4Address(pushed[0]) if len(pushed) == 1 else None,
                begin_us=claimer.begin_us,
                end_us=now,
                count=claimer.count,
                confidence=confidence,
                explanation=(
                    f"{mac.hex(':')} told one host again and again, without being asked, that "
                    f"it has {len(pushed)} address{'es' if len(pushed) > 1 else ''}: {named}"
                ),
                protocol=ARP,
            )
        )
