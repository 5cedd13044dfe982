"""What ``ontoidps ontology diff`` says of two versions of a file."""

from __future__ import annotations

from pathlib import Path

from ontology.authoring.difference import differences
from ontology.knowledge_base import ontology_path, read_owl_file
from rules.shipped_files import rule_paths


def changed(path: Path, tmp_path: Path, *edits: tuple[str, str]) -> list[str]:
    text = path.read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    other = tmp_path / path.name
    other.write_text(text, encoding="utf-8")
    return list(differences(read_owl_file(path), read_owl_file(other)))


def test_a_file_differs_in_nothing_from_itself_in_other_order(tmp_path: Path) -> None:
    for path in (ontology_path(), *rule_paths()):
        assert changed(path, tmp_path) == []
        assert changed(path, tmp_path, ("</rdf:RDF>", "<!-- comment --></rdf:RDF>")) == []


def test_terms_axioms_and_general_axioms_each_have_a_line(tmp_path: Path) -> None:
    new = '<owl:Class rdf:about="https://w3id.org/ontoidps#Rain"/></rdf:RDF>'
    found = changed(
        ontology_path(),
        tmp_path,
        ("</rdf:RDF>", new),
        ("Scan with the FIN, PSH and URG flags set.", "Scan by tree."),
        ('            <rdf:Description rdf:about="https://w3id.org/ontoidps#State"/>\n', ""),
    )
    assert found[0] == "+ class Rain"
    general = {line[0]: line for line in found if "(general axiom)" in line}
    assert "AllDisjointClasses" in general["+"] and "rdf:first State" not in general["+"]
    assert "rdf:first State" in general["-"]
    rest = [line for line in found[1:] if line not in general.values()]
    assert sorted(line[0] for line in rest) == ["+", "-"]
    assert all("XmasScan rdfs:comment" in line for line in rest)


def test_a_rule_is_named_by_its_label_with_both_texts(tmp_path: Path) -> None:
    path = next(p for p in rule_paths() if p.name == "reaction.owl")
    old = read_owl_file(path)
    label = next(line for line in differences(_empty(old), old) if line.startswith("+ rule"))
    assert " -> " in label
    text = path.read_text(encoding="utf-8")
    assert "BlockCandidate" in text
    assert any("BlockCandidate" in x for x in differences(_empty(old), old) if "+ rule" in x)
    assert all(x.startswith("- ") for x in differences(old, _empty(old)))


def _empty(file):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(file, triples=())
