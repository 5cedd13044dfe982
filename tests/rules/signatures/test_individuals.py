"""What is written is what was read, in each format; the ontology takes it in."""

from __future__ import annotations

from pathlib import Path

import owlready2
import pytest
import rdflib
from rdflib import OWL, RDF, RDFS, Literal, URIRef

from ontology.knowledge_base import ontology_path
from ontology.vocabulary import IDPS, ONTOLOGY_IRI, TERMS
from rules.signatures.individuals import SIGNATURES_IRI, printable, write_signatures
from rules.signatures.parse import read_rule

SIGNATURES = (
    read_rule(
        'alert tcp any any -> $HOME_NET 80 (msg:"Example <b> & co on Windows"; content:"a|00 01|b";'
        ' content:!"no"; reference:cve,2001-0500; classtype:attempted-admin; sid:11; rev:4;'
        " metadata:affected_product IIS_6, attack_target Web_Server;)",
        group="own",
    ),
    read_rule('alert udp any any -> any 53 (msg:"two"; ttl:3; classtype:not-suspicious; sid:12;)'),
)


@pytest.mark.parametrize("ending", ["ttl", "owl", "nt"])
def test_individuals_are_written(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"signatures.{ending}"
    write_signatures(SIGNATURES, path)
    graph = rdflib.Graph().parse(path, format={"owl": "xml"}.get(ending, ending))
    assert (URIRef(SIGNATURES_IRI), OWL.imports, URIRef(ONTOLOGY_IRI)) in graph
    one, two = URIRef("urn:ontoidps:signature:1:11"), URIRef("urn:ontoidps:signature:1:12")
    for node in (one, two):
        assert set(graph.objects(node, RDF.type)) == {OWL.NamedIndividual, URIRef(IDPS.Signature)}
    assert graph.value(one, RDFS.label) == Literal("Example <b> & co on Windows", lang="en")

    def values(node: URIRef, term: str) -> list[object]:
        return [value.toPython() for value in graph.objects(node, URIRef(term))]  # type: ignore[attr-defined]

    assert values(one, IDPS.contentPattern) == ["a|00 01|b"]
    assert values(one, IDPS.attackClass) == ["Exploit"]
    assert values(two, IDPS.attackClass) == []
    assert values(one, IDPS.cve) == ["CVE-2001-0500"]
    assert values(one, IDPS.affectedSystem) == ["Windows"]
    assert sorted(values(one, IDPS.affectedService), key=str) == ["IIS 6", "Web Server"]
    assert (values(one, IDPS.executable), values(two, IDPS.executable)) == ([True], [False])
    assert values(two, IDPS.unsupportedOption) == ["ttl"]
    used = {str(p) for p in graph.predicates() if str(p).startswith(ONTOLOGY_IRI)}
    assert used <= TERMS


def test_owlready2_knows_them_as_signatures(tmp_path: Path) -> None:
    """The file loads beside the ontology, and the paper's class name finds them too."""
    path = tmp_path / "signatures.owl"
    write_signatures(SIGNATURES, path)
    world = owlready2.World()
    try:
        for file in (ontology_path(), path):
            with file.open("rb") as stream:
                iri = ONTOLOGY_IRI if file != path else SIGNATURES_IRI
                world.get_ontology(iri).load(fileobj=stream, only_local=True)
        found = world[IDPS.Signature].instances()
        assert sorted(s.signatureId for s in found) == [11, 12]
    finally:
        world.close()


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must end in"):
        write_signatures(SIGNATURES, tmp_path / "signatures.txt")


def test_contents_are_shown_as_rules_write_them() -> None:
    assert printable(b"GET /\r\n") == "GET /|0D 0A|"
    assert printable(b"\x00a|") == "|00|a|7C|"
