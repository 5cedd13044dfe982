"""The attack taxonomy covers the vocabularies that others use for attacks, each name once."""

from __future__ import annotations

from pathlib import Path

import pytest
import rdflib
from rdflib import RDFS

from datasets.kdd.kdd99 import ATTACK_CLASS, NORMAL
from ontology.knowledge_base import ontology_path
from ontology.taxonomy import ATTACK_CLASSES, superclasses
from ontology.vocabulary import IDPS, NAMESPACE

TABLE = Path(__file__).parents[2] / "rules/attack_classes.tsv"


@pytest.fixture(scope="module")
def graph() -> rdflib.Graph:
    return rdflib.Graph().parse(ontology_path(), format="xml")


def named(graph: rdflib.Graph, term: str) -> list[tuple[str, str]]:
    """(name in the other vocabulary, local name of our class)."""
    pairs = graph.subject_objects(rdflib.URIRef(term))
    return sorted((str(o), str(s).removeprefix(NAMESPACE)) for s, o in pairs)


def test_each_attack_of_kdd_cup_99_stands_at_one_class(graph: rdflib.Graph) -> None:
    found = named(graph, IDPS.kddName)
    assert sorted(name for name, _ in found) == sorted(ATTACK_CLASS.keys() - {NORMAL})
    assert len(found) == 39
    # The data's four categories, as far as ours know them.
    for name, ours in found:
        above = {ours, *superclasses(ours)}
        if ATTACK_CLASS[name] == "Probe":
            assert "Scan" in above, name
        if ATTACK_CLASS[name] == "U2R":
            assert above & {"BufferOverflow", "PrivilegeEscalation"}, name
        if ATTACK_CLASS[name] == "DoS" and name != "worm":
            assert "DenialOfService" in above, name


def test_snort_classtypes_are_those_of_the_import_table(graph: rdflib.Graph) -> None:
    first: dict[str, str] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            classtype, words, ours, _ = line.split("\t")
            if classtype != "*" and words == "*" and ours != "-":
                first.setdefault(classtype, ours)
    assert dict(named(graph, IDPS.snortClasstype)) == first
    assert len(first) > 15


def test_affs_three_classes_and_the_papers_types_are_there(graph: rdflib.Graph) -> None:
    for ours, above in (
        ("SynFlood", "Invalidation"),
        ("SshBruteForce", "Penetration"),
        ("SqlInjection", "Penetration"),
        ("SqlInjection", "WebAttack"),
        ("RootAccess", "PrivilegeEscalation"),
        ("IcmpSweep", "Scan"),
    ):
        assert above in superclasses(ours)


def test_every_attack_has_a_technique_of_its_own_or_above(graph: rdflib.Graph) -> None:
    """Groups that AFF makes have none: they hold many."""
    with_technique = {str(s) for s in graph.subjects(rdflib.URIRef(IDPS.techniqueId))}
    lacking = {
        name
        for name in ATTACK_CLASSES - {"Invalidation", "Penetration", "UnknownAnomaly"}
        if not {NAMESPACE + n for n in (name, *superclasses(name))} & with_technique
    }
    assert lacking <= {"HoneypotContact"}, lacking
    assert (
        rdflib.URIRef(NAMESPACE + "Penetration"),
        RDFS.subClassOf,
        rdflib.URIRef(IDPS.Attack),
    ) in graph
