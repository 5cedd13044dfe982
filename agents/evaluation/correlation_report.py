"""The report of a correlation: stages, sensors, phases, incidents and their graphs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents.evaluation.alert_sets import AlertSet
from agents.evaluation.correlation import Correlated, Told
from agents.evaluation.report import Cell, Page, Table
from agents.evaluation.scenario_graph import scenario_graph
from datasets.alert_sets.labelled import LabelledAlert

MAX_GRAPHS = 12
"""Incidents drawn, those of most alerts first."""
MAX_ROWS = 40
_PHASES = 8
"""Phases of an incident shown in a cell of a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationPage(Page):
    """The evaluation of correlation on one set."""

    correlated: Correlated

    def result(self) -> dict[str, Any]:
        """``{"metrics": …, "incidents": …}``."""
        return {"metrics": self.correlated.metrics.as_json(), **self.correlated.more()}


def correlation_report(dataset: str, alert_set: AlertSet, result: Correlated) -> CorrelationPage:
    """Everything that is to be said of one run."""
    given, incidents = alert_set.alerts, result.incidents
    largest = sorted(incidents, key=lambda told: (-len(told.joined), -len(told.names)))
    tables = [_result(result), _sensors(given, incidents), _kinds(incidents)]
    if any(one.phase for one in given):
        tables.append(_phases(given, incidents, largest[0] if largest else None))
    if alert_set.described:
        tables.append(_described(alert_set, incidents))
    tables.append(_incidents(given, largest))
    drawn = [told for told in largest if told.edges][:MAX_GRAPHS]
    return CorrelationPage(
        dataset=dataset,
        correlated=result,
        seconds=result.seconds,
        tables=tuple(tables),
        plots=tuple(
            scenario_graph(
                f"{told.incident.classification} of {told.incident.source or 'somebody'}",
                list(told.seniors.values()),
                told.edges,
            )
            for told in drawn
        ),
        notes=(
            "Completeness and soundness as Ning, Cui and Reeves define them: related alerts that "
            "an edge of an incident joins with another, and what share of the alerts joined so is "
            "related. The false-alert rate is of all alerts in incidents, joined or alone.",
            "Alerts of which the truth says nothing count for none of the three.",
        ),
    )


def _result(result: Correlated) -> Table:
    values = result.metrics.as_json()
    columns = tuple(name.replace("_", " ") for name in values)
    return Table("Result", columns, (tuple(values.values()),))


def _sensors(given: Sequence[LabelledAlert], incidents: Sequence[Told]) -> Table:
    sensor = {one.name: one.alert.sensor for one in given}
    alerts = Counter(sensor.values())
    shown = Counter(sensor[name] for name in set().union(*(told.names for told in incidents)))
    joined = Counter(sensor[name] for name in set().union(*(told.joined for told in incidents)))
    rows = [(name, count, shown[name], joined[name]) for name, count in alerts.most_common()]
    return Table(
        "Table 2 of the paper: alerts by sensor",
        ("sensor", "alerts", "in incidents", "correlated"),
        tuple(rows[:MAX_ROWS]),
    )


def _kinds(incidents: Sequence[Told]) -> Table:
    rules = Counter((told.incident.classification, told.incident.rule) for told in incidents)
    rows = tuple((*kind, count) for kind, count in rules.most_common(MAX_ROWS))
    return Table("Incidents by rule", ("class", "rule", "incidents"), rows)


def _phases(
    given: Sequence[LabelledAlert], incidents: Sequence[Told], largest: Told | None
) -> Table:
    shown = set().union(*(told.names for told in incidents))
    inside = set[str]() if largest is None else largest.names
    alerts: dict[str, list[str]] = {}
    for one in given:
        if one.phase:
            alerts.setdefault(one.phase, []).append(one.name)
    rows = tuple(
        (phase, len(names), len(shown & set(names)), len(inside & set(names)))
        for phase, names in alerts.items()
    )
    return Table(
        "Phases of the truth, in order",
        ("phase", "related alerts", "in incidents", "in the largest incident"),
        rows,
    )


def _described(alert_set: AlertSet, incidents: Sequence[Told]) -> Table:
    """Of what people described, what became of it."""
    alerts = {one.alert.source for one in alert_set.alerts}
    of: Counter[object] = Counter()
    for told in incidents:
        of.update({alert.source for alert in told.seniors.values()})
    rows: list[tuple[Cell, ...]] = []
    for title, least in (("all", 1), ("with two kinds of log or more", 2)):
        some = [one for one in alert_set.described if len(one.logs) >= least]
        seen = [one for one in some if one.addresses & alerts]
        counts = [sum(of[address] for address in one.addresses) for one in seen]
        rows.append(
            (
                title,
                len(some),
                len(seen),
                sum(count > 0 for count in counts),
                sum(count == 1 for count in counts),
            )
        )
    return Table(
        "Incidents that people described",
        ("which", "described", "with alerts", "an incident or more", "exactly one"),
        tuple(rows),
    )


def _incidents(given: Sequence[LabelledAlert], largest: Sequence[Told]) -> Table:
    related = {one.name: one.related for one in given}
    phase = {one.name: one.phase for one in given if one.phase}
    rows: list[tuple[Cell, ...]] = []
    for told in largest[:MAX_ROWS]:
        truth = Counter(related[name] for name in told.names)
        by_time = (one.name for one in given if one.name in told.names)
        seen = dict.fromkeys(phase[name] for name in by_time if name in phase)
        rows.append(
            (
                told.incident.classification,
                str(told.incident.source or "-"),
                len(told.names),
                truth[True],
                truth[False],
                len(told.edges),
                " → ".join(told.phases[:_PHASES]),
                " → ".join(seen) or "-",
            )
        )
    return Table(
        f"Incidents, the largest {min(len(largest), MAX_ROWS)} of {len(largest)}",
        ("class", "source", "alerts", "related", "not", "edges", "phases", "phases of the truth"),
        tuple(rows),
    )
