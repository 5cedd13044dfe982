"""Correlation on alerts with known answers: what the engine made of them, by Ning's measures.

Ning, Cui and Reeves (CCS 2002): completeness is the share of the related alerts that was
correlated, soundness the share of the correlated alerts that is related. An alert is *correlated*
here if an edge of an incident's graph joins it with another one. One whose truth nobody knows
counts for neither.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from agents.correlation.engine import CorrelationEngine
from agents.correlation.fusion import Key, fusion_key
from agents.correlation.outcome import Edge, Outcome
from datasets.alert_sets.labelled import LabelledAlert
from ontology.records import Alert, Decision, Incident

BATCH = 100
"""Alerts handed over at a time."""
_NONE: Mapping[str, bool | None] = {}
_ROUNDS = 8
"""Calls without alerts at the end, for those that still wait for a reasoner."""


@dataclass(slots=True)
class Told:
    """One incident, as it was told last."""

    incident: Incident
    phases: tuple[str, ...]
    seniors: dict[str, Alert] = field(default_factory=dict)
    """Senior alerts, of all that was told of it."""
    edges: dict[Edge, None] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    """Original alerts, as the set calls them."""
    joined: set[str] = field(default_factory=set)
    """Those of them that an edge joins."""

    def as_json(self, first: Callable[[str], str]) -> dict[str, Any]:
        """One incident of the contract; ``first`` names a senior alert by its first original."""
        sources = {a.source for a in self.seniors.values() if a.source is not None}
        sources.discard(self.incident.source)
        ordered = sorted(sources, key=lambda a: (a.version, int(a)))
        head = [] if self.incident.source is None else [self.incident.source]
        edges = (
            {"from": first(edge.earlier), "to": first(edge.later), "rule": edge.rule}
            for edge in self.edges
            if edge.earlier in self.seniors and edge.later in self.seniors
        )
        return {
            "phases": list(self.phases),
            "sources": [str(source) for source in (*head, *ordered)],
            "targets": [str(target) for target in self.incident.targets],
            "alert_ids": sorted(self.names),
            "edges": list(edges),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationMetrics:
    """All figures of the contract; a rate is None where there is nothing to divide by or no
    truth."""

    alerts: int
    junior: int
    """Passed the filtration."""
    fused: int
    incidents: int
    decisions: int
    completeness: float | None
    soundness: float | None
    false_alert_rate: float | None
    """Of the alerts in incidents, correlated or alone, those that belong to no attack."""
    reduction: float | None
    """1 - incidents / alerts."""

    def as_json(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Originals:
    """Which original alerts a senior one was made of: all of its key within its time."""

    def __init__(self, given: Iterable[LabelledAlert]) -> None:
        rows: dict[Key, list[tuple[int, str]]] = {}
        for one in given:
            rows.setdefault(fusion_key(one.alert), []).append((one.alert.begin_us, one.name))
        self._rows = {key: sorted(row) for key, row in rows.items()}

    def of(self, senior: Alert) -> list[str]:
        """Names, in order of time."""
        row = self._rows.get(fusion_key(senior), [])
        begin = bisect_left(row, (senior.begin_us, ""))
        end = bisect_right(row, senior.end_us, key=lambda entry: entry[0])
        return list(dict.fromkeys(name for _, name in row[begin:end]))


@dataclass(frozen=True, slots=True)
class Correlated:
    """What came out."""

    metrics: CorrelationMetrics
    incidents: tuple[Told, ...]
    """In order of time."""
    first: Callable[[str], str]
    """Senior alert → its first original."""
    seconds: float
    orders: tuple[Decision, ...] = ()
    """All decisions, in their order."""

    def more(self) -> dict[str, Any]:
        """The incidents, for JSON."""
        return {"incidents": [told.as_json(self.first) for told in self.incidents]}


def correlate(
    given: Sequence[LabelledAlert],
    engine: CorrelationEngine,
    *,
    silent: Mapping[str, bool | None] = _NONE,
    batch: int = BATCH,
    progress: Callable[[range], Iterable[int]] = lambda steps: steps,
) -> Correlated:
    """Hand all alerts to the engine, in order of time, and judge what it tells.

    Args:
        silent: alerts that are not worth handing over, by the input's table: name → related.

    Nothing is blocked: the alerts were recorded where nobody did. Correlation's clock is the set's.
    """
    start = time.monotonic()
    originals = Originals(given)
    told: dict[str, Told] = {}
    seniors: dict[str, Alert] = {}
    orders: list[Decision] = []
    now_us = 0

    def take(outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            orders.extend(outcome.decisions)
            known = told.get(outcome.incident.id)
            if known is None:
                known = told[outcome.incident.id] = Told(outcome.incident, outcome.phases)
            known.incident = outcome.incident
            if len(outcome.phases) >= len(known.phases):
                known.phases = outcome.phases
            known.edges |= dict.fromkeys(outcome.edges)
            ends = {end for edge in outcome.edges for end in edge[:2]}
            # An incident names the first and last of its alerts, its graph has them all.
            graph = engine.alerts_of(replace(outcome.incident, alerts=tuple(ends)))
            for alert in (*outcome.alerts, *graph):
                known.seniors[alert.id] = seniors[alert.id] = alert

    for begin in progress(range(0, len(given), batch)):
        # A finding that grows comes again under its id: the latest word of a batch counts.
        part = list({one.alert.id: one.alert for one in given[begin : begin + batch]}.values())
        now_us = max(now_us, *(alert.end_us for alert in part))
        take(engine.on_alerts(part, now_us))
    for _ in range(_ROUNDS):
        if not engine.pending:
            break
        take(engine.on_alerts((), now_us))
    names = {alert.id: originals.of(alert) for alert in seniors.values()}
    for one in told.values():
        for alert_id in one.seniors:
            one.names.update(names[alert_id])
        for edge in one.edges:
            one.joined.update(names.get(edge.earlier, ()), names.get(edge.later, ()))
    incidents = sorted(told.values(), key=lambda t: (t.incident.begin_us, t.incident.id))
    counters = engine.counters
    return Correlated(
        CorrelationMetrics(
            alerts=len({one.name for one in given} | silent.keys()),
            junior=counters["junior"],
            fused=counters["fused"],
            incidents=len(incidents),
            decisions=len(orders),
            **_rates(given, silent, incidents),
        ),
        tuple(incidents),
        lambda alert_id: next(iter(names.get(alert_id, ())), alert_id),
        time.monotonic() - start,
        tuple(orders),
    )


def _rates(
    given: Sequence[LabelledAlert],
    silent: Mapping[str, bool | None],
    incidents: Sequence[Told],
) -> dict[str, float | None]:
    truth = {one.name: one.related for one in given} | dict(silent)
    related = {name for name, of_attack in truth.items() if of_attack}
    others = {name for name, of_attack in truth.items() if of_attack is False}
    joined = set().union(*(told.joined for told in incidents))
    shown = set().union(*(told.names for told in incidents))
    right, wrong = len(joined & related), len(joined & others)
    seen, false = len(shown & related), len(shown & others)
    return {
        "completeness": right / len(related) if related else None,
        "soundness": right / (right + wrong) if others and right + wrong else None,
        "false_alert_rate": false / (seen + false) if others and seen + false else None,
        "reduction": 1 - len(incidents) / len(truth) if truth else None,
    }
