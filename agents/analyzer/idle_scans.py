"""Scans in a zombie's name (nmap -sI): the sampling of the zombie, and the probes it seems to send.

The scanner sends SYN-ACKs to a host that never asked and reads the IP identification of its RSTs;
between two samples it sends SYNs in the zombie's name (Sanfilippo 1998). A sensor at the zombie
sees the samples, one at the target the forged SYNs; one that sees both joins them here. The zombie
is innocent: no alert of this detector names it as source, and none is verified, as nobody completes
a handshake.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

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
    to_address,
)
from ontology.records import Alert

SAMPLES = 6
"""Unasked SYN-ACKs to one port: nmap sends six (``IPID_PROBES``) before it trusts a zombie."""
PORTS = 5
"""Ports probed in the name of a sampled zombie; nobody's ordinary use coincides with samples."""
WINDOW_US = 300 * SECOND
MAX_PAIRS = 4096
MAX_PORTS = 4096
EPHEMERAL = 1024
"""A victim of a flood answers from its service's low port to whatever address was forged: that is
backscatter, not sampling. ``nmap -g 80`` hides behind this."""


@dataclass(slots=True)
class _Samples:
    finding: Finding = field(default_factory=Finding)
    ports: set[int] = field(default_factory=set)
    """The sampler's source ports."""


@dataclass(slots=True)
class _Probes:
    finding: Finding = field(default_factory=Finding)
    ports: set[int] = field(default_factory=set)


class IdleScans:
    """Sampling of zombies, and what is scanned by way of them."""

    def __init__(self) -> None:
        self._samples: Table[_Samples] = Table(_Samples, MAX_PAIRS)
        self._probes: Table[_Probes] = Table(_Probes, MAX_PAIRS)
        self._zombies: Table[list[tuple[bytes, int]]] = Table(list, MAX_PAIRS)
        """Zombie to its last sampler and when."""

    def counters(self) -> dict[str, int]:
        return {"idle_scan_evicted": self._samples.evicted + self._probes.evicted}

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        rows = view.rows
        # The flow table makes the receiver of a SYN-ACK the originator: source is the zombie.
        unasked = (
            view.tcp
            & (rows["orig_flags"] & ~np.uint8(RST | ACK) == 0)
            & (rows["resp_flags"] & (SYN | ACK) == SYN | ACK)
            & (rows["resp_bytes"] == 0)
            & (rows["dst_port"] >= EPHEMERAL)
            # A zombie behind a filter says nothing, a live client would acknowledge.
            & ((rows["orig_flags"] & RST > 0) | (rows["orig_packets"] == 0))
        )
        alerts: list[Alert] = []
        for group in view.groups(unasked, view.source, view.target, rows["src_port"]):
            alerts += self._sampled(view, reporter, group)
        # Looked up only once a zombie is known: nearly never.
        if len(self._zombies):
            probes = view.unanswered_syn & ~view.crowd
            for group in view.groups(probes, view.source, view.target):
                alerts += self._probed(view, reporter, group)
        return alerts

    def _sampled(self, view: View, reporter: Reporter, rows: np.ndarray) -> list[Alert]:
        zombie = view.sources[view.source[rows[0]]]
        sampler = view.targets[view.target[rows[0]]]
        port = int(view.rows["src_port"][rows[0]])
        key = (zombie, sampler, port)
        track = self._samples.get(key)
        finding = track.finding
        if finding.count and int(view.start[rows].min()) > finding.end_us + WINDOW_US:
            self._samples.drop(key)
            track = self._samples.get(key)
            finding = track.finding
        finding.add(view, rows, reporter.clusters)
        # The alert is about the sampler: who the rows call originator is its victim.
        finding.sources, finding.targets, finding.verified = {sampler}, {zombie}, False
        if len(track.ports) < MAX_PORTS:
            track.ports.update(view.rows["dst_port"][rows].tolist())
        self._samples.weigh(key, len(track.ports))
        # One connection that was answered after it had been forgotten repeats its own ports.
        if len(track.ports) < SAMPLES:
            return []
        self._zombies.get(zombie)[:] = [(sampler, finding.end_us)]
        if not finding.due("IdleScan"):
            return []
        claim = Claim(
            classification="IdleScan",
            explanation=(
                f"{finding.count} SYN-ACKs that nobody asked for to port {port} of "
                f"{to_address(zombie)} in {seconds(finding)}: its IP identifications are sampled "
                "(it is the zombie, not the attacker)"
            ),
            confidence=0.6 + 0.2 * min((len(track.ports) - SAMPLES) / (4 * SAMPLES), 1.0),
            protocol=TCP,
            target_port=port,
        )
        return [reporter.alert(finding, claim)]

    def _probed(self, view: View, reporter: Reporter, rows: np.ndarray) -> list[Alert]:
        zombie = view.sources[view.source[rows[0]]]
        target = view.targets[view.target[rows[0]]]
        known = self._zombies.get(zombie)
        if not known:
            self._zombies.drop(zombie)
            return []
        sampler, when = known[0]
        if int(view.start[rows].min()) > when + WINDOW_US:
            self._zombies.drop(zombie)
            return []
        if target == sampler:
            return []
        key = (zombie, target)
        track = self._probes.get(key)
        finding = track.finding
        finding.add(view, rows, reporter.clusters)
        finding.sources, finding.targets, finding.verified = {sampler}, {target}, False
        if len(track.ports) < MAX_PORTS:
            track.ports.update(view.rows["dst_port"][rows].tolist())
        self._probes.weigh(key, len(track.ports))
        if len(track.ports) < PORTS or not finding.due("IdleScan"):
            return []
        claim = Claim(
            classification="IdleScan",
            explanation=(
                f"{len(track.ports)} TCP ports probed in the name of {to_address(zombie)}, whose "
                f"IP identifications {to_address(sampler)} samples: "
                f"{listed(sorted(track.ports))}"
            ),
            confidence=0.85,
            protocol=TCP,
        )
        return [reporter.alert(finding, claim)]
