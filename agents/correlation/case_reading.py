"""From a story to a case: which alert is which step, which steps are doubtful or were missed.

A step is *missed* if a later one was seen that needs what only it gives. It is *doubtful* if none
of its alerts is sure: little confidence, an attacker whose address may be forged, other attackers
who may be behind it, or evidence of a whole branch of the taxonomy without what the model needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from agents.correlation.cases import Case, Expected
from agents.correlation.outcome import Edge
from agents.correlation.scenario_memory import ScenarioMemory
from agents.correlation.step_checks import StepChecks, actors, hosts, not_sure
from agents.correlation.stories import Story, Storyteller
from ontology.records import Address, Alert
from ontology.taxonomy import superclasses
from rules.scenarios.attack_models import Condition, Model
from rules.scenarios.compile import AntiLink, Compiled

MIN_CHAIN = 3
"""Steps, each made possible by the one before, that make a case, unless an objective is in reach:
chains of two are what the hand-written rules tell already."""
_SHOWN = 3
"""Other attackers named."""
_DOUBTFUL_STEP = 0.5
Lacking = Mapping[tuple[str, str], list[Condition]]
"""(step, alert) → what the step needs and no alert shows."""
IsTaken = Callable[[AntiLink, list[Alert]], bool]
"""Was the measure taken against a host that plays that part in these alerts?"""


@dataclass(slots=True)
class Evidence:
    """What the alerts of a story mean."""

    story: Story
    models: dict[str, list[Model]]
    """Alert → the steps that it means."""
    chain: dict[str, int]
    """Alert that another one explains → steps up to it."""
    rule: str
    """Label of the rule behind the latest pair."""

    @property
    def rank(self) -> tuple[int, int, int, str]:
        """Of several readings the highest explains most alerts; of equals, it is the one with the
        more special evidence."""
        models = {m.name: m for found in self.models.values() for m in found}
        depth = sum(
            max(len(superclasses(c)) for c in m.evidence) - len(m.evidence) for m in models.values()
        )
        return (len(self.models), len(models), depth, self.story.scenario)


def read_evidence(story: Story) -> Evidence:
    """What the alerts mean within the story's scenario."""
    found = Evidence(story, {}, {}, "")
    # In order of time: the earlier alert of a pair was dealt with before.
    for tie in story.ties:
        link, a, b = tie.link, tie.earlier.id, tie.later.id
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
        found.rule = tie.rule
    return found


