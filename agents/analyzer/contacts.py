"""Findings that a single connection can make: web attacks, contact with a decoy, novelty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.features import ARP
from agents.analyzer.findings import (
    SECOND,
    Claim,
    Finding,
    Reporter,
    Table,
    View,
    seconds,
)
from agents.analyzer.first_attempts import FirstAttempts
from ontology.addresses import packed
from ontology.records import INDICATORS, Address, Alert

IDLE_US = 600 * SECOND
"""After so long without a sign the next one is a finding of its own."""
MAX_PAIRS = 10_000
MAX_FIRST_ATTEMPTS = 20_000
"""Novel connections held back at once, until their hosts show another."""
WEB_ATTACKS = ("SqlInjection", "CrossSiteScripting", "PathTraversal", "CommandInjection")
NOVELTY_CONFIDENCE = (0.2, 0.4)
"""At the radius, and at twice the radius and beyond; straight in between. Unlike training is not
yet hostile: never enough for a decision by itself."""
NOVELTY_MINUTE = 6
"""At most so many novelty alerts a minute of packet time, however strange the traffic: of verified
sources, and as many of others."""
_MINUTE_US = 60 * SECOND
_VERIFIED = 128
"""In the tag of a key: what is verified is a finding of its own."""
CONTACT = "HoneypotContact"
UNVERIFIED_CONTACT = 0.4
"""Confidence of a contact whose source may be forged."""


class WebAttacks:
    """Connections whose payload the sensor marked with an attack on web applications."""

    def __init__(self) -> None:
        self._findings: Table[Finding] = Table(Finding, MAX_PAIRS)

    def counters(self) -> dict[str, int]:
        return {"web_evicted": self._findings.evicted}

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        alerts = []
        for kind in WEB_ATTACKS:
            bit = np.uint32(1 << INDICATORS.index(kind))
            marked = (view.rows["indicators"] & bit) > 0
            for rows in view.groups(marked, view.source, view.target, view.verified):
                key = view.pair_keys(_tag(INDICATORS.index(kind), view, rows), rows[:1])[0]
                finding = _open(self._findings, key, view, rows)
                _add(self._findings, key, finding, view, rows, reporter)
                if not finding.due(kind):
                    continue
                port = int(view.rows["dst_port"][rows[-1]])
                claim = Claim(
                    classification=kind,
                    explanation=(
                        f"{finding.count} connections to port {port} with the marks of {kind} in "
                        f"their payload in {seconds(finding)}"
                    ),
                    # Repeats with several payloads are no accident; one may be a pasted text.
                    confidence=0.7 + 0.2 * min((finding.count - 1) / 10, 1.0),
                    protocol=int(view.rows["protocol"][rows[-1]]),
                    target_port=port,
                )
                alerts.append(reporter.alert(finding, claim))
        return alerts


class HoneypotContacts:
    """Any connection that somebody opens to a decoy."""

    def __init__(self, honeypots: Iterable[Address]) -> None:
        self._raw = np.array([packed(address) for address in honeypots], dtype="S16")
        self._findings: Table[Finding] = Table(Finding, MAX_PAIRS)

    def counters(self) -> dict[str, int]:
        return {"contact_evicted": self._findings.evicted}

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        if not len(self._raw):
            return []
        decoy = np.isin(view.targets, self._raw)[view.target]
        own = np.isin(view.sources, self._raw)[view.source]
        # ARP and the decoy's own neighbours' chatter are the network's doing, not a visit.
        mask = decoy & ~own & view.initiated & (view.rows["protocol"] != ARP)
        alerts = []
        for key, rows in self._groups(view, reporter, mask):
            finding = _open(self._findings, key, view, rows)
            _add(self._findings, key, finding, view, rows, reporter)
            if not finding.due(CONTACT):
                continue
            ports = np.unique(view.rows["dst_port"][rows]).tolist()
            claim = Claim(
                classification=CONTACT,
                explanation=(
                    f"{finding.count} connections to a honeypot in {seconds(finding)}, last to "
                    f"port {ports[-1]}"
                ),
                confidence=0.5 if finding.verified else UNVERIFIED_CONTACT,
                protocol=int(view.rows["protocol"][rows[-1]]),
                target_port=ports[0] if len(ports) == 1 else None,
            )
            alerts.append(reporter.alert(finding, claim))
        return alerts

    def _groups(
        self, view: View, reporter: Reporter, mask: NDArray[np.bool_]
    ) -> Iterator[tuple[bytes, NDArray[np.int64]]]:
        """Source and target as key, their connections, those that are verified apart; new ones that
        proved nothing and would only join a crowd are in it at once: a flood of them costs next to
        nothing."""
        rows, bounds, keys = _pairs(view, mask)
        full = reporter.crowds.full(CONTACT, reporter.now_us)
        proven = view.verified[rows[bounds[:-1]]].tolist()
        found = self._findings.keys()
        crowd = np.zeros(len(view.rows), bool)
        for number, key in enumerate(keys):
            own = rows[bounds[number] : bounds[number + 1]]
            if full and not proven[number] and key not in found:
                crowd[own] = True
            else:
                yield key, own
        for own in view.groups(crowd, view.target, view.rows["protocol"]):
            reporter.crowd(
                Claim(
                    classification=CONTACT,
                    explanation="",
                    confidence=UNVERIFIED_CONTACT,
                    protocol=int(view.rows["protocol"][own[0]]),
                ),
                view,
                own,
            )


class Novelty:
    """Connections beyond the radius of every cluster they could belong to."""

    def __init__(self) -> None:
        self._findings: Table[Finding] = Table(Finding, MAX_PAIRS)
        self._attempts = FirstAttempts(MAX_FIRST_ATTEMPTS)
        # A budget of its own for real sources: forged ones must not use it up.
        self._minute = {True: (0, 0), False: (0, 0)}
        self._held_back = 0

    def counters(self) -> dict[str, int]:
        evicted = self._findings.evicted + self._attempts.evicted
        return {"novelty_evicted": evicted, "novelty_held_back": self._held_back}

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        kind = "UnknownAnomaly"
        alerts = []
        mask = view.assignment.novel & view.initiated & ~view.crowd
        for key, rows in self._groups(view, mask):
            attempt = self._attempts.pop(key)
            if attempt is not None:
                self._findings.put(key, Finding.of(attempt, reporter.clusters))
            finding = _open(self._findings, key, view, rows)
            _add(self._findings, key, finding, view, rows, reporter)
            if not finding.due(kind):
                continue
            minute = int(view.end[rows].max()) // _MINUTE_US
            used = self._used(finding.verified, minute)
            if used >= NOVELTY_MINUTE:
                self._held_back += 1
                continue
            last, _ = self._minute[finding.verified]
            self._minute[finding.verified] = (max(minute, last), used + 1)
            farthest = rows[view.assignment.distance[rows].argmax()]
            cluster = int(view.assignment.cluster[farthest])
            distance = float(view.assignment.distance[farthest])
            claim = Claim(
                classification=kind,
                explanation=(
                    f"{finding.count} connections unlike any in training in {seconds(finding)}; "
                    f"farthest: {reporter.model.describe(cluster, distance)}"
                ),
                confidence=novelty_confidence(distance, float(reporter.model.radius[cluster])),
                protocol=int(view.rows["protocol"][farthest]),
                target_port=int(view.rows["dst_port"][farthest]),
            )
            alerts.append(reporter.alert(finding, claim))
        return alerts

    def _groups(
        self, view: View, mask: NDArray[np.bool_]
    ) -> Iterator[tuple[bytes, NDArray[np.int64]]]:
        """Source and target as key, their connections; what is held back at once is noted only."""
        rows, bounds, keys = _pairs(view, mask)
        first = rows[bounds[:-1]]
        alone = ((np.diff(bounds) == 1) & ~view.verified[first]).tolist()
        minutes = (view.end[first] // _MINUTE_US).tolist()
        found, attempted = self._findings.keys(), self._attempts.keys()
        new = []
        for number, key in enumerate(keys):
            if (
                alone[number]
                and self._used(False, minutes[number]) >= NOVELTY_MINUTE
                and key not in found
                and key not in attempted
            ):
                new.append(number)
            else:
                yield key, rows[bounds[number] : bounds[number + 1]]
        self._held_back += len(new)
        if new:
            self._attempts.put([keys[n] for n in new], view.attempts(first[new], mask))

    def _used(self, verified: bool, minute: int) -> int:
        """How much of the budget of ``minute`` is gone."""
        last, used = self._minute[verified]
        return used if minute <= last else 0


def novelty_confidence(distance: float, radius: float) -> float:
    """Of a connection ``distance`` from the centre of a cluster with ``radius``."""
    low, high = NOVELTY_CONFIDENCE
    excess = distance / radius - 1.0 if radius > 0.0 else 1.0
    return low + (high - low) * min(max(excess, 0.0), 1.0)


def _pairs(
    view: View, mask: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[bytes]]:
    """`View.runs` by source, target and whether they are verified, and a key for each."""
    rows, bounds = view.runs(mask, view.source, view.target, view.verified)
    first = rows[bounds[:-1]]
    keys = view.pair_keys(0, first)
    for number in np.flatnonzero(view.verified[first]).tolist():
        keys[number] = bytes((_VERIFIED,)) + keys[number][1:]
    return rows, bounds, keys


def _tag(tag: int, view: View, rows: NDArray[np.int64]) -> int:
    """The tag of a key, another one if the rows (alike in that) are verified."""
    return tag | _VERIFIED if view.verified[rows[0]] else tag


def _open(table: Table[Finding], key: bytes, view: View, rows: NDArray[np.int64]) -> Finding:
    finding = table.get(key)
    if finding.count and view.first_us(rows) > finding.end_us + IDLE_US:
        table.drop(key)
        finding = table.get(key)
    return finding


def _add(
    table: Table[Finding],
    key: bytes,
    finding: Finding,
    view: View,
    rows: NDArray[np.int64],
    reporter: Reporter,
) -> None:
    finding.add(view, rows, reporter.clusters)
    if finding.verified:
        table.prove(key)
