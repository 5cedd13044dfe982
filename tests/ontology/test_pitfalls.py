"""The shipped ontology has none of OOPS!'s pitfalls that a program can see.

Poveda-Villalón et al., OOPS! (2014): the numbers are those of its catalogue. Exceptions are named
here, with their reason.
"""

from __future__ import annotations

import re

import pytest
import rdflib
from rdflib import OWL, RDF, RDFS
from rdflib.collection import Collection

from ontology.knowledge_base import ontology_path
from ontology.vocabulary import NAMESPACE, ONTOLOGY_IRI
from ontology.window_terms import HELD

DCTERMS = rdflib.Namespace("http://purl.org/dc/terms/")
PROPERTIES = (OWL.ObjectProperty, OWL.DatatypeProperty)
NO_DOMAIN = {
    # Of several kinds of things: a domain would make each of them the other.
    *("affectedService", "affectedSystem", "cve", "clusterDistance", "d3fendId", "modelName"),
}


@pytest.fixture(scope="module")
def graph() -> rdflib.Graph:
    return rdflib.Graph().parse(ontology_path(), format="xml")


def named(graph: rdflib.Graph, *kinds: rdflib.URIRef) -> set[rdflib.URIRef]:
    return {
        s
        for kind in kinds
        for s in graph.subjects(RDF.type, kind)
        if isinstance(s, rdflib.URIRef) and s.startswith(NAMESPACE)
    }


def short(terms: set[rdflib.URIRef]) -> set[str]:
    return {str(term).removeprefix(NAMESPACE) for term in terms}


def test_p04_no_class_stands_unconnected(graph: rdflib.Graph) -> None:
    used = {o for p in (RDFS.subClassOf, RDFS.domain, RDFS.range, OWL.equivalentClass)
            for pair in graph.subject_objects(p) for o in pair}  # fmt: skip
    assert named(graph, OWL.Class) - used == set()


def test_p06_no_class_is_above_itself(graph: rdflib.Graph) -> None:
    for term in named(graph, OWL.Class):
        above = set(graph.transitive_objects(term, RDFS.subClassOf)) - {term}
        assert all(term not in graph.transitive_objects(a, RDFS.subClassOf) for a in above), term


def test_p08_everything_is_explained(graph: rdflib.Graph) -> None:
    for term in named(graph, OWL.Class, OWL.AnnotationProperty, *PROPERTIES):
        assert graph.value(term, RDFS.label) and graph.value(term, RDFS.comment), term


def test_p11_p18_p19_each_property_has_one_domain_and_one_range(graph: rdflib.Graph) -> None:
    for term in named(graph, *PROPERTIES):
        domains = list(graph.objects(term, RDFS.domain))
        assert len(list(graph.objects(term, RDFS.range))) == 1, term
        assert len(domains) == (str(term).removeprefix(NAMESPACE) not in NO_DOMAIN), term


def test_p05_p25_p26_inverses_fit(graph: rdflib.Graph) -> None:
    pairs = list(graph.subject_objects(OWL.inverseOf))
    assert len(pairs) >= 10
    for one, other in pairs:
        assert one != other and (one, RDF.type, OWL.SymmetricProperty) not in graph
        assert graph.value(one, RDFS.domain) == graph.value(other, RDFS.range), one
        assert graph.value(one, RDFS.range) == graph.value(other, RDFS.domain), one
        # An inverse of what windows hold would keep all of it in every window.
        assert str(other) not in HELD and str(one) not in HELD


def test_p10_what_is_apart_is_said_to_be(graph: rdflib.Graph) -> None:
    apart = [
        set(Collection(graph, graph.value(node, OWL.members)))
        for node in graph.subjects(RDF.type, OWL.AllDisjointClasses)
    ]
    threats = set(graph.subjects(RDFS.subClassOf, rdflib.URIRef(NAMESPACE + "ThreatConcept")))
    assert threats in apart and len(threats) == 11


def test_p22_names_are_of_one_style(graph: rdflib.Graph) -> None:
    for name in short(named(graph, OWL.Class)):
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", name), name
    for name in short(named(graph, OWL.AnnotationProperty, *PROPERTIES)):
        assert re.fullmatch(r"[a-z][A-Za-z0-9]*", name), name


def test_p24_no_definition_uses_itself(graph: rdflib.Graph) -> None:
    for term, value in graph.subject_objects(OWL.equivalentClass):
        if isinstance(value, rdflib.BNode):
            assert term not in graph.transitive_objects(value, None), term  # type: ignore[arg-type]


def test_p28_p29_symmetric_and_transitive_properties_stay_in_their_domain(
    graph: rdflib.Graph,
) -> None:
    found = named(graph, OWL.SymmetricProperty, OWL.TransitiveProperty)
    assert found
    for term in found:
        assert graph.value(term, RDFS.domain) == graph.value(term, RDFS.range), term
        assert (term, RDF.type, OWL.FunctionalProperty) not in graph


def test_p32_labels_differ(graph: rdflib.Graph) -> None:
    labels = [str(graph.value(t, RDFS.label)) for t in named(graph, OWL.Class)]
    assert len(labels) == len(set(labels))


def test_p34_p35_what_is_named_is_declared(graph: rdflib.Graph) -> None:
    declared = set(graph.subjects(RDF.type, None))
    for _, predicate, value in graph:
        for term in (predicate, value):
            if isinstance(term, rdflib.URIRef) and term.startswith(NAMESPACE):
                assert term in declared, term


def test_p36_p38_p41_the_header_says_what_it_is(graph: rdflib.Graph) -> None:
    ontology = rdflib.URIRef(ONTOLOGY_IRI)
    assert (ontology, RDF.type, OWL.Ontology) in graph and not ONTOLOGY_IRI.endswith(".owl")
    for term in (DCTERMS.license, DCTERMS.creator, DCTERMS.created, DCTERMS.title):
        assert graph.value(ontology, term), term
    assert graph.value(ontology, OWL.versionInfo)
