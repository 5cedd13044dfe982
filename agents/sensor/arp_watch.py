"""Who claims which IPv4 address by ARP, and who claims another's (ARP spoofing).

Every ARP packet of a sender with an address is a claim "this address is at this hardware address"
(RFC 826). The watch runs in the sensor because connection records hold no hardware addresses; what
it finds leaves the sensor as alerts, as what other tools find does (docs/inputs.md).

One change alone is ordinary (a lease that went on, a new network card, a standby that took over)
and reported low; graver is an owner who still claims its address, one host that takes several
addresses, and claims repeated without being asked. Nobody's IP address is proven by any of this:
the source is the address that the claimer held before, if there is just one, and never verified.
"""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TypeVar

import numpy as np
from cachetools import Cache, FIFOCache, LRUCache

from agents.sensor.flows.packets import ARP, Packets
from datasets.captures.pcap import rows
from ontology.records import Alert

SECOND = 1_000_000
MAX_ADDRESSES = 8192
"""A /19; ARP does not leave a segment. The longest unheard are forgotten, counted."""
MAX_OWN = 16
"""Addresses remembered per claimer."""
CONTEST_US = 300 * SECOND
"""The old and the new owner both claim within this: two hosts at once, not one after the other."""
REPEAT_US = 60 * SECOND
REPEATS = 5
"""Unasked replies within a minute. A standby that takes over announces itself a few times at most
(RFC 5227: two announcements), arpspoof every two seconds for as long as it runs."""
THEFTS = 2
"""Addresses taken from others within `CONTEST_US`: both ends of a conversation."""
CHANGED, SUSPICIOUS, CERTAIN = 0.3, 0.6, 0.85
"""Confidence: one change; contested, repeated or several; two of these. Two network cards of one
host on one segment contest each other for ever ("ARP flux"), hence no more than 0.6 for one."""
AGAIN_US = 60 * SECOND
ALERTS_MINUTE = 120
"""A segment on which more changes is one flood of claims; it needs no alert for each address."""

_VIRTUAL = (
    b"\x00\x00\x5e\x00\x01",  # VRRP, RFC 5798
    b"\x00\x00\x5e\x00\x02",
    b"\x00\x00\x0c\x07\xac",  # HSRP
    b"\x00\x00\x0c\x9f",
    b"\x00\x07\xb4",  # GLBP
)
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://w3id.org/ontoidps#ArpSpoofing")
_BLOCK_CLAIMS = 20_000
"""Distinct claims looked at per block; a flood of made-up ones is cut, counted."""


@dataclass(slots=True)
class _Binding:
    """One address."""

    owner: bytes
    """Hardware address that held it first (or held it unopposed for `CONTEST_US`)."""
    seen: dict[bytes, int] = field(default_factory=dict)
    """Hardware address to the last time it claimed this; at most four."""
    taken_us: int = 0
    """When the last other claim came; 0: never."""
    taker: bytes = b""
    unasked: deque[int] = field(default_factory=lambda: deque(maxlen=REPEATS))
    """Times of the taker's replies that answered nobody."""
    reported: tuple[float, int, int] = (0.0, 0, 0)
    """Of the open alert: confidence, when last reported, begin."""
    claims: int = 0
    """Of the taker."""


Key = TypeVar("Key")
Value = TypeVar("Value")


