"""Open services that are used to get at their host: the marks of `agents.sensor.payloads`.

A takeover is one wherever it happens. Mere control of such a service is its owner's daily work, but
on a honeypot nobody works.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.findings import SECOND, Claim, Finding, Reporter, Table, View, seconds
from ontology.addresses import packed
from ontology.records import INDICATORS, Address, Alert

KIND = "ConfigurationAbuse"
IDLE_US = 600 * SECOND
MAX_PAIRS = 10_000
CONTROLLED, TAKEN = 0.6, 0.75
"""Confidence of the first; repeats add 0.15 at most."""
_CONTROL, _TAKEOVER = (
    np.uint32(1 << INDICATORS.index(name)) for name in ("ServiceControl", "ServiceTakeover")
)
_VERIFIED, _TAKEN = 128, 1
"""In the tag of a key: what is verified, and a takeover, are findings of their own."""


class OpenServices:
    """Marked connections by source and target."""

    def __init__(self, honeypots: Iterable[Address]) -> None:
        self._pots = np.array([packed(address) for address in honeypots], dtype="S16")
        self._findings: Table[Finding] = Table(Finding, MAX_PAIRS)

    def counters(self) -> dict[str, int]:
        return {"service_abuse_evicted": self._findings.evicted}

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        marks = view.rows["indicators"]
        taken = (marks & _TAKEOVER) > 0
        controlled = ((marks & _CONTROL) > 0) & ~taken
        if controlled.any():
            controlled &= np.isin(view.targets, self._pots)[view.target]
        alerts = []
        for mask, tag in ((taken, _TAKEN), (controlled, 0)):
            for rows in view.groups(mask, view.source, view.target, view.verified):
                alerts += self._look(view, reporter, rows, tag)
        return alerts

    def _look(
        self, view: View, reporter: Reporter, rows: NDArray[np.int64], tag: int
    ) -> list[Alert]:
        verified = bool(view.verified[rows[0]])
        key = view.pair_keys(tag | _VERIFIED * verified, rows[:1])[0]
        finding = self._findings.get(key)
        if finding.count and view.first_us(rows) > finding.end_us + IDLE_US:
            self._findings.drop(key)
            finding = self._findings.get(key)
        finding.add(view, rows, reporter.clusters)
        if finding.verified:
            self._findings.prove(key)
        if not finding.due(KIND):
            return []
        port = int(view.rows["dst_port"][rows[-1]])
        what = "told how to take the host over" if tag else "controlled on a honeypot"
        claim = Claim(
            classification=KIND,
            explanation=(
                f"{finding.count} connections in which the open service at port {port} was {what}, "
                f"in {seconds(finding)}"
            ),
            confidence=(TAKEN if tag else CONTROLLED) + 0.15 * min((finding.count - 1) / 10, 1.0),
            protocol=int(view.rows["protocol"][rows[-1]]),
            target_port=port,
        )
        return [reporter.alert(finding, claim)]
