"""Ontology and rule files: taken only when agents can work with them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from agents.knowledge.checks import check_with_java, load_knowledge
from agents.knowledge.files import knowledge_paths
from ontology.knowledge_base import KnowledgeBaseError


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """The shipped files, copied to where a test may edit them."""
    return [Path(shutil.copy(path, tmp_path / path.name)) for path in knowledge_paths()]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_shipped_knowledge_is_valid_and_its_version_tells_content(paths: list[Path]) -> None:
    first = load_knowledge(paths)
    assert first.version.startswith("1.0.0+")
    assert first == load_knowledge(paths)
    edit(paths[0], "Half-open scan", "A half-open scan")
    assert load_knowledge(paths).version != first.version


def test_clusters_and_cases_never_reach_the_reasoner() -> None:
    """2,500 individuals in every window would cost Pellet seconds."""
    ntriples = load_knowledge(knowledge_paths()).ntriples
    for name in (b"TrafficCluster", b"TrafficCase"):
        own = b"<https://w3id.org/ontoidps#" + name + b">"
        assert own in ntriples  # the class is known
        assert b"#type> " + own not in ntriples


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</rdf:RDF>", "", "not RDF/XML"),
        ("https://w3id.org/ontoidps#hasSource", "https://w3id.org/ontoidps#hasOrigin", "hasSource"),
        ("<rdf:RDF ", '<!DOCTYPE rdf:RDF [<!ENTITY a "b">]><rdf:RDF ', "document type"),
        (
            "<owl:versionIRI ",
            '<owl:imports rdf:resource="http://192.0.2.1/x.owl"/><owl:versionIRI ',
            "never downloaded",
        ),
    ],
)
def test_an_invalid_edit_is_refused_in_one_line(
    paths: list[Path], old: str, new: str, message: str
) -> None:
    text = paths[0].read_text(encoding="utf-8")
    assert old in text
    paths[0].write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(KnowledgeBaseError, match=message) as refusal:
        load_knowledge(paths)
    assert "\n" not in str(refusal.value)
    assert str(paths[0]) in str(refusal.value)


def test_the_last_check_can_refuse(paths: list[Path]) -> None:
    def inconsistent(_: object, ntriples: bytes, before: object) -> NoReturn:
        assert b"ontoidps#Alert" in ntriples
        raise ValueError("a contradiction\nin two lines")

    with pytest.raises(KnowledgeBaseError, match="a contradiction in two lines"):
        load_knowledge(paths, check=inconsistent)


def test_a_contradiction_is_refused_with_the_axioms_that_clash(
    paths: list[Path],
) -> None:  # slow: about 2 s
    """A host that is a record as well: the two are declared disjoint."""
    bad = (
        '<owl:Class rdf:about="https://w3id.org/ontoidps#Host"><rdfs:subClassOf '
        'rdf:resource="https://w3id.org/ontoidps#Record"/></owl:Class></rdf:RDF>'
    )
    edit(paths[0], "</rdf:RDF>", bad)
    with pytest.raises(KnowledgeBaseError, match="Host is a kind of Record") as refusal:
        load_knowledge(paths, check=check_with_java, before=knowledge_paths())
    # What was edited comes first.
    said = "Host: nothing can be one: Host is a kind of Record (ontoidps.owl); "
    assert str(refusal.value).startswith(f"{paths[0]}: {said}Host and Record are disjoint")


def test_what_passed_java_once_need_not_pass_again(paths: list[Path]) -> None:
    asked = []
    found = load_knowledge(paths, check=lambda *_: asked.append(1) or ())
    again = load_knowledge(paths, digest="ab" * 32, check=lambda *_: asked.append(1) or (),
                           checked=found.owl_digest)  # fmt: skip
    assert asked == [1]
    assert again.version == "1.0.0+" + ("ab" * 32)[:12]
