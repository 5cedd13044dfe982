"""The vocabulary and ``ontoidps.owl``, compared in both directions."""

from __future__ import annotations

import subprocess
import sys

import pytest
import rdflib
from rdflib import OWL, RDF, RDFS

from ontology import vocabulary as v
from ontology.knowledge_base import ontology_path


@pytest.fixture(scope="module")
def graph() -> rdflib.Graph:
    return rdflib.Graph().parse(ontology_path(), format="xml")


def terms(namespace: type) -> dict[str, str]:
    return {name: value for name, value in vars(namespace).items() if isinstance(value, v.Term)}


@pytest.mark.parametrize(
    ("namespace", "kind"),
    [
        (v.Classes, OWL.Class),
        (v.ObjectProperties, OWL.ObjectProperty),
        (v.DataProperties, OWL.DatatypeProperty),
        (v.AnnotationProperties, OWL.AnnotationProperty),
    ],
)
def test_vocabulary_is_what_the_file_declares(
    graph: rdflib.Graph, namespace: type, kind: rdflib.URIRef
) -> None:
    declared = {str(s) for s in graph.subjects(RDF.type, kind) if str(s).startswith(v.NAMESPACE)}
    assert set(terms(namespace).values()) == declared


def test_terms_are_named_for_their_iri() -> None:
    for namespace in (v.Classes, v.ObjectProperties, v.DataProperties, v.AnnotationProperties):
        for name, term in terms(namespace).items():
            assert term == v.NAMESPACE + name
            assert getattr(v.IDPS, name).local_name == name


def test_no_term_is_of_two_kinds() -> None:
    spaces = (v.Classes, v.ObjectProperties, v.DataProperties, v.AnnotationProperties)
    names = [name for namespace in spaces for name in terms(namespace)]
    assert len(names) == len(set(names))


def test_ontology_iri_and_version_are_those_of_the_file(graph: rdflib.Graph) -> None:
    ontology = rdflib.URIRef(v.ONTOLOGY_IRI)
    assert (ontology, RDF.type, OWL.Ontology) in graph
    assert str(graph.value(ontology, OWL.versionInfo)) == v.ONTOLOGY_VERSION
    assert str(graph.value(ontology, OWL.versionIRI)) == f"{v.ONTOLOGY_IRI}/{v.ONTOLOGY_VERSION}"


def test_taxonomies_are_those_of_the_file(graph: rdflib.Graph) -> None:
    for root in ("Attack", "Incident", "Host"):
        top = rdflib.URIRef(v.NAMESPACE + root)
        found = {}
        for below in graph.transitive_subjects(RDFS.subClassOf, top):
            if below != top:
                (parent,) = graph.objects(below, RDFS.subClassOf)
                found[str(below).removeprefix(v.NAMESPACE)] = str(parent).removeprefix(v.NAMESPACE)
        assert found == {c: p for c, p in v.PARENTS.items() if v.superclasses(c)[-1] == root}


def test_superclasses_come_nearest_first() -> None:
    assert v.superclasses("SynScan") == ("PortScan", "Scan", "Attack")
    assert v.superclasses("SynFlood") == ("Flood", "DenialOfService", "Invalidation", "Attack")
    assert v.superclasses("Attack") == ()


def test_attack_classes_hold_parents_but_neither_root_nor_incidents() -> None:
    assert {"Scan", "SynScan", "UnknownAnomaly"} <= v.ATTACK_CLASSES
    assert "Attack" not in v.ATTACK_CLASSES
    assert not v.ATTACK_CLASSES & v.INCIDENT_CLASSES
    assert len(v.INCIDENT_CLASSES) == 10
    assert {"Honeypot", "Gateway", "ProtectedHost"} <= v.HOST_CLASSES


def test_a_misspelt_term_fails() -> None:
    with pytest.raises(AttributeError):
        v.IDPS.hasSuorce  # type: ignore[attr-defined]  # noqa: B018


def test_import_pulls_in_nothing_heavy() -> None:
    """All agent processes import it; twelve of them start on two cores."""
    code = "import ontology.vocabulary, sys; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"rdflib", "owlready2", "numpy", "pyoxigraph"} & set(done.stdout.split())
