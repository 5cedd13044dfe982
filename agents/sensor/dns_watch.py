"""Tunnels in DNS: data in the names that are asked for.

What a tunnel sends up stands in names, which must be long to carry anything and never the same, or
some cache would answer. Connection records hold no names, so the watch is part of the sensor; what
it finds leaves as alerts. Whoever asks for somebody else (a resolver) is named in that one's place,
and a question's source can be forged: it is never verified.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from cachetools import LRUCache

from agents.sensor.flows.packets import UDP, Packets
from agents.sensor.watch_alerts import SECOND, AlertMaker, Sighting
from datasets.captures.pcap import rows
from ontology.addresses import to_address
from ontology.records import Alert

PORT = 53
LONG = 52
"""Characters of a name: longer ones are worth a look (Farnham, "Detecting DNS Tunneling", SANS
2013). iodine, dns2tcp and dnscat2 fill up to 255."""
NAMES = 20
"""Different long names under one domain: a content network or a directory has a few, and the same
again. Twenty carry a kilobyte."""
WINDOW_US = 300 * SECOND
MAX_DOMAINS = 4096
MAX_NAMES = 256
"""Kept per client and domain; beyond, the count is a lower bound."""
BLOCK_NAMES = 2000
"""Long names read per block of packets; more are passed over, counted."""
_HEADER, _NAME = 12, 255


@dataclass(slots=True)
class _Domain:
    begin_us: int
    last_us: int = 0
    names: set[bytes] = field(default_factory=set)
    questions: int = 0
    characters: int = 0
    reported: int = 0
    """Questions when last reported."""


class DnsWatch:
    """Long names by client and domain. Pure: time comes with the packets."""

    def __init__(self, sensor: str) -> None:
        self.alerts = AlertMaker(sensor)
        self._domains: LRUCache[tuple[bytes, bytes], _Domain] = LRUCache(MAX_DOMAINS)
        self.evicted = 0
        """Domains forgotten and names passed over for want of room."""
        self.cited: list[int] = []
        """Packets of the last block that an alert rests on."""

    def on_packets(self, packets: Packets) -> list[Alert]:
        """Alerts that the questions of a block bring about."""
        self.cited = []
        least = _HEADER + LONG + 2 + 4
        which = np.flatnonzero(
            (packets.protocol == UDP) & (packets.dst_port == PORT) & ~packets.fragment
            & (packets.payload_bytes >= least) & (packets.payload_length >= least)
        )  # fmt: skip
        if not len(which):
            return []
        head = rows(packets.data, packets.payload_offset[which], _HEADER)
        # A standard question for one name (RFC 1035, section 4.1.1).
        asks = (head[:, 2] & 0xF8 == 0) & (head[:, 4] == 0) & (head[:, 5] == 1)
        which = which[asks]
        self.evicted += max(len(which) - BLOCK_NAMES, 0)
        alerts = []
        for row in which[:BLOCK_NAMES].tolist():
            begin = int(packets.payload_offset[row])
            length = min(int(packets.payload_length[row]), _HEADER + _NAME)
            labels = _labels(packets.data[begin + _HEADER : begin + length].tobytes())
            if sum(map(len, labels)) + len(labels) - 1 < LONG or labels[-1] == b"arpa":
                continue
            alert = self._on_name(labels, packets, row)
            if alert is not None:
                alerts.append(alert)
                self.cited.append(row)
        return alerts

    def _on_name(self, labels: list[bytes], packets: Packets, row: int) -> Alert | None:
        # Under a country's registry a domain has three labels (co.uk).
        short = len(labels[-1]) == 2 and len(labels) > 2 and len(labels[-2]) <= 3
        kept = 3 if short else 2
        domain = b".".join(labels[-kept:])
        now, client = int(packets.time_us[row]), packets.src[row].tobytes()
        key = (client, domain)
        entry = self._domains.get(key)
        if entry is None or now - entry.begin_us > WINDOW_US:
            self.evicted += entry is None and len(self._domains) == self._domains.maxsize
            entry = self._domains[key] = _Domain(begin_us=now)
        varied = b".".join(labels[:-kept])
        entry.last_us = max(now, entry.last_us)
        entry.questions += 1
        if varied not in entry.names and len(entry.names) < MAX_NAMES:
            entry.names.add(varied)
            entry.characters += len(varied)
        if len(entry.names) < NAMES or entry.questions < 2 * entry.reported:
            return None
        entry.reported = entry.questions
        shown = domain.decode("ascii", "backslashreplace")
        return self.alerts.alert(
            Sighting(
                classification="Tunnelling",
                key=f"{client.hex()}|{domain.hex()}",
                source=to_address(client),
                target=to_address(packets.dst[row].tobytes()),
                begin_us=entry.begin_us,
                end_us=entry.last_us,
                count=entry.questions,
                # 0.6 at the threshold, 0.8 from ten times as many.
                confidence=0.6 + 0.2 * min(len(entry.names) / (10 * NAMES), 1.0),
                explanation=(
                    f"{len(entry.names)} different names of {LONG} characters or more under "
                    f"{shown!r} in {(entry.last_us - entry.begin_us) / SECOND:.0f} s, "
                    f"{entry.characters} characters in all: data travels in them"
                ),
                protocol=UDP,
                target_port=PORT,
            )
        )


def _labels(data: bytes) -> list[bytes]:
    """Of the name that ``data`` begins with, in lower case, as far as it is one."""
    at, found = 0, []
    while at < len(data) and 0 < (length := data[at]) < 64:
        found.append(data[at + 1 : at + 1 + length].lower())
        at += 1 + length
    return found
