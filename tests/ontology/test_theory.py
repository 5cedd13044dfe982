from __future__ import annotations

import pytest
from pyoxigraph import RdfFormat, parse, serialize

from ontology.theory import Theory, TheoryError, rule_label
from ontology.vocabulary import NAMESPACE

PREFIXES = f"""@prefix : <{NAMESPACE}> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix swrl: <http://www.w3.org/2003/11/swrl#> .
@prefix swrlb: <http://www.w3.org/2003/11/swrlb#> . @prefix v: <urn:swrl:var#> .
v:a a swrl:Variable . v:b a swrl:Variable . v:x a swrl:Variable .
"""
ALERT = "[ a swrl:ClassAtom ; swrl:classPredicate :Alert ; swrl:argument1 v:a ]"
COUNT = (
    "[ a swrl:DatavaluedPropertyAtom ; swrl:propertyPredicate :count ;"
    " swrl:argument1 v:a ; swrl:argument2 v:x ]"
)
HEAD = "[ a swrl:ClassAtom ; swrl:classPredicate :FloodFinding ; swrl:argument1 v:a ]"


def builtin(iri: str) -> str:
    return f"[ a swrl:BuiltinAtom ; swrl:builtin {iri} ; swrl:arguments ( v:x 5 ) ]"


def made_of(*rules: tuple[str, str, str]) -> Theory:
    """Of (label, body atoms, head atoms), in Turtle."""
    text = PREFIXES + "".join(
        f'[] a swrl:Imp ; rdfs:label "{label}" ; rdfs:comment "why {label}" ;'
        f" swrl:body ( {body} ) ; swrl:head ( {head} ) .\n"
        for label, body, head in rules
    )
    data = serialize(parse(text.encode(), format=RdfFormat.TURTLE), format=RdfFormat.N_TRIPLES)
    return Theory.from_ntriples(data)


def test_rules_get_names_that_lead_back_to_their_labels() -> None:
    found = made_of(("Más de 5 <x>", f"{ALERT} {COUNT} {builtin('swrlb:greaterThan')}", HEAD))
    (rule,) = found.rules
    assert rule.label == "Más de 5 <x>" and rule.comment == "why Más de 5 <x>"
    assert rule.classes == (NAMESPACE + "FloodFinding",) and rule.pairs == rule.values == ()
    names = {
        q.subject.value
        for q in parse(found.ntriples, format=RdfFormat.N_TRIPLES)
        if getattr(q.object, "value", "").endswith("#Imp")
    }
    assert {rule_label(name) for name in names} == {rule.label}
    assert found.rule("Más de 5 <x>") is rule and found.rule("other") is None


def test_the_shipped_rules_are_understood(theory: Theory) -> None:
    rule = theory.rule("ScanThenBruteForce")
    assert rule is not None and rule.pairs == (NAMESPACE + "scanThenBruteForce",)
    assert len(theory.rules) >= 8


def test_the_version_follows_the_content(knowledge: bytes, theory: Theory) -> None:
    assert Theory.from_ntriples(knowledge) == theory
    assert Theory.from_ntriples(knowledge + b"<urn:a> <urn:b> <urn:c> .").version != theory.version


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([("", ALERT, HEAD)], "no rdfs:label"),
        ([("A", ALERT, HEAD), ("A", ALERT, HEAD)], "two rules are labelled 'A'"),
        ([("A", f"{ALERT} {builtin('swrlb:addDayTimeDurationToDateTime')}", HEAD)], "can't run"),
        ([("A", f"{ALERT} {builtin('<urn:mine>')}", HEAD)], "can't run the built-in <urn:mine>"),
        ([("A", ALERT, HEAD.replace("v:a", "v:b"))], "\\?b in the head"),
        ([("A", ALERT, builtin("swrlb:equal").replace("v:x", "v:a"))], "its head must be"),
    ],
)
def test_rules_that_pellet_would_drop_are_refused(
    rules: list[tuple[str, str, str]], message: str
) -> None:
    with pytest.raises(TheoryError, match=message):
        made_of(*rules)


def test_atoms_that_an_editor_shuffled_are_put_in_join_order() -> None:
    """Class atoms of alerts that nothing joins yet would make Pellet pair each with every other."""

    def link(name: str, a: str, b: str) -> str:
        return (
            f"[ a swrl:IndividualPropertyAtom ; swrl:propertyPredicate :{name} ;"
            f" swrl:argument1 v:{a} ; swrl:argument2 v:{b} ]"
        )

    shuffled = " ".join(
        (
            builtin("swrlb:greaterThan"),
            COUNT,
            ALERT.replace("v:a", "v:x"),
            ALERT,
            link("involvesTarget", "x", "b"),
            link("involvesSource", "a", "b"),
        )
    )
    found = made_of(("A", shuffled, HEAD))
    quads = list(parse(found.ntriples, format=RdfFormat.N_TRIPLES))
    said = {(q.subject, q.predicate.value.rpartition("#")[2]): q.object for q in quads}
    cell = next(q.object for q in quads if q.predicate.value.endswith("swrl#body"))
    order = []
    while (cell, "first") in said:
        atom = said[cell, "first"]
        order.append(said[atom, "type"].value.rpartition("#")[2])
        cell = said[cell, "rest"]
    # Of one alert, its host, the other alert on that host, and only then what that one is.
    assert order == [
        "ClassAtom",
        "IndividualPropertyAtom",
        "IndividualPropertyAtom",
        "ClassAtom",
        "DatavaluedPropertyAtom",
        "BuiltinAtom",
    ]
