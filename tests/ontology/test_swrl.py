"""Rules as they stand in a file: whole, broken, switched off."""

import pytest
from pyoxigraph import RdfFormat, parse

from ontology.swrl import Rule, local_name, read_rules

PREFIXES = """
@prefix : <http://example.org/x#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix swrl: <http://www.w3.org/2003/11/swrl#> .
@prefix swrlb: <http://www.w3.org/2003/11/swrlb#> .
@prefix swrla: <http://swrl.stanford.edu/ontologies/3.3/swrla.owl#> .
<urn:swrl:var#a> a swrl:Variable .
<urn:swrl:var#b> a swrl:Variable .
"""
HEAD = "swrl:head ([ a swrl:ClassAtom ; swrl:classPredicate :C ; swrl:argument1 <urn:swrl:var#a> ])"
BODY = """swrl:body ([ a swrl:IndividualPropertyAtom ; swrl:propertyPredicate :p ;
    swrl:argument1 <urn:swrl:var#a> ; swrl:argument2 <urn:swrl:var#b> ])"""


def rules(text: str) -> tuple[Rule, ...]:
    return read_rules(
        quad.triple for quad in parse((PREFIXES + text).encode(), format=RdfFormat.TURTLE)
    )


def test_a_whole_rule() -> None:
    (rule,) = rules(f'[] a swrl:Imp ; rdfs:label "Eng"@en, "Deu"@de ; {BODY} ; {HEAD} .')
    assert str(rule) == "p(?a, ?b) -> C(?a)"
    assert (rule.label, rule.enabled, rule.broken) == ("Eng", True, "")
    assert [v.name for v in rule.body[0].variables] == ["?a", "?b"]


def test_a_rule_that_is_switched_off() -> None:
    (rule,) = rules(f"[] a swrl:Imp ; swrla:isRuleEnabled false ; {BODY} ; {HEAD} .")
    assert not rule.enabled


@pytest.mark.parametrize(
    ("body", "broken"),
    [
        ("", "it has no swrl:body"),
        ("swrl:body _:x . _:x rdf:first :y .", "its swrl:body ends without rdf:nil"),
        ("swrl:body _:x . _:x rdf:first :y ; rdf:rest _:x .", "its swrl:body runs in a circle"),
    ],
)
def test_a_broken_list_stays_readable(body: str, broken: str) -> None:
    text = f"_:r a swrl:Imp ; {HEAD} ." + (f" _:r {body}" if body else "")
    (rule,) = rules(text)
    assert rule.broken == broken
    assert str(rule).endswith("-> C(?a)")


def test_an_atom_without_arguments_shows_that() -> None:
    (rule,) = rules(
        f"[] a swrl:Imp ; swrl:body ([ a swrl:ClassAtom ; swrl:classPredicate :C ]) ; {HEAD} ."
    )
    assert str(rule) == "C(?!) -> C(?a)"


@pytest.mark.parametrize(
    ("iri", "name"), [("http://e/x#C", "C"), ("http://e/x/C", "C"), ("urn:x:C", "C"), ("C", "C")]
)
def test_local_names(iri: str, name: str) -> None:
    assert local_name(iri) == name
