"""What of a window Pellet needs to see: the facts that can take part in a rule, in parts.

The chainer finds what every rule concludes, each conclusion with one match. Individuals and edges
that no such match needs stay out; matches that share a derived fact stay together; the rest may run
apart, which is cheaper, as Pellet's cost grows faster than the window. A part comes with the rules
that fire in it: Pellet builds and runs a network for each rule, also for those that can't. Pellet
still infers and explains everything itself. Where the chainer finds a contradiction or gives up,
Pellet gets the whole window.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ontology.chainer.builtins import Unsure
from ontology.chainer.chainer import Chainer
from ontology.chainer.closure import Closure
from ontology.chainer.rulebook import RDF, Rulebook, RulebookError, Term
from ontology.chainer.window_facts import IllTyped, Row, read_rows
from ontology.vocabulary import HOST_PREFIX, IDPS

PART_ALERTS = 60
"""Alerts that one part holds, unless more hang together."""
_TYPE = RDF + "type"


@dataclass(frozen=True, slots=True)
class Part:
    """What Pellet gets at once."""

    ntriples: bytes
    rules: frozenset[str] | None = None
    """Labels of the rules to run; None is all."""
    heads: frozenset[str] | None = None
    """Of what heads of rules name, the terms of which something holds; None is all."""


@dataclass(frozen=True, slots=True)
class Reduced:
    """A window cut down."""

    parts: tuple[Part, ...]
    """None if no rule can fire."""
    reached: int
    """Alerts that are in a part."""
    whole: str = ""
    """Why it was left whole; empty if it was cut down."""


class Prefilter:
    """Of one theory, given as its N-Triples. A theory that the chainer refuses leaves every window
    whole; `refused` says why."""

    def __init__(self, theory: bytes) -> None:
        self.refused = ""
        self.chainer: Chainer | None = None
        try:
            self.chainer = Chainer(theory)
        except RulebookError as e:
            self.refused = str(e)
        else:
            self._relevance = _Relevance(self.chainer.book)

    def reduce(self, ntriples: bytes) -> Reduced:
        """Cut a window down.

        Raises: SyntaxError if the bytes are not N-Triples.
        """
        if self.chainer is None:
            return _whole(ntriples, self.refused)
        try:
            rows = read_rows(ntriples)
            closure = self.chainer.close_facts(row[:3] for row in rows)
        except (Unsure, IllTyped) as e:
            return _whole(ntriples, str(e))
        if closure.contradiction or closure.same:
            return _whole(ntriples, closure.contradiction or "two individuals are one")
        groups = _groups(closure, self._relevance.heads)
        if not groups:
            return Reduced((), 0)
        used = {edge for firing in closure.firings for edge in firing.edges}
        covered = set[str]().union(*(group.members for group in groups))
        useful = self._relevance.select(
            [row for row in rows if row.subject in covered], used, self._relevance.answers(closure)
        )
        heads = frozenset(
            name
            for name in self._relevance.heads
            if closure.members.get(name) or name in closure.out
        )
        parts = tuple(
            Part(
                b"\n".join(
                    line
                    for one in sorted(part.members)
                    for line in _lines(useful, one, part.members)
                )
                + b"\n",
                frozenset(part.rules),
                heads,
            )
            for part in _packed(groups)
        )
        alerts = {row.subject for row in rows if row.value == IDPS.Alert}
        return Reduced(parts, len(covered & alerts))


def _whole(ntriples: bytes, why: str) -> Reduced:
    return Reduced((Part(ntriples),), 0, why)


@dataclass(slots=True)
class _Group:
    """Individuals that must be looked at together."""

    members: set[str] = field(default_factory=set)
    rules: set[str] = field(default_factory=set)
    """Labels of those that fire among them."""


Edge = tuple[str, Term, Term]
"""Property, subject, object."""


class _Relevance:
    """Which facts of an individual can matter to a rule or to what the heads name."""

    def __init__(self, book: Rulebook) -> None:
        self._book = book
        atoms = [atom for rule in book.rules for atom in (*rule.body, *rule.head)]
        self._classes = frozenset(a.name for a in atoms if a.kind == "class")
        self._properties = frozenset(a.name for a in atoms if a.kind == "property")
        self.heads = frozenset(a.name for rule in book.rules for a in rule.head)

    def answers(self, closure: Closure) -> set[Edge]:
        """Edges that the window has of what the heads name: Pellet answers with them too."""
        return {
            (name, subject, value)
            for name in self.heads
            for subject, values in closure.out.get(name, {}).items()
            for value in values
        }

    def select(
        self, rows: Iterable[Row], used: set[Edge], answers: set[Edge]
    ) -> dict[str, list[tuple[str, bytes]]]:
        """Subject → (object if it is an individual, line) of the facts that matter.

        Args:
            used: edges that a match needs.
            answers: edges that are an answer themselves.
        """
        rows = list(rows)
        types: dict[str, dict[str, frozenset[str]]] = {}
        for subject, predicate, value, _ in rows:
            if predicate == _TYPE and isinstance(value, str):
                types.setdefault(subject, {})[value] = self._above(value)
        asserted = {one: frozenset().union(*found.values()) for one, found in types.items()}
        none: frozenset[str] = frozenset()
        useful: dict[str, list[tuple[str, bytes]]] = {}
        for subject, predicate, value, line in rows:
            end = ""
            if predicate == _TYPE:
                keep = self._type_matters(str(value), types[subject])
            else:
                data = predicate in self._book.data_properties
                end = value if isinstance(value, str) else ""
                keep = self._edge_matters(
                    predicate,
                    asserted.get(subject, none),
                    asserted.get(end, none),
                    needed=data
                    or any(
                        (above, subject, value) in used or (above, subject, value) in answers
                        for above in self._book.properties_above.get(predicate, (predicate,))
                    ),
                )
            if keep:
                useful.setdefault(subject, []).append((end, line))
        return useful

    def _above(self, name: str) -> frozenset[str]:
        return self._book.classes_above.get(name, frozenset((name,))) & self._classes

    def _type_matters(self, name: str, types: dict[str, frozenset[str]]) -> bool:
        mine = types[name]
        if not mine:
            return False
        # Another type of the same individual may say all of it, and more.
        return not any(
            mine < other or (mine == other and other_name < name)
            for other_name, other in types.items()
        )

    def _edge_matters(
        self, name: str, subject: frozenset[str], value: frozenset[str], *, needed: bool
    ) -> bool:
        book = self._book
        for one in book.properties_above.get(name, (name,)):
            if one in book.inverses or (needed and one in self._properties):
                return True
        if (book.domains.get(name, frozenset()) & self._classes) - subject:
            return True
        if name in book.data_properties:
            return False
        return bool((book.ranges.get(name, frozenset()) & self._classes) - value)


def _lines(useful: dict[str, list[tuple[str, bytes]]], one: str, part: set[str]) -> Iterable[bytes]:
    return (line for value, line in useful.get(one, ()) if not value or value in part)


def _groups(closure: Closure, heads: frozenset[str]) -> list[_Group]:
    """Individuals that must be looked at together, per group; an individual of which nothing is
    derived (a host, mostly) may be in several."""
    derived = {str(t) for f in closure.firings for head in f.heads for t in head[1:] if _is_name(t)}
    chief: dict[str, str] = {}

    def find(one: str) -> str:
        while (up := chief.setdefault(one, one)) != one:
            chief[one] = one = chief[up]
        return one

    for firing in closure.firings:
        moving = [one for one in firing.bound if one in derived]
        for one in moving[1:]:
            chief[find(one)] = find(moving[0])
    groups: dict[str, _Group] = {}
    for firing in closure.firings:
        key = next((find(one) for one in firing.bound if one in derived), "")
        group = groups.setdefault(key, _Group())
        group.members.update(firing.bound)
        group.rules.add(firing.rule)
    covered = {one for group in groups.values() for one in group.members}
    # Pellet also answers with what the window itself asserts of a term in a head.
    for name in heads:
        for subject in closure.members.get(name, ()):
            if str(subject) not in covered:
                groups.setdefault(str(subject), _Group()).members.add(str(subject))
        for subject, values in closure.out.get(name, {}).items():
            ends = {str(subject), *(str(value) for value in values if _is_name(value))}
            if not any(ends <= group.members for group in groups.values()):
                groups.setdefault(str(subject), _Group()).members.update(ends)
    return list(groups.values())


def _is_name(term: Term) -> bool:
    return isinstance(term, str)


def _packed(groups: list[_Group]) -> list[_Group]:
    """Small groups together, neighbours (by their hosts) first, up to `PART_ALERTS` alerts."""
    parts: list[_Group] = []
    size = 0
    for group in sorted(
        groups, key=lambda g: max((x for x in g.members if x.startswith(HOST_PREFIX)), default="")
    ):
        alerts = sum(not one.startswith(HOST_PREFIX) for one in group.members)
        if not parts or size + alerts > PART_ALERTS:
            parts.append(_Group())
            size = 0
        parts[-1].members |= group.members
        parts[-1].rules |= group.rules
        size += alerts
    return parts
