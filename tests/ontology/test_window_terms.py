"""Every term has values, of the type that the ontology says, and rules of every kind read them."""

from __future__ import annotations

from ontology.checking.terms import XSD, read_vocabulary
from ontology.knowledge_base import ontology_path, read_owl_file
from ontology.window_terms import HELD, INSTEAD, PAPER_TERMS, READ, gateway_of
from rules.shipped_files import paper_rules_path
from tests.factories import make_alert


def test_types_are_those_of_the_ontology() -> None:
    known = read_vocabulary([read_owl_file(ontology_path())])
    for term, (_, datatype) in HELD.items():
        kinds = known.kinds[term]
        assert kinds == {"data property" if datatype else "object property"}, term
        assert known.ranges.get(term, "") == (XSD + datatype if datatype else "")
    assert set(INSTEAD).isdisjoint(HELD) and set(INSTEAD.values()) <= set(HELD)
    assert len({valued.term for valued in READ}) == len(READ)


def test_terms_of_the_paper_are_those_of_its_file() -> None:
    paper = read_owl_file(paper_rules_path(), 1)
    known = read_vocabulary([read_owl_file(ontology_path()), paper])
    assert all(known.knows(term) for term in PAPER_TERMS)


def test_the_gateway_is_the_sensors_node() -> None:
    assert gateway_of(make_alert(sensor="sensor.gw1@honeynet.test")) == "gw1"
    assert gateway_of(make_alert(sensor="replay")) is None
