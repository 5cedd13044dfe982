"""Axioms as a person would say them."""

from __future__ import annotations

import pytest

from ontology.checking.wording import say
from ontology.vocabulary import NAMESPACE

DISJOINT = f"[{','.join(NAMESPACE + name for name in ('Agent', 'Host', 'Record', 'State'))}]"


@pytest.mark.parametrize(
    ("kind", "terms", "words"),
    [
        ("subClassOf", ("Alert", "Event"), "Alert is a kind of Event"),
        ("type", ("x", "Alert"), "x is an Alert"),
        ("domain", ("verifiedSource", "Record"), "whatever has verifiedSource is a Record"),
        ("range", ("involvesTarget", "Host"), "whatever involvesTarget names is a Host"),
        ("functional", ("hasSource",), "hasSource has one value only"),
        ("inverseProperty", ("a", "b"), "inverseProperty(a, b)"),
    ],
)
def test_an_axiom_in_words(kind: str, terms: tuple[str, ...], words: str) -> None:
    assert say((kind, *(NAMESPACE + term for term in terms))) == words


def test_of_many_disjoint_classes_those_are_named_that_matter() -> None:
    about = frozenset((NAMESPACE + "Host", NAMESPACE + "Record"))
    assert say(("disjointClasses", DISJOINT), about) == "Host and Record are disjoint"
    assert say(("disjointClasses", DISJOINT)) == "Agent, Host, Record and State are disjoint"
    assert say(("rule", "urn:ontoidps:rule:Odd%20one")) == "rule 'Odd one'"