class CaseReader:
    """Of one set of models.

    Args:
        taken: which measures are in force.
    """

    def __init__(
        self, compiled: Compiled, known: ScenarioMemory, checks: StepChecks, taken: IsTaken
    ) -> None:
        self._compiled = compiled
        self._known = known
        self._checks = checks
        self._taken = taken

    def case(self, evidence: Evidence, teller: Storyteller) -> Case | None:
        """The case that a story is, without an id; None if it is too little to be one."""
        story = evidence.story
        scenario = story.scenario
        alerts = sorted(
            (story.alerts[i] for i in evidence.models), key=lambda a: (a.begin_us, a.id)
        )
        of_step: dict[str, list[Alert]] = {}
        models: dict[str, Model] = {}
        for alert in alerts:
            for model in evidence.models[alert.id]:
                of_step.setdefault(model.name, []).append(alert)
                models[model.name] = model
        lacking = {
            (name, alert.id): [
                c
                for c in models[name].needed
                if c not in teller.shown(models[name], alert, story.ties)
            ]
            for name, found in of_step.items()
            for alert in found
        }
        why = {
            (name, alert.id): self._doubt(models[name], alert, story, bool(lacking[name, alert.id]))
            for name, found in of_step.items()
            for alert in found
        }
        doubts = {
            name: why[name, found[0].id]
            for name, found in of_step.items()
            if all(why[name, alert.id] for alert in found)
        }
        objectives, possible = self._objectives(evidence, alerts, lacking, why)
        if max(evidence.chain.values(), default=0) < MIN_CHAIN and not objectives | possible:
            return None
        first = {name: found[0] for name, found in of_step.items()}
        missed = self._missed(scenario, of_step, models, lacking)
        expected = tuple(self._expected(scenario, first, alerts))
        seen = len(first) - (1 - _DOUBTFUL_STEP) * len(doubts)
        whole = len(first) + len(missed) + self._ahead(scenario, first, expected)
        return Case(
            id="",
            scenario=scenario,
            label=self._compiled.models.scenarios[scenario][0],
            alerts=tuple(alerts),
            steps=tuple(first.items()),
            rule=evidence.rule,
            objectives=tuple(sorted(objectives)),
            expected=expected,
            share=seen / whole,
            possible=tuple(sorted(possible)),
            doubts=doubts,
            missed=missed,
            models=models,
            victims=frozenset(
                address
                for alert in alerts
                for model in evidence.models[alert.id]
                for address in hosts(model, alert)
            ),
            attackers=frozenset(story.attackers),
            doubtful=frozenset(
                alert.id
                for alert in alerts
                if all(why[model.name, alert.id] for model in evidence.models[alert.id])
            ),
            edges=tuple(
                dict.fromkeys(
                    Edge(tie.earlier.id, tie.later.id, tie.rule)
                    for tie in story.ties
                    if tie.earlier.id in evidence.models and tie.later.id in evidence.models
                )
            ),
            confidence=sum(max(a.confidence for a in found) for found in of_step.values())
            / len(of_step),
        )

    def named(self, case: Case, story: Story, teller: Storyteller) -> Case:
        """With its id: by the attacker's own alerts, where others may be behind the rest."""
        own = alerts = list(case.alerts)
        if story.others:
            own = [a for a in alerts if not teller.actors(a.id).isdisjoint(story.attackers)]
        name = self._known.name_case([a.id for a in own or alerts], (own or alerts)[0].id)
        return replace(case, id=name)

    def _doubt(self, model: Model, alert: Alert, story: Story, lacks: bool) -> str:
        reason = not_sure(model, alert)
        if reason:
            return reason
        who = actors(model, alert)
        if who and not alert.verified_source and not self._proved(who, story):
            return "its source may be forged"
        others = sorted(story.others.get(alert.id, ()), key=lambda a: (a.version, int(a)))
        if others:
            more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
            return f"{', '.join(map(str, others[:_SHOWN]))}{more} may be behind it as well"
        if model.broad and lacks:
            return f"any {alert.classification} is evidence of it, and what it needs was not seen"
        return ""

    def _proved(self, who: frozenset[Address], story: Story) -> bool:
        """Did one of them show elsewhere in the story that it sees the answers?"""
        return any(alert.verified_source and alert.source in who for alert in story.alerts.values())

    def _objectives(
        self,
        evidence: Evidence,
        alerts: Iterable[Alert],
        lacking: Lacking,
        why: Mapping[tuple[str, str], str],
    ) -> tuple[set[str], set[str]]:
        sure, perhaps = set[str](), set[str]()
        for alert in alerts:
            means = evidence.models[alert.id]
            reached = set(self._known.objectives(alert.id))
            for link in self._compiled.links:
                if (
                    link.later.name in reached
                    and link.later.kind == "objective"
                    and link.earlier in means
                    and evidence.story.scenario in link.later.scenarios
                    and alert.id in evidence.chain
                    and self._checks.reached(link, alert)
                ):
                    key = (link.earlier.name, alert.id)
                    (perhaps if lacking[key] or why[key] else sure).add(link.later.name)
        return sure, perhaps - sure

    def _missed(
        self,
        scenario: str,
        of_step: Mapping[str, list[Alert]],
        models: Mapping[str, Model],
        lacking: Lacking,
    ) -> tuple[str, ...]:
        """Steps without which those seen can't have been taken, and those that these need."""
        found: dict[str, None] = {}
        waiting = [
            (models[name], condition)
            for name, alerts in of_step.items()
            # One alert with all that the step needs is enough.
            for condition in min((lacking[name, a.id] for a in alerts), key=len)
        ]
        while waiting:
            model, condition = waiting.pop(0)
            givers = {
                link.earlier.name: link.earlier
                for link in self._compiled.links
                if link.later is model
                and link.condition == condition
                and scenario in link.earlier.scenarios
            }
            if not givers or not givers.keys().isdisjoint(of_step):
                continue
            name = " or ".join(sorted(givers))
            if name not in found:
                found[name] = None
                if len(givers) == 1:
                    (giver,) = givers.values()
                    waiting += [(giver, needed) for needed in giver.needed]
        return tuple(found)

    def _ahead(self, scenario: str, seen: Mapping[str, Alert], expected: Iterable[Expected]) -> int:
        """Steps of the longest way on from here, each once."""
        after: dict[str, set[str]] = {}
        for link in self._compiled.links:
            models = (link.earlier, link.later)
            if all(m.kind == "action" and scenario in m.scenarios for m in models):
                after.setdefault(link.earlier.name, set()).add(link.later.name)
        return max((_longest(one.step.name, after, tuple(seen)) for one in expected), default=0)

    def _expected(
        self, scenario: str, seen: Mapping[str, Alert], alerts: list[Alert]
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
                d3fend={a.measure.name: a.measure.d3fend for a in against},
            )


def _longest(name: str, after: Mapping[str, set[str]], seen: tuple[str, ...]) -> int:
    further = after.get(name, set()) - {name, *seen}
    return 1 + max((_longest(n, after, (*seen, name)) for n in sorted(further)), default=0)
