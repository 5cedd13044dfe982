"""Explanations without idle facts.

Pellet traces the first derivation of a fact, but may add further premises to it (a host's type
by a domain, where another premise already gives it). Here each premise without which the conclusion
still follows from the others is dropped, as the chainer says. Explanations are alike up to names
and values, so the answer is worked out once per shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cachetools import LRUCache

from ontology.chainer.builtins import Unsure, literal
from ontology.chainer.chainer import Chainer
from ontology.chainer.closure import Closure
from ontology.chainer.rulebook import RDF, Rulebook, Term
from ontology.theory import rule_label

Fact = tuple[Term, str, Term]
Premise = tuple[str, ...]
"""As `ontology.reasoner.premises.Term`: function and arguments."""
MAX_SHAPES = 2_000
MAX_FACTS = 40
"""Longer explanations stay as Pellet gives them."""
_XSD_STRING = "http://www.w3.org/2001/XMLSchema#string"


@dataclass(frozen=True, slots=True)
class _Needed:
    """What explanations of one shape come down to."""

    idle: frozenset[int]
    """Numbers of the facts to drop."""
    rules: frozenset[str]
    """Labels of the rules that the others fire."""


class Justifier:
    """Of one theory."""

    def __init__(self, chainer: Chainer) -> None:
        self._chainer = chainer
        self._ordered = _ordered_properties(chainer.book)
        self._shapes: LRUCache[object, _Needed | None] = LRUCache(MAX_SHAPES)

    def shrink(
        self, conclusion: Sequence[str], terms: Sequence[Premise], numbers: list[int]
    ) -> list[int]:
        """The numbers of the premises that are needed; all, if the chainer can't tell.

        Args:
            conclusion: (class, individual) or (property, subject, value).
            terms: ``(rule, IRI)``, ``(type, individual, class)``, ``(prop, property, subject,
                value)`` and axioms.
            numbers: which of them are the premises.
        """
        facts, rules, axioms = [], [], []
        for number in numbers:
            term = terms[number]
            if (term[0] == "type" and len(term) == 3) or (term[0] == "prop" and len(term) == 4):
                facts.append(number)
            elif term[0] == "rule":
                rules.append(number)
            else:
                axioms.append(number)
        if len(facts) > MAX_FACTS:
            return numbers
        order, shape = self._shape(conclusion, [terms[number] for number in facts])
        facts = [facts[place] for place in order]
        key = (shape, *(terms[number] for number in rules))
        if key in self._shapes:
            needed = self._shapes[key]
        else:
            needed = self._needed(conclusion, [terms[number] for number in facts])
            self._shapes[key] = needed
        if needed is None or not needed.idle:
            return numbers
        kept = [number for place, number in enumerate(facts) if place not in needed.idle]
        properties: set[str] = set()
        for number in kept:
            if terms[number][0] == "prop":
                name = terms[number][1]
                properties |= self._chainer.book.properties_above.get(name, {name})
        kept += [n for n in rules if rule_label(terms[n][1]) in needed.rules]
        kept += [
            n for n in axioms if terms[n][0] not in ("domain", "range") or terms[n][1] in properties
        ]
        return sorted(kept)

    def _shape(
        self, conclusion: Sequence[str], facts: list[Premise]
    ) -> tuple[list[int], tuple[object, ...]]:
        """An order of the facts that hangs neither on names nor on times, and the explanation in
        this order: numbers for individuals, and for values their rank.

        Two explanations of equal shape are alike. Like ones may, where individuals can't be told
        apart by what is said of them, have two shapes: that costs time and nothing else.
        """
        data = self._chainer.book.data_properties
        marks: dict[str, list[str]] = {name: [] for name in conclusion[1:]}
        times: dict[str, list[tuple[int, str]]] = {}
        near: dict[str, list[str]] = {}
        values: set[tuple[int, str]] = set()
        for fact in facts:
            if fact[0] == "type":
                marks.setdefault(fact[1], []).append(fact[2])
                continue
            _, name, subject, value = fact
            marks.setdefault(subject, []).append(name)
            if name not in data:
                marks.setdefault(value, []).append("-" + name)
                near.setdefault(subject, []).append(value)
                near.setdefault(value, []).append(subject)
            elif name in self._ordered:
                # By length first: whole numbers then sort by value.
                times.setdefault(subject, []).append((len(value), value))
                values.add((len(value), value))
        places = {name: number for number, name in enumerate(conclusion[1:])}

        def look(name: str) -> tuple[object, ...]:
            return places.get(name, 9), sorted(marks[name]), sorted(times.get(name, ()))

        numbers = {name: n for n, name in enumerate(sorted(times, key=look))}
        for name in sorted(
            (name for name in marks if name not in times),
            key=lambda name: (*look(name), sorted(numbers.get(n, 99) for n in near.get(name, ()))),
        ):
            numbers[name] = len(numbers)
        ranks = {value: rank for rank, value in enumerate(sorted(values))}
        rows: list[tuple[str, int, int, int]] = []
        texts: dict[str, list[int]] = {}
        for place, fact in enumerate(facts):
            if fact[0] == "type":
                rows.append((fact[2], numbers[fact[1]], -1, place))
            elif fact[1] not in data:
                rows.append((fact[1], numbers[fact[2]], numbers[fact[3]], place))
            elif fact[1] in self._ordered:
                rows.append((fact[1], numbers[fact[2]], ranks[len(fact[3]), fact[3]], place))
            else:
                rows.append((fact[1], numbers[fact[2]], -2, place))
                texts.setdefault(fact[3], []).append(numbers[fact[2]])
        rows.sort()
        # Of other values all that a rule can tell is which are equal.
        equal = sorted(sorted(owners) for owners in texts.values() if len(owners) > 1)
        return [row[3] for row in rows], (
            conclusion[0],
            *(numbers[name] for name in conclusion[1:]),
            *(row[:3] for row in rows),
            *(tuple(owners) for owners in equal),
        )

    def _needed(self, conclusion: Sequence[str], premises: list[Premise]) -> _Needed | None:
        try:
            facts = [self._fact(premise) for premise in premises]
            if not self._follows(conclusion, facts):
                return None
            kept = list(range(len(facts)))
            # Types first: an edge says more than a class that its range gives as well.
            for one in sorted(kept, key=lambda i: (premises[i][0] != "type", i)):
                rest = [i for i in kept if i != one]
                if self._follows(conclusion, [facts[i] for i in rest]):
                    kept = rest
            closure = self._chainer.close_facts(facts[i] for i in kept)
        except (ValueError, Unsure):
            return None
        idle = frozenset(range(len(facts))) - frozenset(kept)
        return _Needed(idle, frozenset(firing.rule for firing in closure.firings))

    def _fact(self, premise: Premise) -> Fact:
        if premise[0] == "type":
            return premise[1], RDF + "type", premise[2]
        _, name, subject, text = premise
        if name not in self._chainer.book.data_properties:
            return subject, name, text
        datatypes = self._chainer.book.ranges.get(name, frozenset())
        return subject, name, literal(text, min(datatypes, default=_XSD_STRING))

    def _follows(self, conclusion: Sequence[str], facts: list[Fact]) -> bool:
        closure = self._chainer.close_facts(facts)
        return not closure.contradiction and _holds(closure, conclusion)


def _ordered_properties(book: Rulebook) -> frozenset[str]:
    """Data properties whose values a rule compares or computes with, beyond equal and unequal."""
    found = set()
    for rule in book.rules:
        compared = {
            argument
            for atom in rule.body
            if atom.kind == "builtin" and atom.name not in ("equal", "notEqual")
            for argument in atom.arguments
        }
        found |= {
            atom.name
            for atom in (*rule.body, *rule.head)
            if atom.kind == "property" and atom.arguments[1] in compared
        }
    return frozenset(found & book.data_properties)


def _holds(closure: Closure, conclusion: Sequence[str]) -> bool:
    if len(conclusion) == 2:
        return conclusion[1] in closure.members.get(conclusion[0], ())
    name, subject, value = conclusion
    values = closure.out.get(name, {}).get(subject, {})
    return value in values or any(not isinstance(v, str) for v in values)
