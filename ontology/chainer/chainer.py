"""A forward chainer compiled from the SWRL rules: the filter before Pellet, and the check on it.

It runs every rule to the fixpoint over one window, with the hierarchy of classes and properties,
domains, ranges, inverses, functional properties (two objects are one individual, two values a
contradiction) and disjoint classes. What it can't evaluate it refuses when it is made. Pellet has
the last word: this one finds which facts can take part in a rule at all, and tests compare the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ontology.chainer.builtins import NUMERIC
from ontology.chainer.closure import Closure
from ontology.chainer.program import Program
from ontology.chainer.rulebook import RDF, Rulebook, Term, read_rulebook
from ontology.chainer.window_facts import IllTyped, read_rows

_ROUND_WORK = 200
"""What one run of one rule counts as, so that rules which feed themselves come to an end."""
_FIRING_WORK = 10
_XSD = "http://www.w3.org/2001/XMLSchema#"
_SPACES = {"boolean": "b", "string": "s", "double": "n", "float": "n"} | dict.fromkeys(NUMERIC, "n")

Fact = tuple[Term, str, Term]
"""Subject, predicate (IRI), value."""


class Chainer:
    """The rules of one theory, given as `Theory.ntriples`.

    Raises: RulebookError for a rule or an axiom that it can't evaluate.
    """

    def __init__(self, theory: bytes) -> None:
        self.book: Rulebook = read_rulebook(theory)
        self._used = _used_part(self.book)
        self._programs = [Program(rule, self.book.functional) for rule in self.book.rules]

    def close(self, ntriples: bytes) -> Closure:
        """Everything that follows from the facts of a window.

        Raises: Unsure, TooMuchWork; SyntaxError if the bytes are not N-Triples.
        """
        try:
            rows = read_rows(ntriples)
        except IllTyped as e:
            return Closure(contradiction=str(e))
        return self.close_facts(row[:3] for row in rows)

    def close_facts(self, facts: Iterable[Fact]) -> Closure:
        """As `close`, of (subject, predicate, value).

        Raises: Unsure, TooMuchWork.
        """
        facts = [*self.book.facts, *facts]
        same: dict[Term, Term] = {}
        while True:
            run = _Run(self._used, same)
            for subject, name, value in facts:
                run.state(same.get(subject, subject), name, same.get(value, value))
            run.chain(self._programs)
            closure = run.closure
            if closure.contradiction or not closure.merges:
                if not closure.contradiction:
                    closure.contradiction = self._clash(closure)
                closure.same = same
                return closure
            for a, b in closure.merges:
                _merge(same, a, b)

    def _clash(self, closure: Closure) -> str:
        for classes in self.book.disjoint:
            seen: dict[Term, str] = {}
            for name in classes:
                for one in closure.members.get(name, ()):
                    if seen.setdefault(one, name) != name:
                        return f"{one} is of the disjoint classes {seen[one]} and {name}"
        return ""


def _used_part(book: Rulebook) -> Rulebook:
    """The axioms without those that neither a rule nor a disjointness can notice."""
    atoms = [atom for rule in book.rules for atom in (*rule.body, *rule.head)]
    classes = frozenset(a.name for a in atoms if a.kind == "class").union(*book.disjoint)

    def cut(places: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
        return {name: found & classes for name, found in places.items()}

    object_ranges = {p: c for p, c in book.ranges.items() if p not in book.data_properties}
    return replace(
        book,
        classes_above=cut(book.classes_above),
        domains=cut(book.domains),
        ranges=book.ranges | cut(object_ranges),
    )


def _merge(same: dict[Term, Term], a: Term, b: Term) -> None:
    chief, other = sorted((same.get(a, a), same.get(b, b)), key=str)
    if chief == other:
        return
    for one in [one for one, old in same.items() if old == other]:
        same[one] = chief
    same[other] = chief


class _Run:
    """One fixpoint."""

    def __init__(self, book: Rulebook, same: dict[Term, Term]) -> None:
        self._book = book
        self._same = same
        self.closure = Closure()
        self._changed: dict[str, int] = {}
        self._clock = 0

    def state(self, subject: Term, name: str, value: Term) -> None:
        """Take a fact in, with what the axioms make of it."""
        if name == RDF + "type":
            self._type(str(value), subject)
        else:
            self._edge(name, subject, value)

    def _type(self, name: str, one: Term) -> None:
        for above in self._book.classes_above.get(name, (name,)):
            members = self.closure.members.setdefault(above, {})
            if one not in members:
                members[one] = None
                self._clock += 1
                self._changed[above] = self._clock

    def _edge(self, name: str, subject: Term, value: Term) -> None:
        book, closure = self._book, self.closure
        for above in book.properties_above.get(name, (name,)):
            values = closure.out.setdefault(above, {}).setdefault(subject, {})
            if value in values:
                continue
            if values and above in book.functional:
                if above in book.data_properties:
                    closure.contradiction = f"{subject} has two values of {above}"
                else:
                    closure.merges.append((next(iter(values)), value))
            values[value] = None
            closure.back.setdefault(above, {}).setdefault(value, {})[subject] = None
            self._clock += 1
            self._changed[above] = self._clock
            for inverse in book.inverses.get(above, ()):
                self._edge(inverse, value, subject)
        for place in book.domains.get(name, ()):
            self._type(place, subject)
        places = book.ranges.get(name, ())
        if name in book.data_properties:
            for place in places:
                if not _fits(value, place):
                    closure.contradiction = f"{value} is no value of {name}"
        else:
            for place in places:
                self._type(place, value)

    def chain(self, programs: Iterable[Program]) -> None:
        """Run the rules until nothing new follows."""
        last: dict[Program, int] = {}
        changed = self._changed
        moving = True
        while moving and not self.closure.contradiction:
            moving = False
            for program in programs:
                # A rule whose class or property has no fact can't match.
                if not program.needs <= changed.keys():
                    continue
                if last.get(program, -1) >= max(map(changed.__getitem__, program.needs), default=0):
                    continue
                last[program] = self._clock
                moving = True
                self.closure.spend(_ROUND_WORK)
                # All matches before the first conclusion: tables must not change underneath.
                matches = program.matches(self.closure)
                self.closure.firings += matches
                self.closure.spend(_FIRING_WORK * len(matches))
                for firing in matches:
                    for head in firing.heads:
                        self._conclude(head)

    def _conclude(self, head: tuple[Term, ...]) -> None:
        terms = [self._same.get(t, t) for t in head[1:]]
        if len(terms) == 1:
            self._type(str(head[0]), terms[0])
        else:
            self._edge(str(head[0]), terms[0], terms[1])


def _fits(value: Term, datatype: str) -> bool:
    name = datatype.removeprefix(_XSD)
    space = _SPACES.get(name)
    if isinstance(value, str):
        return False
    if space is None:
        return value[0] == datatype
    whole = name in NUMERIC and name != "decimal"
    return value[0] == space and (not whole or value[1] == int(value[1]))