class ArpWatch:
    """Bindings of one sensor's segment. Pure: time comes with the packets."""

    def __init__(self, sensor: str) -> None:
        self._sensor = sensor
        self._bindings: LRUCache[int, _Binding] = LRUCache(MAX_ADDRESSES)
        self._owned: dict[bytes, set[int]] = {}
        """Hardware address to the addresses of `_bindings` that it owns."""
        self._asked: FIFOCache[tuple[int, int], int] = FIFOCache(MAX_ADDRESSES)
        """(who asked, for what) to when: a reply to these is no claim out of the blue."""
        self._thefts: FIFOCache[bytes, dict[int, int]] = FIFOCache(MAX_ADDRESSES)
        """Claimer to the addresses that it took and when."""
        self.evicted = 0
        """Addresses, questions and claimers forgotten for want of room."""
        self._minute = (0, 0)
        self.held_back = 0
        """Alerts beyond `ALERTS_MINUTE`."""

    def on_packets(self, packets: Packets) -> list[Alert]:
        """Alerts that the ARP packets of a block bring about."""
        which = np.flatnonzero(packets.protocol == ARP)
        if not len(which):
            return []
        # The payload begins behind the 28 bytes: operation, then sender and target (RFC 826).
        body = rows(packets.data, packets.payload_offset[which] - 28, 28)
        # Equal claims of one block are one: the first and last of each.
        _, first, inverse, counts = np.unique(
            body[:, 6:28], axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        order = np.sort(first)[:_BLOCK_CLAIMS]
        self.evicted += max(len(first) - _BLOCK_CLAIMS, 0)
        alerts = []
        times = packets.time_us[which]
        number_of = inverse.reshape(-1)
        for index in order.tolist():
            claim = body[index].tobytes()
            alert = self._on_claim(claim, int(times[index]), int(counts[number_of[index]]))
            if alert is not None:
                alerts.append(alert)
        return alerts

    def _on_claim(self, body: bytes, now: int, count: int) -> Alert | None:
        mac, address = body[8:14], int.from_bytes(body[14:18], "big")
        target = int.from_bytes(body[24:28], "big")
        reply = body[7] == 2
        if not reply and target != address:
            self._remember(self._asked, (address, target), now)
        # 0.0.0.0 asks whether an address is free (RFC 5227), a group can't be anybody's hardware.
        if address == 0 or mac[0] & 1 or not any(mac):
            return None
        binding = self._bindings.get(address)
        if binding is None:
            if len(self._bindings) == self._bindings.maxsize:
                gone, forgotten = self._bindings.popitem()
                self._disown(gone, forgotten.owner)
                self.evicted += 1
            self._bindings[address] = _Binding(owner=mac, seen={mac: now})
            self._owned.setdefault(mac, set()).add(address)
            return None
        before = binding.seen.get(binding.owner, 0)
        binding.seen[mac] = now
        if len(binding.seen) > 4:
            oldest = min(binding.seen, key=lambda known: binding.seen[known])
            del binding.seen[oldest]
        if mac == binding.owner:
            contested = binding.taken_us and now - binding.taken_us <= CONTEST_US
            return self._judge(address, binding, now) if contested else None
        if mac.startswith(_VIRTUAL):
            self._own(address, binding, mac)
            return None
        if binding.taker != mac or now - binding.taken_us > CONTEST_US:
            binding.taker, binding.claims = mac, 0
            binding.unasked.clear()
            binding.reported = (0.0, 0, 0)
        confidence, _, begin = binding.reported
        if 0 < confidence <= CHANGED and now - max(begin, before) > CONTEST_US:
            # The new one has been the only one for long, and quiet: it owns the address now.
            self._own(address, binding, mac)
            return None
        binding.taken_us = now
        binding.claims += count
        asked = self._asked.get((target, address))
        if reply and (asked is None or now - asked > 2 * SECOND):
            binding.unasked.extend([now] * min(count, REPEATS))
        thefts = self._thefts.get(mac, {})
        if len(thefts) < MAX_OWN or address in thefts:
            thefts[address] = now
        self._remember(self._thefts, mac, thefts)
        return self._judge(address, binding, now)

    def _own(self, address: int, binding: _Binding, mac: bytes) -> None:
        self._disown(address, binding.owner)
        self._owned.setdefault(mac, set()).add(address)
        binding.owner, binding.taker, binding.taken_us = mac, b"", 0

    def _disown(self, address: int, mac: bytes) -> None:
        held = self._owned.get(mac, set())
        held.discard(address)
        if not held:
            self._owned.pop(mac, None)

    def _remember(self, memory: Cache[Key, Value], key: Key, value: Value) -> None:
        self.evicted += key not in memory and len(memory) == memory.maxsize
        memory[key] = value

    def _judge(self, address: int, binding: _Binding, now: int) -> Alert | None:
        taker = binding.taker
        if not taker:
            return None
        owner_us = binding.seen.get(binding.owner, 0)
        taker_us = binding.seen.get(taker, now)
        signs = []
        # The owner spoke after the taker had: they are two, and both are there.
        if owner_us >= taker_us and now - taker_us <= CONTEST_US and owner_us > 0:
            signs.append("the owner still claims it")
        recent = [when for when in binding.unasked if now - when <= REPEAT_US]
        if len(recent) >= REPEATS:
            signs.append(f"claimed {binding.claims} times without being asked")
        stolen = [
            other for other, when in self._thefts.get(taker, {}).items() if now - when <= CONTEST_US
        ]
        if len(stolen) >= THEFTS:
            signs.append(f"the same host took {len(stolen)} addresses")
        confidence = (CHANGED, SUSPICIOUS, CERTAIN, CERTAIN)[len(signs)]
        before, reported_us, begin = binding.reported
        if confidence < before or (confidence == before and now - reported_us < AGAIN_US):
            return None
        minute = now // (60 * SECOND)
        used = self._minute[1] if minute <= self._minute[0] else 0
        if used >= ALERTS_MINUTE:
            self.held_back += 1
            return None
        self._minute = (max(minute, self._minute[0]), used + 1)
        begin = begin or taker_us
        binding.reported = (confidence, now, begin)
        return self._alert(address, binding, signs, confidence, begin, now)

    def _alert(
        self,
        address: int,
        binding: _Binding,
        signs: list[str],
        confidence: float,
        begin: int,
        now: int,
    ) -> Alert:
        taker = binding.taker
        own = list(self._owned.get(taker, set()) - {address})[:2]
        identity = f"{self._sensor}|{address}|{taker.hex()}|{begin}"
        why = "; ".join(signs) or "one change: perhaps a new lease, card or standby"
        return Alert(
            id=uuid.uuid5(_NAMESPACE, identity).urn,
            classification="ArpSpoofing",
            source=IPv4Address(own[0]) if len(own) == 1 else None,
            target=IPv4Address(address),
            protocol=ARP,
            begin_us=min(begin, now),
            end_us=now,
            count=max(binding.claims, 1),
            confidence=confidence,
            verified_source=False,
            sensor=self._sensor,
            analyzer=self._sensor,
            explanation=(
                f"{IPv4Address(address)} was at {_hex(binding.owner)}, {_hex(taker)} claims it: "
                f"{why}"
            ),
        )


def _hex(mac: bytes) -> str:
    return mac.hex(":")
