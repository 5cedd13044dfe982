"""Own hosts that call one outside host at regular intervals, as malware asks its controller for
orders.

What makes a beacon is the pace: the median absolute deviation of the intervals, the measure of
RITA's beacon score, is a small part of their median. Reports of one long connection are one call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.features import TCP, UDP
from agents.analyzer.findings import SECOND, Claim, Finding, Reporter, Table, View
from agents.analyzer.outgoing import SERVICES
from ontology.addresses import packed
from ontology.records import Address, Alert

CALLS = 16
"""At random times, 15 intervals are as steady as `JITTER` once in two thousand times."""
KEPT = 64
JITTER = 0.15
"""Median absolute deviation over median of the intervals. A pause that is drawn evenly between 60
and 100 % of its length, as with a jitter of 40 %, has 0.125; calls at random times have 0.7."""
LEAST_US, MOST_US = SECOND, 6 * 3600 * SECOND
"""The median interval. Faster are the requests of one task, slower would take days to see."""
IDLE_US = 24 * 3600 * SECOND
MAX_PAIRS = 4096
HONEYPOT, OTHER = 0.6, 0.4
"""Confidence at the threshold. A gateway has monitors and updates that call at a steady pace too:
shown, never a ground for a decision."""


@dataclass(slots=True)
class _Caller:
    finding: Finding = field(default_factory=Finding)
    starts: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT))
    last_port: int = -1

    def steadiness(self) -> tuple[float, float]:
        """(median interval in microseconds, its deviation as a share of it)."""
        gaps = np.diff(np.sort(np.array(self.starts, np.float64)))
        median = float(np.median(gaps))
        deviation = float(np.median(np.abs(gaps - median)))
        return median, deviation / median if median else 1.0


class Beacons:
    """Calls of own hosts by target, port and protocol."""

    def __init__(self, honeypots: Iterable[Address], protected: Iterable[Address] = ()) -> None:
        pots = [packed(address) for address in honeypots]
        self._pots = frozenset(raw.rstrip(b"\0") for raw in pots)
        self._own = np.array([*pots, *(packed(address) for address in protected)], dtype="S16")
        self._callers: Table[_Caller] = Table(_Caller, MAX_PAIRS)

    def counters(self) -> dict[str, int]:
        return {"beacon_evicted": self._callers.evicted}

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        if not len(self._own):
            return []
        table = view.rows
        own = np.isin(view.sources, self._own)[view.source]
        if not own.any():
            return []
        inside = np.isin(view.targets, self._own)[view.target]
        group = (table["dst"][:, 0] == 0xFF) | (
            (table["ip_version"] == 4) & (table["dst"][:, 12] >= 224)
        )
        housekeeping = group | (view.udp & np.isin(table["dst_port"], SERVICES))
        # Asked in vain or not: a controller that is down is called all the same.
        called = (view.tcp & view.syn) | (view.udp & (table["src_port"] >= 1024))
        mask = own & ~inside & called & view.initiated & ~housekeeping
        alerts = []
        for rows in view.groups(
            mask, view.source, view.target, table["dst_port"], table["protocol"]
        ):
            alerts += self._look(view, reporter, rows)
        return alerts

    def _look(self, view: View, reporter: Reporter, rows: NDArray[np.int64]) -> list[Alert]:
        table, first = view.rows, int(rows[0])
        port, protocol = int(table["dst_port"][first]), int(table["protocol"][first])
        source = view.source_names[first]
        key = (source, view.target_names[first], port, protocol)
        caller = self._callers.get(key)
        finding = caller.finding
        if finding.count and view.first_us(rows) > finding.end_us + IDLE_US:
            self._callers.drop(key)
            caller = self._callers.get(key)
            finding = caller.finding
        fresh = []
        for row in rows.tolist():
            own_port = int(table["src_port"][row])
            # The same two ports: another report of that connection.
            if own_port != caller.last_port:
                caller.last_port = own_port
                caller.starts.append(view.starts[row])
                fresh.append(row)
        if not fresh:
            return []
        finding.add(view, np.array(fresh, np.int64), reporter.clusters)
        self._callers.weigh(key, finding.items + len(caller.starts))
        if len(caller.starts) < CALLS or not finding.due("OutgoingBeacon"):
            return []
        median, deviation = caller.steadiness()
        if not LEAST_US <= median <= MOST_US or deviation > JITTER:
            return []
        pot = source in self._pots
        what = {TCP: "TCP", UDP: "UDP"}[protocol]
        claim = Claim(
            classification="OutgoingBeacon",
            explanation=(
                f"an own {'honeypot' if pot else 'host'} called {what} port {port} "
                f"{finding.count} times, every {median / SECOND:.1f} s in the median, deviation "
                f"{deviation:.0%}: as malware asks for orders"
            ),
            confidence=(HONEYPOT if pot else OTHER) + 0.05 * (1 - deviation / JITTER),
            protocol=protocol,
            target_port=port,
        )
        return [reporter.alert(finding, claim)]
