"""Cases: alerts that evidence the steps of a known attack scenario, and what is expected next.

Pellet says which alert made which other one possible (``scenarios.owl``) and which of them call for
a block (``reaction.owl``); here the pairs become one case, named after the scenario that explains
most of it. A measure in force that contradicts what a step needs (anti-correlation) makes the step
unexpected: SWRL can't take a conclusion back, so that is done here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from agents.correlation.case_reading import CaseReader, Evidence, read_evidence
from agents.correlation.cases import Case
from agents.correlation.scenario_memory import Find, Row, ScenarioMemory
from agents.correlation.step_checks import About, IsOwn, StepChecks
from agents.correlation.stories import Storyteller
from ontology.reasoner.inferences import Inferences
from ontology.reasoner.window import alert_hosts
from ontology.records import Address, Alert
from ontology.vocabulary import IDPS
from rules.scenarios.compile import AntiLink, Compiled, Link
from rules.scenarios.scenario_rules import objective_class, step_property

CANDIDATE = IDPS.ScenarioBlockCandidate.local_name
"""Class of alerts whose source the rules want blocked as part of a case."""


class ScenarioTracker:
    """All cases. Bounded: the pair that was seen longest ago is forgotten first.

    Args:
        compiled: the models and their links.
        capacity: pairs of alerts remembered.
    """

    def __init__(self, compiled: Compiled, *, capacity: int = 50_000) -> None:
        self._capacity = capacity
        self._known = ScenarioMemory(capacity)
        self._measures: OrderedDict[tuple[str, Address], None] = OrderedDict()
        self._is_own: IsOwn = lambda address: False
        self._about: About = lambda address: ()
        self.set_models(compiled)

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
        self._checks = StepChecks(compiled, self._is_own, self._about)
        self._reader = CaseReader(compiled, self._known, self._checks, self._taken)

    def set_surroundings(self, is_own: IsOwn, about: About) -> None:
        """What the checks of steps look at: which hosts are ours, what is remembered of a host."""
        self._is_own, self._about = is_own, about
        self.set_models(self._compiled)

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
        touched = sorted(touched)
        for alert_id in touched:
            alert = find(alert_id)
            if alert is not None:
                self._known.add_source(alert)
        tellers = self._tellers(find)
        told: list[tuple[Case, Evidence, Storyteller]] = []
        seen = set[tuple[str, str]]()
        for alert_id in touched:
            for teller in self._of(alert_id, tellers):
                if (teller.scenario, alert_id) in seen:
                    continue
                for story in teller.stories(alert_id):
                    evidence = read_evidence(story)
                    case = self._reader.case(evidence, teller) if evidence.models else None
                    if case is not None:
                        told.append((case, evidence, teller))
                        if not story.others:
                            seen |= {(story.scenario, one) for one in evidence.models}
        told.sort(key=_rank, reverse=True)
        found: dict[str, Case] = {}
        taken: dict[str, str] = {}
        for case, evidence, teller in told:
            # One course of events is told once, as the scenario that explains most of it: who else
            # could have begun what another story explains is no second story.
            if any(taken.get(one, case.scenario) != case.scenario for one in evidence.models):
                continue
            named = self._reader.named(case, evidence.story, teller)
            # Of one name the first is the one that explains most.
            found.setdefault(named.id, named)
            taken |= dict.fromkeys(evidence.models, case.scenario)
        return list(found.values())

    def sound(self, inferences: Inferences, find: Find) -> frozenset[str]:
        """Alerts of these conclusions that can be the steps that rules take them for.

        Nothing is remembered of it.
        """
        other = ScenarioTracker(self._compiled, capacity=self._capacity)
        other.set_surroundings(self._is_own, self._about)
        touched = other.add(inferences, find)
        tellers = other._tellers(find)
        return frozenset(
            alert_id
            for alert_id in touched
            if any(teller.ties(alert_id) for teller in other._of(alert_id, tellers))
        )

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

    def _tellers(self, find: Find) -> dict[str, Storyteller]:
        return {
            scenario: Storyteller(
                scenario, self._compiled, self._links, self._known, self._checks, find
            )
            for scenario in self._compiled.models.scenarios
        }

    def _of(self, alert_id: str, tellers: dict[str, Storyteller]) -> Iterable[Storyteller]:
        """Those of the scenarios that the pairs of an alert speak of."""
        names = {
            scenario
            for other in self._known.linked(alert_id)
            for key in ((alert_id, other), (other, alert_id))
            for name in self._known.pairs.get(key, ())
            if name in self._links
            for scenario in self._links[name].later.scenarios
        }
        return [tellers[name] for name in sorted(names & tellers.keys())]

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


def _rank(told: tuple[Case, Evidence, Storyteller]) -> tuple[int, int, tuple[int, int, int, str]]:
    """Most alerts explained; of equals, with the fewest steps doubtful or missed."""
    case, evidence, _ = told
    return (len(evidence.models), -len(case.doubts) - len(case.missed), evidence.rank)
