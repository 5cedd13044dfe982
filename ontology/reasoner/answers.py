"""A worker's answer, as it comes in a frame, to inferences with their explanations. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ontology.reasoner.inferences import (
    DerivedMember,
    DerivedPair,
    DerivedValue,
    Explanation,
    Fact,
    Inferences,
)
from ontology.theory import RuleInfo, rule_label
from ontology.vocabulary import NAMESPACE


def read_answer(head: dict[str, Any], rules: Iterable[RuleInfo]) -> Inferences:
    """Inferences of a window, from the answer of `ontology.reasoner.worker`.

    Args:
        rules: of the theory that the worker reasons with.
    """
    explain = _Explainer(rules, head["terms"])
    return Inferences(
        pairs=tuple(
            DerivedPair(_local(iri), subject, value, explain(iri, why))
            for iri, subject, value, why in head["pairs"]
        ),
        members=tuple(
            DerivedMember(_local(iri), individual, explain(iri, why))
            for iri, individual, why in head["members"]
        ),
        values=tuple(
            DerivedValue(_local(iri), subject, value, datatype, explain(iri, why))
            for iri, subject, value, datatype, why in head["values"]
        ),
        reasoning_us=head["took_us"],
    )


def as_fact(term: list[str]) -> Fact | None:
    """A premise as a fact; None for a rule."""
    return Fact(term[0], tuple(term[1:])) if term[0] != "rule" else None


class _Explainer:
    """Explanations from numbers of premises.

    Args:
        rules: of the theory.
        terms: the premises of a window, each once.
    """

    def __init__(self, rules: Iterable[RuleInfo], terms: list[list[str]]) -> None:
        self._rules = {rule.label: rule for rule in rules}
        self._facts = [as_fact(term) for term in terms]
        self._labels = [
            rule_label(term[1]) if term[0] == "rule" and len(term) > 1 else "" for term in terms
        ]

    def __call__(self, iri: str, premises: list[int]) -> Explanation:
        chain = sorted({label for n in premises if (label := self._labels[n])})
        # The chain also holds the rules behind the premises; ours is the one with this head.
        own = next(
            (
                self._rules[label]
                for label in chain
                if label in self._rules and self._rules[label].concludes(iri)
            ),
            None,
        )
        return Explanation(
            rule=own.label if own is not None else "",
            comment=own.comment if own is not None else "",
            rules=tuple(chain),
            facts=tuple(fact for n in premises if (fact := self._facts[n]) is not None),
        )


def _local(iri: str) -> str:
    return iri.removeprefix(NAMESPACE)
