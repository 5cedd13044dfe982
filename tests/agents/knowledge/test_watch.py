"""Edits of the ontology and rule files: noticed once, taken over only when valid."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from agents.knowledge.watch import FileWatch, knowledge_paths, load_knowledge
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
    def inconsistent(_: object, ntriples: bytes) -> None:
        assert b"ontoidps#Alert" in ntriples
        raise ValueError("a contradiction\nin two lines")

    with pytest.raises(KnowledgeBaseError, match="a contradiction in two lines"):
        load_knowledge(paths, check=inconsistent)


def test_an_edit_is_reported_once_and_only_when_settled(paths: list[Path]) -> None:
    watch = FileWatch(lambda: paths)
    assert not watch.poll()
    edit(paths[0], "Half-open", "A half-open")
    assert not watch.poll()  # seen, may still be being written
    assert watch.poll()
    assert not watch.poll()


def test_touching_a_file_is_no_edit(paths: list[Path]) -> None:
    watch = FileWatch(lambda: paths)
    os.utime(paths[0], ns=(1, 1))
    assert [watch.poll() for _ in range(3)] == [False, False, False]


def test_an_edit_undone_is_an_edit_again(paths: list[Path]) -> None:
    watch = FileWatch(lambda: paths)
    edit(paths[0], "Half-open", "A half-open")
    assert [watch.poll() for _ in range(3)] == [False, True, False]
    edit(paths[0], "A half-open", "Half-open")
    assert [watch.poll() for _ in range(3)] == [False, True, False]


def test_a_new_rule_file_and_a_lost_one_are_edits(paths: list[Path]) -> None:
    present = list(paths[:1])
    watch = FileWatch(lambda: tuple(present))
    extra = paths[0].with_name("extra.owl")
    extra.write_text("<x/>", encoding="utf-8")
    present.append(extra)
    assert [watch.poll() for _ in range(3)] == [False, True, False]
    extra.unlink()
    assert [watch.poll() for _ in range(3)] == [False, True, False]


def test_a_file_that_keeps_changing_is_waited_for(paths: list[Path]) -> None:
    watch = FileWatch(lambda: paths)
    for size in range(3):
        paths[0].write_text("x" * size, encoding="utf-8")
        assert not watch.poll()
    assert watch.poll()
