"""Which alerts can meet in a rule, worked out from the rules before any alert is there.

From the patterns of `ontology.chainer.patterns`: with whom an alert of each class can draw a
conclusion, over which shared hosts, and which of its hosts can matter. Nothing else ever meets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ontology.chainer.patterns import Link, Pattern, Patterns
from ontology.chainer.rulebook import read_rulebook
from ontology.vocabulary import IDPS, NAMESPACE


@dataclass(frozen=True, slots=True)
class Step:
    """From one alert to others that a rule may join with it."""

    after: int
    """Where from: 0 is the alert at the start, n what the n-th step leads to."""
    kinds: frozenset[int]
    """What the others may be, by `Joins.kind`."""
    links: frozenset[Link]
    """(role here, role there): for each of them both must share a host."""
    free: frozenset[str]
    """Roles in which the rules speak of a host of theirs that need not be another alert's too."""
    order: int
    """-1: they begin no later than the alert at the start; 1: no earlier; 0: any."""


Kinds = frozenset[frozenset[int]]
"""Sets of kinds; one of each."""
Company = tuple[Step, ...]
"""Everybody else that one conclusion takes; without any one of them it can't be drawn."""


class Joins:
    """Of one theory.

    Args:
        theory: `Theory.ntriples`.

    Raises: RulebookError if a rule speaks of what isn't worked out here; the message names it.
    """

    def __init__(self, theory: bytes) -> None:
        book = read_rulebook(theory)
        patterns = Patterns(book)
        self._classes_above = book.classes_above
        self._signatures = patterns.signatures
        self._free: dict[int, frozenset[str]] = {}
        self._edges: dict[int, dict[tuple[frozenset[Link], Kinds], set[int]]] = {}
        self.multiplied: set[int] = set()
        """Kinds that rules pair while each of the pair has hosts to choose from."""
        self.host_classes = patterns.host_classes
        """What rules ask of hosts (IRIs)."""
        self._whole: dict[int, frozenset[str]] = {}
        self.reads_growth = patterns.reads_growth
        """Does a rule read what changes each time that an alert is repeated (count, end)?"""
        companies: dict[int, dict[tuple[Company, Step], set[int]]] = {}
        for pattern in patterns:
            self._note(pattern)
            for start, kinds in enumerate(pattern.kinds):
                _add(companies, kinds, _company(start, pattern))
        self.rates_all = patterns.rates_all
        """Does a rule read ratings of alerts whatever their risk? Otherwise those that take no
        more than one alert, which is as risky as they ask for, are not in this table: who writes
        windows knows which ones are (`agents.correlation.ratings`)."""
        self._companies = {
            kind: tuple(
                (*first, replace(last, kinds=frozenset(kinds)))
                for (first, last), kinds in sorted(ends.items(), key=_telling)
            )
            for kind, ends in companies.items()
        }

    def kind(self, classification: str) -> int:
        """Number of the group of classes that no rule separates from this one (a local name);
        -1 if an alert of it can't take part in any rule."""
        kind = self._signatures.get(NAMESPACE + classification, self._signatures[""])
        return kind if kind in self._companies else -1

    def companies(self, kind: int) -> tuple[Company, ...]:
        """With whom an alert of this kind can meet."""
        return self._companies.get(kind, ())

    def free(self, kind: int) -> frozenset[str]:
        """Roles in which rules speak of any host of such an alert."""
        return self._free.get(kind, frozenset())

    def whole(self, kind: int) -> frozenset[str]:
        """Roles in which every host of such an alert can matter; in others a few of each class
        will do where rules speak of any."""
        return self._whole.get(kind, frozenset())

    def edges(self, kind: int) -> Iterable[tuple[frozenset[Link], set[int], Kinds]]:
        """How a rule may tie such an alert to another one: over which hosts (all of the links), of
        which kinds the other is, and of which kinds those are that must be there as well."""
        return ((links, to, more) for (links, more), to in self._edges.get(kind, {}).items())

    def asked_of(self, roles: Iterable[str]) -> frozenset[str]:
        """Those of `host_classes` that a host with these roles (local names) belongs to."""
        found: set[str] = set()
        for name in (IDPS.Host, *(NAMESPACE + role for role in roles)):
            found |= self._classes_above.get(name, frozenset((name,)))
        return self.host_classes & found

    def _note(self, pattern: Pattern) -> None:
        """Which hosts matter to it, by kind of alert."""
        spread = [kinds for kinds, free in zip(pattern.kinds, pattern.free, strict=True) if free]
        for kinds, free, whole in zip(pattern.kinds, pattern.free, pattern.whole, strict=True):
            for kind in kinds:
                self._free[kind] = self._free.get(kind, frozenset()) | free
                self._whole[kind] = self._whole.get(kind, frozenset()) | whole
        if len(spread) > 1:
            self.multiplied.update(*spread)
        for (a, b), links in pattern.links.items():
            more = frozenset(kinds for n, kinds in enumerate(pattern.kinds) if n not in (a, b))
            for kind in pattern.kinds[a]:
                edges = self._edges.setdefault(kind, {})
                edges.setdefault((links, more), set()).update(pattern.kinds[b])


def _company(start: int, pattern: Pattern) -> Company:
    """Those of a pattern that can be reached from one over shared hosts, each the shortest way."""
    places, steps = {start: 0}, list[Step]()
    todo = deque([start])
    while todo:
        one = todo.popleft()
        for (here, there), links in sorted(pattern.links.items(), key=lambda link: link[0]):
            if here != one or there in places:
                continue
            earlier, later = (there, start) in pattern.before, (start, there) in pattern.before
            order = int(later) - int(earlier)
            steps.append(Step(places[one], pattern.kinds[there], links, pattern.free[there], order))
            places[there] = len(steps)
            todo.append(there)
    return tuple(steps)


def _add(
    companies: dict[int, dict[tuple[Company, Step], set[int]]],
    kinds: Iterable[int],
    company: Company,
) -> None:
    for kind in kinds:
        ends = companies.setdefault(kind, {})
        if company:
            # Companies that differ in the last one alone are looked up together.
            key = (company[:-1], replace(company[-1], kinds=frozenset()))
            ends.setdefault(key, set()).update(company[-1].kinds)


def _telling(end: tuple[tuple[Company, Step], set[int]]) -> tuple[int, int, str]:
    """Few alerts that share much come first."""
    first, last = end[0]
    steps = (*first, last)
    described = [
        (s.after, sorted(s.kinds), sorted(s.links), sorted(s.free), s.order) for s in steps
    ]
    return len(steps), -len(steps[0].links), str(described)
