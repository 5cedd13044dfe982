"""Cases: alerts that evidence the steps of a known attack scenario, and what is expected next.

Pellet says which alert made which other one possible (``scenarios.owl``) and which of them call for
a block (``reaction.owl``); here the pairs become one case, named after the scenario that explains
most of it. A measure in force that contradicts what a step needs (anti-correlation) makes the step
unexpected: SWRL can't take a conclusion back, so that is done here.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from agents.correlation.cases import Case, Expected
from agents.correlation.scenario_memory import Find, Row, ScenarioMemory
from ontology.reasoner.inferences import Inferences
from ontology.reasoner.window import alert_hosts
from ontology.records import Address, Alert
from ontology.vocabulary import IDPS, superclasses
from rules.scenarios.attack_models import Model
from rules.scenarios.compile import AntiLink, Compiled, Link
from rules.scenarios.scenario_rules import objective_class, step_property

MAX_CASE = 256
"""Alerts of one case."""
MIN_CHAIN = 3
"""Steps, each made possible by the one before, that make a case, unless an objective is in reach:
chains of two are what the hand-written rules tell already."""
CANDIDATE = IDPS.ScenarioBlockCandidate.local_name
"""Class of alerts whose source the rules want blocked as part of a case."""


@dataclass(slots=True)
class _Evidence:
    models: dict[str, list[Model]]
    """Alert → the steps that it means."""
    chain: dict[str, int]
    """Alert that another one explains → steps up to it."""
    rule: str
    """Label of the rule behind the latest pair."""


class ScenarioTracker:
    """All cases. Bounded: the pair that was seen longest ago is forgotten first.

    Args:
        compiled: the models and their links.
        capacity: pairs of alerts remembered.
    """

    def __init__(self, compiled: Compiled, *, capacity: int = 50_000) -> None:
        self._capacity = capacity
        self.set_models(compiled)
        self._known = ScenarioMemory(capacity)
        self._measures: OrderedDict[tuple[str, Address], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    @property
    def forgotten(self) -> int:
        """Pairs forgotten for want of room."""
        return self._known.forgotten

    def set_models(self, compiled: Compiled) -> None:
        """From now on understand pairs by these models; cases are read anew by them."""
        self._compiled = compiled
        self._links: dict[str, Link] = {
            step_property(link): link for step in compiled.steps for link in step.links
        }
        self._goals = {objective_class(o): o.link.later for o in compiled.objectives}
        self.rules = frozenset(
            [s.label for s in compiled.steps] + [o.label for o in compiled.objectives]
        )
        """Labels of the generated rules: what they conclude belongs here."""
        self._depths: dict[str, int] = {}

    def add(self, inferences: Inferences, find: Find) -> set[str]:
        """Take conclusions in; ids of the alerts about which something new is known.

        Args:
            find: knows the alerts.
        """
        touched: set[str] = set()
        for pair in inferences.pairs:
            if pair.property in self._links and self._known.add_pair(
                pair.subject,
                pair.object,
                pair.property,
                pair.explanation.rule,
                find,
            ):
                touched |= {pair.subject, pair.object}
        for member in inferences.members:
            goal = self._goals.get(member.name)
            if goal is not None:
                new = self._known.add_objective(member.individual, goal.name)
            elif member.name == CANDIDATE:
                why = member.explanation
                new = self._known.add_candidate(member.individual, why.rule, why.comment)
            else:
                continue
            if new:
                touched.add(member.individual)
        return touched

    def changes(self) -> list[Row]:
        """ScenarioMemory that are new or changed since the last call, for a store."""
        return self._known.changes()

    def restore(self, rows: Iterable[Row], find: Find) -> None:
        """Know again what was concluded before a restart."""
        self._known.restore(rows, find)

    def cases(self, touched: Iterable[str], find: Find) -> list[Case]:
        """The cases that these alerts belong to, each once; ``find`` knows the alerts."""
        found, seen = [], set[str]()
        touched = sorted(touched)
        for alert_id in touched:
            alert = find(alert_id)
            if alert is not None:
                self._known.add_source(alert)
        for alert_id in touched:
            if alert_id in seen:
                continue
            members = self._connected(alert_id, find)
            seen |= members.keys()
            case = self._read(members)
            if case is not None:
                found.append(case)
        return found

    def cases_of(self, source: Address, find: Find) -> list[Case]:
        """The cases with steps that came from this source."""
        return self.cases(list(self._known.of_source(source)), find)

    def call_for_block(self, alert: Alert) -> tuple[str, str] | None:
        """(label, comment) of the rule that wants the source of a step blocked; None if none
        does."""
        return self._known.candidate(alert.id)

    def measure(self, name: str, address: Address) -> None:
        """A measure is in force against a host: what it contradicts is no longer expected.

        Raises: KeyError if no model of that name is in ``attacks.owl``.
        """
        self._compiled.models.by_name(name)
        self._measures[name, address] = None
        while len(self._measures) > self._capacity:
            self._measures.popitem(last=False)

    def lift(self, name: str, address: Address) -> None:
        """A measure has ended, or did not hold."""
        self._measures.pop((name, address), None)

    def _connected(self, start: str, find: Find) -> dict[str, Alert]:
        members: dict[str, Alert] = {}
        attackers: set[Address] = set()
        waiting, queued = deque([start]), {start}
        while waiting and len(members) < MAX_CASE:
            one = waiting.popleft()
            alert = find(one)
            if alert is None:
                continue
            members[one] = alert
            near = [*self._known.linked(one)]
            # What one attacker does to several hosts is one case.
            source = self._known.source_of(one)
            if source is not None and source not in attackers:
                attackers.add(source)
                near += self._known.of_source(source)
            waiting += (other for other in near if other not in queued)
            queued.update(near)
        return members

    def _read(self, members: dict[str, Alert]) -> Case | None:
        known = self._known.pairs
        pairs = {
            (a, b): known[a, b]
            for a in members
            for b in self._known.linked(a)
            if b in members and (a, b) in known
        }
        best: tuple[tuple[int, int, int, str], str, _Evidence] | None = None
        for scenario in self._compiled.models.scenarios:
            evidence = self._evidence(scenario, members, pairs)
            models = {m.name: m for found in evidence.models.values() for m in found}
            if not models:
                continue
            # It explains most alerts; of equals, the one with the more special evidence.
            depth = sum(
                max(len(superclasses(c)) for c in m.evidence) - len(m.evidence)
                for m in models.values()
            )
            rank = (len(evidence.models), len(models), depth, scenario)
            if best is None or rank > best[0]:
                best = (rank, scenario, evidence)
        return None if best is None else self._case_of(best[1], best[2], members)

    def _evidence(
        self,
        scenario: str,
        members: dict[str, Alert],
        pairs: dict[tuple[str, str], dict[str, str]],
    ) -> _Evidence:
        """What the alerts mean within one scenario."""
        inside = sorted(
            (members[b].begin_us, b, a, name, label)
            for (a, b), properties in pairs.items()
            for name, label in properties.items()
            if name in self._links
            and scenario in self._links[name].earlier.scenarios
            and scenario in self._links[name].later.scenarios
        )
        found = _Evidence({}, {}, "")
        # In order of time: the earlier alert of a pair was dealt with before.
        for _, b, a, name, label in inside:
            link = self._links[name]
            before = found.models.setdefault(a, [link.earlier])
            # An alert that an earlier step explains means that step's successor, nothing else.
            if a in found.chain and link.earlier not in before:
                continue
            if link.earlier not in before:
                before.append(link.earlier)
            if b not in found.chain:
                found.models[b] = []
            if link.later not in found.models[b]:
                found.models[b].append(link.later)
            found.chain[b] = max(found.chain.get(b, 2), found.chain.get(a, 1) + 1)
            found.rule = label
        return found

    def _case_of(
        self, scenario: str, evidence: _Evidence, members: dict[str, Alert]
    ) -> Case | None:
        alerts = sorted((members[i] for i in evidence.models), key=lambda a: (a.begin_us, a.id))
        first: dict[str, Alert] = {}
        for alert in alerts:
            for model in evidence.models[alert.id]:
                first.setdefault(model.name, alert)
        objectives = {
            name
            for alert in alerts
            for name in self._known.objectives(alert.id)
            if scenario in self._compiled.scenarios_of(name)
        }
        if max(evidence.chain.values()) < MIN_CHAIN and not objectives:
            return None
        return Case(
            id=self._known.name_case([a.id for a in alerts], alerts[0].id),
            scenario=scenario,
            label=self._compiled.models.scenarios[scenario][0],
            alerts=tuple(alerts),
            steps=tuple(first.items()),
            rule=evidence.rule,
            objectives=tuple(sorted(objectives)),
            expected=tuple(self._expected(scenario, first, alerts)),
            share=min(1.0, max(evidence.chain.values()) / self._depth(scenario)),
        )

    def _depth(self, scenario: str) -> int:
        """Steps in the longest chain of a scenario, each step once."""
        if scenario not in self._depths:
            after: dict[str, set[str]] = {}
            for link in self._compiled.links:
                models = (link.earlier, link.later)
                if all(m.kind == "action" and scenario in m.scenarios for m in models):
                    after.setdefault(link.earlier.name, set()).add(link.later.name)
            self._depths[scenario] = max((_longest(name, after, ()) for name in after), default=1)
        return self._depths[scenario]

    def _expected(
        self, scenario: str, seen: dict[str, Alert], alerts: list[Alert]
    ) -> Iterable[Expected]:
        named: set[str] = set()
        by_name = self._compiled.models.by_name
        given = {condition.predicate for name in seen for condition in by_name(name).post}
        for link in self._compiled.links:
            step = link.later
            if (
                link.earlier.name not in seen
                or step.name in seen
                or step.name in named
                or step.kind != "action"
                or scenario not in step.scenarios
                # What it would give is there already.
                or given.issuperset(condition.predicate for condition in step.post)
            ):
                continue
            named.add(step.name)
            against = [
                anti
                for anti in self._compiled.anti_links
                if anti.step is step and anti.measure.kind == "countermeasure"
            ]
            yield Expected(
                step,
                link.earlier.name,
                prevented_by=tuple(
                    sorted({a.measure.name for a in against if self._taken(a, alerts)})
                ),
                measures=tuple(sorted({a.measure.name for a in against})),
            )

    def _taken(self, anti: AntiLink, alerts: list[Alert]) -> bool:
        """Was the measure taken against a host that plays that part in the case?"""
        bound = {
            term.bound_to
            for condition in anti.measure.post
            for term in condition.terms
            if term.bound_to
        }
        hosts = set[Address]()
        for alert in alerts:
            sources, targets = alert_hosts(alert)
            # A measure without a bound term is one against a target.
            hosts |= sources if "source" in bound else targets
        return any((anti.measure.name, host) in self._measures for host in hosts)


def _longest(name: str, after: dict[str, set[str]], seen: tuple[str, ...]) -> int:
    further = after.get(name, set()) - {name, *seen}
    return 1 + max((_longest(n, after, (*seen, name)) for n in sorted(further)), default=0)
