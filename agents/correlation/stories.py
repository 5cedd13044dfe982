"""Stories: which alerts belong to one course of events, within one scenario.

Two alerts are tied if a rule joined them and both can be the steps that it speaks of. What is tied
is one story, and so is everything that one attacker does; what two attackers do is two stories,
unless a rule joined a step of the one with a step of the other. A step that names no attacker
(a host in somebody's hands attacks on) belongs to everybody who may be behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from agents.correlation.scenario_memory import Find, ScenarioMemory
from agents.correlation.step_checks import StepChecks, actors, joined
from ontology.records import Address, Alert
from rules.scenarios.attack_models import Condition, Model
from rules.scenarios.compile import Compiled, Link

MAX_STORY = 256
"""Alerts of one story."""
MAX_TIES = 1024
"""Ties of one alert that are looked at, the latest ones."""
MAX_SUSPECTS = 4
"""Attackers who may be behind a step that names none; if there are more, nobody can tell, and the
step is in none of their stories."""
_DEEP = 64
"""Steps back over which it is checked that a step had all it needs."""


@dataclass(frozen=True, slots=True)
class Tie:
    """One alert made another possible."""

    earlier: Alert
    later: Alert
    link: Link
    rule: str
    """Label of the SWRL rule that joined them."""


@dataclass(slots=True)
class Story:
    """Alerts of one scenario that belong together."""

    scenario: str
    attackers: set[Address]
    alerts: dict[str, Alert] = field(default_factory=dict)
    ties: list[Tie] = field(default_factory=list)
    """In order of time."""
    others: dict[str, set[Address]] = field(default_factory=dict)
    """Alert that names no attacker → attackers outside of the story who may be behind it."""


class Storyteller:
    """Reads what is remembered of one scenario; for one use, as it keeps what it worked out."""

    def __init__(
        self,
        scenario: str,
        compiled: Compiled,
        links: dict[str, Link],
        known: ScenarioMemory,
        checks: StepChecks,
        find: Find,
    ) -> None:
        self.scenario = scenario
        self._compiled = compiled
        self._links = links
        self._known = known
        self._checks = checks
        self._find = find
        self._ties: dict[str, list[Tie]] = {}
        self._sound: dict[tuple[str, str, str], bool] = {}

    def stories(self, start: str) -> list[Story]:
        """The stories that an alert belongs to: one, or one for each attacker who may be behind
        it."""
        if not self.ties(start):
            return []
        attackers = self.actors(start)
        if attackers:
            return [self._story([start], attackers)]
        suspects = self._suspects(start)
        if not suspects:
            return [self._story([start], frozenset())]
        return [self._story([start, alert_id], who) for alert_id, who in suspects]

    def ties(self, alert_id: str) -> list[Tie]:
        """All ties of an alert that hold."""
        found = self._ties.get(alert_id)
        if found is None:
            found = self._ties[alert_id] = [
                tie
                for tie in self._told(alert_id)
                if self._is_sound(tie, _DEEP)
                and (
                    not tie.link.later.needs_all or self._complete(tie.link.later, tie.later, _DEEP)
                )
            ]
        return found

    def actors(self, alert_id: str) -> frozenset[Address]:
        """Who attacks in an alert, by the steps that it can be."""
        found: frozenset[Address] = frozenset()
        for tie in self.ties(alert_id):
            model = tie.link.earlier if tie.earlier.id == alert_id else tie.link.later
            alert = tie.earlier if tie.earlier.id == alert_id else tie.later
            found |= actors(model, alert)
        return found

    def shown(self, model: Model, alert: Alert, ties: Iterable[Tie]) -> set[Condition]:
        """Preconditions of a step that the alerts tied to it show."""
        found = set[Condition]()
        for tie in ties:
            if tie.later.id == alert.id and tie.link.later is model:
                # One rule joins a pair of steps, though the one may give several things.
                found |= {
                    link.condition
                    for link in self._compiled.links
                    if link.later is model
                    and link.earlier is tie.link.earlier
                    and joined(link, tie.earlier, tie.later)
                }
        return found

    def _told(self, alert_id: str) -> Iterator[Tie]:
        """What rules concluded of an alert, the latest first."""
        pairs = self._known.pairs
        for other in islice(reversed(list(self._known.linked(alert_id))), MAX_TIES):
            for key in ((alert_id, other), (other, alert_id)):
                for name, rule in pairs.get(key, {}).items():
                    link = self._links.get(name)
                    if link is None or not self._plays(link):
                        continue
                    earlier, later = map(self._find, key)
                    if earlier is not None and later is not None:
                        yield Tie(earlier, later, link, rule)

    def _plays(self, link: Link) -> bool:
        return self.scenario in link.earlier.scenarios and self.scenario in link.later.scenarios

    def _is_sound(self, tie: Tie, deep: int) -> bool:
        key = (tie.earlier.id, tie.later.id, tie.rule)
        known = self._sound.get(key)
        if known is None:
            known = self._checks.links(tie.link, tie.earlier, tie.later) and (
                not tie.link.earlier.needs_all
                or self._complete(tie.link.earlier, tie.earlier, deep)
            )
            self._sound[key] = known
        return known

    def _complete(self, model: Model, alert: Alert, deep: int) -> bool:
        """Was all that a step needs shown by earlier ones?"""
        if deep == 0:
            return True
        before = (
            tie
            for tie in self._told(alert.id)
            if tie.later.id == alert.id
            and tie.link.later is model
            and tie.earlier.begin_us < alert.begin_us
            and self._is_sound(tie, deep - 1)
        )
        return set(model.needed) <= self.shown(model, alert, before)

    def _suspects(self, start: str) -> list[tuple[str, frozenset[Address]]]:
        """Attackers next to an alert that names none, each with an alert of theirs; [] if nobody
        is, or too many are."""
        found: dict[Address, tuple[str, frozenset[Address]]] = {}
        waiting, queued = deque([start]), {start}
        while waiting and len(queued) < MAX_STORY:
            one = waiting.popleft()
            for other in _next_to(one, self.ties(one)):
                who = self.actors(other)
                if who:
                    found.setdefault(min(who, key=str), (other, who))
                elif other not in queued:
                    queued.add(other)
                    waiting.append(other)
        return list(found.values()) if len(found) <= MAX_SUSPECTS else []

    def _story(self, start: list[str], attackers: frozenset[Address]) -> Story:
        story = Story(self.scenario, set())
        waiting, queued = deque(start), set(start)

        def take(ids: Iterable[str]) -> None:
            fresh = [one for one in ids if one not in queued]
            queued.update(fresh)
            waiting.extend(fresh)

        def follow(more: frozenset[Address]) -> None:
            for address in sorted(more - story.attackers, key=str):
                story.attackers.add(address)
                # What one attacker does to several hosts is one story.
                theirs = islice(reversed(list(self._known.of_source(address))), MAX_TIES)
                take(i for i in theirs if address in self.actors(i))

        follow(attackers)
        while waiting and len(story.alerts) < MAX_STORY:
            one = waiting.popleft()
            alert = self._find(one)
            if alert is None:
                continue
            mine = self.actors(one)
            near = _next_to(one, self.ties(one))
            if not mine:
                others = {
                    address
                    for other in near
                    if (who := self.actors(other)) and who.isdisjoint(story.attackers)
                    for address in who
                }
                if len(others) + len(story.attackers) > MAX_SUSPECTS:
                    continue
                if others:
                    story.others[one] = others
            story.alerts[one] = alert
            for other in near:
                who = self.actors(other)
                if not who or not who.isdisjoint(story.attackers):
                    take([other])
                elif mine:
                    follow(who)
                    take([other])
        story.ties = sorted(
            {
                (tie.earlier.id, tie.later.id, tie.rule): tie
                for one in story.alerts
                for tie in self.ties(one)
                if tie.earlier.id in story.alerts and tie.later.id in story.alerts
            }.values(),
            key=lambda tie: (tie.later.begin_us, tie.later.id, tie.earlier.id, tie.rule),
        )
        return story


def _next_to(alert_id: str, ties: Iterable[Tie]) -> list[str]:
    both = (i for tie in ties for i in (tie.earlier.id, tie.later.id))
    return list(dict.fromkeys(i for i in both if i != alert_id))
