"""Inferences about alerts, gathered into what a person calls one finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from agents.correlation.outcome import Edge, Graph
from ontology.reasoner.inferences import Explanation, Inferences
from ontology.reasoner.window import alert_hosts
from ontology.records import Address, Alert
from ontology.rule_outcomes import Outcomes
from ontology.vocabulary import IDPS

Conclusion = tuple[str, str, str]
"""(rule, earlier alert, later alert); a rule about one alert names it twice."""

_INDIRECT = IDPS.indirectlyCorrelatedWith.local_name
_CANDIDATE = IDPS.BlockCandidate.local_name
CANDIDATES = frozenset({_CANDIDATE, IDPS.ScenarioBlockCandidate.local_name})
"""Classes of alerts whose source a rule wants blocked: no findings by themselves."""


@dataclass(slots=True)
class Finding:
    """Everything that one rule concluded about one source (and target); of the alerts that complete
    the pattern all are verified or none."""

    rule: str
    comment: str
    source: Address | None
    target: Address | None
    """Of the last alert; any of several."""
    facts: set[Conclusion] = field(default_factory=set)
    explanations: list[Explanation] = field(default_factory=list)
    by_id: dict[str, Alert] = field(default_factory=dict)
    later_by_id: dict[str, Alert] = field(default_factory=dict)
    block_candidate: bool = False
    """Do the rules of ``reaction.owl`` call for a block of the source?"""
    block_rule: str = ""
    """The one that does, and its comment in ``block_comment``; empty if that is not known."""
    block_comment: str = ""

    def rest_on(self, counted: Iterable[Alert]) -> None:
        """It was concluded from a count: of these alerts."""
        last = self.later[-1]
        for alert in counted:
            self.by_id.setdefault(alert.id, alert)
            self.facts.add((self.rule, alert.id, last.id))

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """In order of time."""
        return tuple(sorted(self.by_id.values(), key=lambda a: (a.begin_us, a.id)))

    @property
    def graph(self) -> Graph:
        """What the rule joined, and the classes of its alerts, in order of time."""
        pairs = ((self.by_id[a], self.by_id[b]) for _, a, b in self.facts if a != b)
        edges = tuple(Edge(a.id, b.id, self.rule) for a, b in sorted(pairs, key=_by_time))
        return Graph(edges, tuple(dict.fromkeys(a.classification for a in self.alerts)))

    @property
    def later(self) -> tuple[Alert, ...]:
        """Alerts that complete the pattern."""
        return tuple(sorted(self.later_by_id.values(), key=lambda a: (a.begin_us, a.id)))

    @property
    def targets(self) -> tuple[Address, ...]:
        """Of all alerts, sorted."""
        found = {host for alert in self.by_id.values() for host in alert_hosts(alert)[1]}
        return tuple(sorted(found, key=lambda a: (a.version, int(a))))


def collect_findings(
    fresh: Iterable[Alert],
    inferences: Inferences,
    alert: Callable[[str], Alert | None],
    outcomes: Outcomes,
) -> list[Finding]:
    """Findings that rest on at least one fresh alert.

    Args:
        fresh: alerts that the window was made for; the others were context and reported before.
        alert: finds an alert of the window by id.
        outcomes: what becomes of each rule's conclusions.
    """
    fresh_ids = {a.id for a in fresh}
    conclusions = [
        (p.explanation, p.subject, p.object) for p in inferences.pairs if p.property != _INDIRECT
    ]
    conclusions += [
        (m.explanation, m.individual, m.individual)
        for m in inferences.members
        if m.name not in CANDIDATES
    ]
    candidates = {m.individual: m for m in inferences.members if m.name == _CANDIDATE}
    findings: dict[tuple[str, Address | None, Address | None, bool], Finding] = {}
    for why, first, last in conclusions:
        earlier, later = alert(first), alert(last)
        # Rules may also conclude about hosts; those conclusions are no incidents.
        if not why.rule or earlier is None or later is None or fresh_ids.isdisjoint((first, last)):
            continue
        target = _target(later)
        # Severity must come from what could not be forged, if a block does.
        place = target if outcomes.of(why.rule).per_target else None
        key = (why.rule, later.source, place, later.verified_source)
        finding = findings.get(key)
        if finding is None:
            finding = findings[key] = Finding(why.rule, why.comment, later.source, target)
        finding.facts.add((why.rule, first, last))
        finding.explanations.append(why)
        finding.by_id |= {first: earlier, last: later}
        finding.later_by_id[last] = later
        candidate = candidates.get(last)
        if candidate is not None:
            finding.block_candidate = True
            # Pellet gives one derivation; it may run over another rule's conclusion on this alert.
            if why.rule in candidate.explanation.rules:
                finding.block_rule = candidate.explanation.rule
                finding.block_comment = candidate.explanation.comment
    return [findings[key] for key in sorted(findings, key=str)]


def _by_time(pair: tuple[Alert, Alert]) -> tuple[int, str, int, str]:
    earlier, later = pair
    return later.begin_us, later.id, earlier.begin_us, earlier.id


def _target(alert: Alert) -> Address | None:
    if alert.target is not None:
        return alert.target
    return alert.targets[0] if alert.targets else None
