"""Explanations without idle facts.

Pellet traces the first derivation of a fact, but may put further premises beside it (a host's type
by a domain, where another premise already gives it). Here each premise without which the conclusion
still follows from the others is dropped, as the chainer says. Explanations are alike up to names
and values, so the answer is worked out once per shape.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from ontology.reasoner.builtins import Unsure, literal
from ontology.reasoner.chainer import Chainer
from ontology.reasoner.closure import Closure
from ontology.reasoner.rulebook import RDF, Term
from ontology.reasoner.theory import rule_label

Premise = tuple[str, ...]
Fact = tuple[Term, str, Term]
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
        self._shapes: OrderedDict[object, _Needed | None] = OrderedDict()

    def shrink(self, conclusion: Sequence[str], premises: list[Premise]) -> list[Premise]:
        """The premises that are needed; all, if the chainer can't tell.

        Args:
            conclusion: (class, individual) or (property, subject, value).
            premises: ``(rule, IRI)``, ``(type, individual, class)``, ``(prop, property, subject,
                value)`` and axioms.
        """
        facts = [p for p in premises if self._is_fact(p)]
        if len(facts) > MAX_FACTS:
            return premises
        rules = [p for p in premises if p[0] == "rule"]
        shape = self._shape(conclusion, facts, rules)
        if shape in self._shapes:
            needed = self._shapes[shape]
        else:
            needed = self._shapes[shape] = self._needed(conclusion, facts)
            if len(self._shapes) > MAX_SHAPES:
                self._shapes.popitem(last=False)
        if needed is None or not needed.idle:
            return premises
        dropped = {fact for number, fact in enumerate(facts) if number in needed.idle}
        properties: set[str] = set()
        for fact in facts:
            if fact[0] == "prop" and fact not in dropped:
                properties |= self._chainer.book.properties_above.get(fact[1], {fact[1]})
        return [
            premise
            for premise in premises
            if premise not in dropped
            and not (premise[0] in ("domain", "range") and premise[1] not in properties)
            and not (premise[0] == "rule" and rule_label(premise[1]) not in needed.rules)
        ]

    def _is_fact(self, premise: Premise) -> bool:
        return (premise[0] == "type" and len(premise) == 3) or (
            premise[0] == "prop" and len(premise) == 4
        )

    def _shape(
        self, conclusion: Sequence[str], facts: list[Premise], rules: list[Premise]
    ) -> object:
        """The explanation with numbers for individuals, and for values of each property their
        order."""
        numbers: dict[str, int] = {}

        def number(name: str) -> int:
            return numbers.setdefault(name, len(numbers))

        rows: list[object] = [(conclusion[0], *(number(name) for name in conclusion[1:]))]
        values: list[tuple[int, str]] = []
        for fact in facts:
            if fact[0] == "type":
                rows.append((number(fact[1]), fact[2]))
            elif fact[1] in self._chainer.book.data_properties:
                rows.append((number(fact[2]), fact[1]))
                values.append((len(fact[3]), fact[3]))
            else:
                rows.append((number(fact[2]), fact[1], number(fact[3])))
        # By length first: whole numbers then sort by value.
        order = {value: rank for rank, value in enumerate(sorted(set(values)))}
        return tuple(rows), tuple(order[value] for value in values), tuple(rules)

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


def _holds(closure: Closure, conclusion: Sequence[str]) -> bool:
    if len(conclusion) == 2:
        return conclusion[1] in closure.members.get(conclusion[0], ())
    name, subject, value = conclusion
    values = closure.out.get(name, {}).get(subject, {})
    return value in values or any(not isinstance(v, str) for v in values)
