"""Ontology and rule files loaded as one, offline, or refused in one clear line."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ontology.knowledge_base import KnowledgeBase, KnowledgeBaseError, ontology_path
from ontology.vocabulary import IDPS, TERMS

SWRLA = "http://swrl.stanford.edu/ontologies/3.3/swrla.owl#"


def atom(name: str, variable: str = "a") -> str:
    return (
        f'<swrl:ClassAtom><swrl:classPredicate rdf:resource="https://w3id.org/ontoidps#{name}"/>'
        f'<swrl:argument1 rdf:resource="urn:swrl:var#{variable}"/></swrl:ClassAtom>'
    )


def imp(label: str, body: str, head: str, *, enabled: str = "true") -> str:
    """One rule as Protégé writes it: a blank node with annotations and typed lists."""
    labelled = f"<rdfs:label>{label}</rdfs:label>" if label else ""
    rest = '<rdf:rest rdf:resource="http://www.w3.org/1999/02/22-rdf-syntax-ns#nil"/>'
    atoms = [
        f"<swrl:{part}><swrl:AtomList><rdf:first>{text}</rdf:first>{rest}</swrl:AtomList></swrl:{part}>"
        for part, text in (("body", body), ("head", head))
    ]
    return (
        f"<swrl:Imp>{labelled}<rdfs:comment>about {label}</rdfs:comment><swrla:isRuleEnabled "
        f'rdf:datatype="http://www.w3.org/2001/XMLSchema#boolean">{enabled}</swrla:isRuleEnabled>'
        f"{''.join(atoms)}</swrl:Imp>"
    )


def rule_file(*rules: str, name: str = "rules", imports: str = "https://w3id.org/ontoidps") -> str:
    iri = f"https://w3id.org/ontoidps/{name}"
    return f"""<?xml version="1.0"?>
<rdf:RDF xmlns:owl="http://www.w3.org/2002/07/owl#" xmlns:swrla="{SWRLA}"
  xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xml:base="{iri}"
  xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#" xmlns:swrl="http://www.w3.org/2003/11/swrl#">
<owl:Ontology rdf:about="{iri}"><owl:imports rdf:resource="{imports}"/></owl:Ontology>
<owl:AnnotationProperty rdf:about="{SWRLA}isRuleEnabled"/>
<swrl:Variable rdf:about="urn:swrl:var#a"/>
{"".join(rules)}
</rdf:RDF>"""


RULES = rule_file(
    imp("Second", atom("SynScan"), atom("FloodFinding")),
    imp("First", atom("AckScan"), atom("FloodFinding"), enabled="false"),
)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str | bytes, name: str = "rules.owl") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_rules_are_told_as_people_know_them(written: Callable[..., Path]) -> None:
    path = written(RULES)
    with KnowledgeBase([path, ontology_path()]) as knowledge:
        second, first = knowledge.rules()
        assert (second.label, second.comment, second.enabled) == ("Second", "about Second", True)
        assert second.text == "SynScan(?a) -> FloodFinding(?a)"
        assert (first.label, first.enabled, first.path) == ("First", False, path)
        assert knowledge.version == "1.0.0"


def test_disabled_rules_are_left_out_for_pellet_whole(written: Callable[..., Path]) -> None:
    with KnowledgeBase([ontology_path(), written(RULES)]) as knowledge:
        data = knowledge.ntriples().decode()
        assert data.count("swrl#classPredicate") == 2
        assert data.count("swrl#AtomList") == 2
        assert data.count("swrl#Imp>") == 1
        assert "#imports>" not in data
        graph = knowledge.graph()
        assert sum("Imp" in str(o) for o in graph.objects()) == 2


def test_the_same_files_give_the_same_bytes(written: Callable[..., Path]) -> None:
    path = written(RULES)
    results = []
    for _ in range(2):
        with KnowledgeBase([ontology_path(), path]) as knowledge:
            results.append((knowledge.ntriples(), knowledge.digest))
    assert results[0] == results[1]
    with KnowledgeBase([ontology_path()]) as knowledge:
        assert knowledge.digest != results[0][1]


def test_terms_are_what_the_files_declare() -> None:
    with KnowledgeBase([ontology_path()]) as knowledge:
        assert knowledge.terms() >= TERMS
        assert knowledge.rules() == ()
        assert IDPS.Alert.encode() in knowledge.ntriples()


def test_answers_outlive_close() -> None:
    knowledge = KnowledgeBase([ontology_path()])
    knowledge.close()
    assert knowledge.ntriples()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not RDF/XML"),
        ("not xml", "not RDF/XML"),
        (RULES.replace("</rdf:RDF>", ""), "not RDF/XML"),
        (RULES.replace("rdf:about=", "rdf:abuot=", 1), "owl:Ontology|not RDF/XML"),
        (RULES.replace('"https://w3id.org/ontoidps"', '"http://192.0.2.1/x"'), "never downloaded"),
        (rule_file(imports="https://w3id.org/ontoidps/rules"), "circle"),
        (rule_file(imp("", atom("SynScan"), atom("FloodFinding"))), "no rdfs:label"),
        (rule_file(*[imp("R", atom("SynScan"), atom("FloodFinding"))] * 2), "also stands in"),
        (
            rule_file(imp("R", atom("SynScan"), atom("FlodFinding"))),
            "rule 'R' names https://w3id.org/ontoidps#FlodFinding, which no file declares",
        ),
        (re.sub("<swrl:body>.*?</swrl:body>", "", RULES), "no body"),
        (rule_file(imp("R", "", atom("FloodFinding"))), "no body"),
        ('<!DOCTYPE r [<!ENTITY a "b">]>' + RULES.split("?>", 1)[1], "document type"),
        (
            '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + RULES.split("?>", 1)[1],
            "document type",
        ),
        (
            ('<!DOCTYPE r [<!ENTITY a "b">]>' + RULES.split("?>", 1)[1]).encode("utf-16"),
            "document type",
        ),
    ],
)
def test_a_bad_file_is_one_clear_line(
    written: Callable[..., Path], text: str | bytes, message: str
) -> None:
    path = written(text)
    with pytest.raises(KnowledgeBaseError, match=message) as refusal:
        KnowledgeBase([ontology_path(), path])
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_import_is_never_downloaded(written: Callable[..., Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        iri = f"http://127.0.0.1:{server.getsockname()[1]}/x.owl"
        with pytest.raises(KnowledgeBaseError, match="never downloaded"):
            KnowledgeBase([ontology_path(), written(rule_file(imports=iri))])
        with pytest.raises(TimeoutError):
            server.accept()


def test_missing_files_and_double_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeBaseError, match=r"none\.owl"):
        KnowledgeBase([tmp_path / "none.owl"])
    with pytest.raises(KnowledgeBaseError, match="also stands in"):
        KnowledgeBase([ontology_path(), ontology_path()])
    with pytest.raises(KnowledgeBaseError, match="no ontology file"):
        KnowledgeBase([])
