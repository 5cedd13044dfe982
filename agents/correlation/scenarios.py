"""Cases: alerts that evidence the steps of a known attack scenario, and what is expected next.

Pellet says which alert made which other one possible (``scenarios.owl``); here the pairs become one
case, named after the scenario that explains most of it. A measure of ours that contradicts what a
step needs (anti-correlation) makes the step unexpected: SWRL can't take a conclusion back, so that
is done here.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agents.correlation.cases import Case, Expected
from ontology.reasoner.inferences import Inferences
from ontology.reasoner.window import alert_hosts
from ontology.records import Address, Alert
from ontology.vocabulary import superclasses
from rules.scenarios.attack_models import Model
from rules.scenarios.compile import AntiLink, Compiled, Link
from rules.scenarios.scenario_rules import objective_class, step_property

MAX_CASE = 256
"""Alerts of one case."""
MIN_CHAIN = 3
"""Steps, each made possible by the one before, that make a case, unless an objective is in reach:
chains of two are what the hand-written rules tell already."""
Find = Callable[[str], Alert | None]


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
        self.use(compiled)
        self._pairs: OrderedDict[tuple[str, str], dict[str, str]] = OrderedDict()
        """(earlier, later) → property → label of the rule."""
        self._beside: dict[str, dict[str, None]] = {}
        self._reached: OrderedDict[str, set[str]] = OrderedDict()
        self._case: OrderedDict[str, str] = OrderedDict()
        self._measures: OrderedDict[tuple[str, Address], None] = OrderedDict()
        self._source: dict[str, Address] = {}
        self._of_source: dict[Address, dict[str, None]] = {}
        self.forgotten = 0
        """Pairs forgotten for want of room."""

    def __len__(self) -> int:
        return len(self._pairs)

    def use(self, compiled: Compiled) -> None:
        """From now on understand pairs by these models; cases are told anew by them."""
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

    def add(self, inferences: Inferences) -> set[str]:
        """Take conclusions in; ids of the alerts about which something new is known."""
        touched: set[str] = set()
        for pair in inferences.pairs:
            if pair.property not in self._links:
                continue
            key = (pair.subject, pair.object)
            known = self._pairs.setdefault(key, {})
            self._pairs.move_to_end(key)
            if pair.property not in known:
                known[pair.property] = pair.explanation.rule
                touched |= {*key}
                for a, b in (key, key[::-1]):
                    self._beside.setdefault(a, {})[b] = None
        for member in inferences.members:
            goal = self._goals.get(member.name)
            if goal is not None:
                reached = self._reached.setdefault(member.individual, set())
                self._reached.move_to_end(member.individual)
                if goal.name not in reached:
                    reached.add(goal.name)
                    touched.add(member.individual)
        self._forget()
        return touched

    def cases(self, touched: Iterable[str], find: Find) -> list[Case]:
        """The cases that these alerts belong to, each once; ``find`` knows the alerts."""
        found, seen = [], set[str]()
        touched = sorted(touched)
        for alert_id in touched:
            alert = find(alert_id)
            if alert is not None and alert.source is not None and alert_id in self._beside:
                self._source[alert_id] = alert.source
                self._of_source.setdefault(alert.source, {})[alert_id] = None
        for alert_id in touched:
            if alert_id in seen:
                continue
            members = self._connected(alert_id, find)
            seen |= members.keys()
            case = self._tell(members)
            if case is not None:
                found.append(case)
        return found

    def retell(self, case: Case, find: Find) -> Case:
        """The case as it stands now, for instance after a measure."""
        return next(iter(self.cases([case.alerts[0].id], find)), case)

    def measure(self, name: str, address: Address) -> None:
        """A measure was taken against a host: what it contradicts is no longer expected.

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
            beside = [*self._beside.get(one, ())]
            # What one attacker does to several hosts is one case.
            source = self._source.get(one)
            if source is not None and source not in attackers:
                attackers.add(source)
                beside += self._of_source[source]
            waiting += (other for other in beside if other not in queued)
            queued.update(beside)
        return members

    def _tell(self, members: dict[str, Alert]) -> Case | None:
        pairs = {
            (a, b): self._pairs[a, b]
            for a in members
            for b in self._beside.get(a, ())
            if b in members and (a, b) in self._pairs
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
            for name in self._reached.get(alert.id, ())
            if scenario in self._compiled.scenarios_of(name)
        }
        if max(evidence.chain.values()) < MIN_CHAIN and not objectives:
            return None
        return Case(
            id=self._name(alerts),
            scenario=scenario,
            label=self._compiled.models.scenarios[scenario][0],
            alerts=tuple(alerts),
            steps=tuple(first.items()),
            rule=evidence.rule,
            objectives=tuple(sorted(objectives)),
            expected=tuple(self._expected(scenario, first, alerts)),
            share=min(1.0, max(evidence.chain.values()) / self._depth(scenario)),
        )

    def _name(self, alerts: list[Alert]) -> str:
        """The oldest name that any of the alerts' cases had, so that a case keeps its own."""
        known = [self._case[a.id] for a in alerts if a.id in self._case]
        name = known[0] if known else alerts[0].id
        for alert in alerts:
            self._case[alert.id] = name
            self._case.move_to_end(alert.id)
        return name

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
        told: set[str] = set()
        by_name = self._compiled.models.by_name
        given = {condition.predicate for name in seen for condition in by_name(name).post}
        for link in self._compiled.links:
            step = link.later
            if (
                link.earlier.name not in seen
                or step.name in seen
                or step.name in told
                or step.kind != "action"
                or scenario not in step.scenarios
                # What it would give is there already.
                or given.issuperset(condition.predicate for condition in step.post)
            ):
                continue
            told.add(step.name)
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

    def _forget(self) -> None:
        while len(self._pairs) > self._capacity:
            (a, b), _ = self._pairs.popitem(last=False)
            self.forgotten += 1
            for one, other in ((a, b), (b, a)):
                beside = self._beside.get(one)
                if beside is not None and (other, one) not in self._pairs:
                    beside.pop(other, None)
                    if not beside:
                        del self._beside[one]
                        self._forget_source(one)
        for store in (self._reached, self._case):
            while len(store) > self._capacity:
                store.popitem(last=False)

    def _forget_source(self, alert_id: str) -> None:
        source = self._source.pop(alert_id, None)
        if source is not None:
            ids = self._of_source[source]
            ids.pop(alert_id, None)
            if not ids:
                del self._of_source[source]


def _longest(name: str, after: dict[str, set[str]], seen: tuple[str, ...]) -> int:
    further = after.get(name, set()) - {name, *seen}
    return 1 + max((_longest(n, after, (*seen, name)) for n in sorted(further)), default=0)
