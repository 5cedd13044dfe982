"""TCP reflection: services that answer SYNs sent in a victim's name flood it with SYN-ACKs.

The victim and the services are both innocent, and who forged the SYNs is seen nowhere: nobody is
named. A sensor at the victim sees the SYN-ACKs alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.features import ACK, RST, SYN, TCP
from agents.analyzer.findings import (
    SECOND,
    Claim,
    Finding,
    Reporter,
    Table,
    View,
    listed,
    seconds,
)
from agents.analyzer.floods import IDLE_US, WINDOW_S
from ontology.records import Alert

SYN_ACKS = 100
"""In `WINDOW_S`: as many as SYNs make a flood, since a reflector sends one or more for each (six
while Linux's ``tcp_synack_retries`` is 5 and nobody resets them)."""
REFLECTORS = 10
"""From so many hosts at least: an idle scanner samples its zombie with SYN-ACKs too, alone."""
MAX_VICTIMS = 1024
MAX_REFLECTORS = 4096
"""Kept per victim; beyond, the count is a lower bound."""


@dataclass(slots=True)
class _Victim:
    finding: Finding = field(default_factory=Finding)
    per_second: dict[int, int] = field(default_factory=dict)
    """SYN-ACKs by second of packet time."""
    reflectors: set[bytes] = field(default_factory=set)
    ports: Counter[int] = field(default_factory=Counter)
    """Of the services."""
    packets: int = 0


class Reflections:
    """Unasked SYN-ACKs of many services to one host."""

    def __init__(self) -> None:
        self._victims: Table[_Victim] = Table(_Victim, MAX_VICTIMS)

    def counters(self) -> dict[str, int]:
        return {"reflection_evicted": self._victims.evicted}

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        table = view.rows
        # The flow table makes the receiver of a SYN-ACK the originator: source is the victim.
        unasked = (
            view.tcp
            & (table["orig_flags"] & ~np.uint8(RST | ACK) == 0)
            & (table["resp_flags"] & (SYN | ACK) == SYN | ACK)
            & (table["resp_flags"] & ~np.uint8(SYN | ACK | RST) == 0)
            & (table["resp_bytes"] == 0)
            # A live client would acknowledge; a route that shows one direction shows data as well.
            & ((table["orig_flags"] & RST > 0) | (table["orig_packets"] == 0))
        )
        alerts = []
        for rows in view.groups(unasked, view.source):
            alerts += self._look(view, reporter, rows)
        return alerts

    def _look(self, view: View, reporter: Reporter, rows: NDArray[np.int64]) -> list[Alert]:
        raw = view.sources[view.source[rows[0]]]
        victim = self._victims.get(raw)
        if victim.finding.count and view.first_us(rows) > victim.finding.end_us + IDLE_US:
            self._victims.drop(raw)
            victim = self._victims.get(raw)
        finding = victim.finding
        finding.add(view, rows, reporter.clusters)
        if len(victim.reflectors) < MAX_REFLECTORS:
            victim.reflectors.update(view.targets[np.unique(view.target[rows])].tolist())
        # Who the rows call originator is the victim.
        finding.sources, finding.targets = set(victim.reflectors), {raw}
        finding.verified = False
        packets = view.rows["resp_packets"][rows].astype(np.int64)
        victim.packets += int(packets.sum())
        for when, count in zip((view.end[rows] // SECOND).tolist(), packets.tolist(), strict=True):
            victim.per_second[when] = victim.per_second.get(when, 0) + count
        oldest = max(victim.per_second) - WINDOW_S
        victim.per_second = {s: n for s, n in victim.per_second.items() if s > oldest}
        if len(victim.ports) < MAX_REFLECTORS:
            victim.ports.update(view.rows["dst_port"][rows].tolist())
        held = len(victim.reflectors) + len(victim.ports) + finding.items
        self._victims.weigh(raw, held)
        rate = sum(victim.per_second.values())
        if rate < SYN_ACKS or len(victim.reflectors) < REFLECTORS:
            return []
        if not finding.due("AmplificationFlood"):
            return []
        ports = sorted(port for port, _ in victim.ports.most_common(8))
        claim = Claim(
            classification="AmplificationFlood",
            explanation=(
                f"{rate} SYN-ACKs in {WINDOW_S} s that nobody asked for, from "
                f"{len(victim.reflectors)} reflectors (ports {listed(ports)}); {victim.packets} "
                f"packets in {seconds(finding)}"
            ),
            confidence=0.6 + 0.3 * min(float(np.log2(rate / SYN_ACKS)) / 4, 1.0),
            protocol=TCP,
            source_known=False,
        )
        return [reporter.alert(finding, claim)]
