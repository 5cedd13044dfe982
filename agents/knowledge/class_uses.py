"""Where a class is used: what must be changed before it may go. Reads files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from pyoxigraph import Literal, NamedNode, Triple

from ontology.knowledge_base import KnowledgeBaseError, read_owl_file
from ontology.swrl import local_name, read_rules
from ontology.vocabulary import IDPS, NAMESPACE, TERMS

_TABLES = (
    ("agents.sensor.inputs", "classes.tsv"),
    ("rules", "attack_classes.tsv"),
)
"""Other tools' words and signatures to our classes."""
_SWRL = "http://www.w3.org/2003/11/swrl#classPredicate"
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def places_of(name: str, paths: Sequence[Path]) -> list[str]:
    """Every place that uses a class: ``FILE: rule 'X'``, ``FILE: model x``, ``FILE:LINE``.

    Args:
        name: local name.
        paths: the files that people edit.
    """
    found: list[str] = []
    if NAMESPACE + name in TERMS:
        found.append("the program itself")
    for path in paths:
        if not path.exists():
            continue
        if path.suffix == ".owl":
            found += _in_owl(name, path)
        else:
            found += _in_lines(name, str(path), path.read_text("utf-8", "replace"))
    for package, table in _TABLES:
        file = files(package).joinpath(table)
        found += _in_lines(name, table, file.read_text(encoding="utf-8"))
    for file in sorted(files("agents.sensor.inputs").joinpath("formats").iterdir(), key=str):
        if file.name.endswith(".toml"):
            found += _in_lines(name, file.name, file.read_text(encoding="utf-8"))
    return found


def _in_lines(name: str, file: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("#") and name in _WORD.findall(line):
            yield f"{file}:{number}"


def _in_owl(name: str, path: Path) -> Iterator[str]:
    iri = NAMESPACE + name
    try:
        triples = read_owl_file(path).triples
    except KnowledgeBaseError:
        return  # another check says what is wrong with it
    for rule in read_rules(triples):
        if any(atom.iri == iri for atom in (*rule.body, *rule.head)):
            yield f"{path}: rule {rule.label!r}"
    labels = {t.subject: t.object.value for t in triples
              if t.predicate.value == IDPS.modelName and isinstance(t.object, Literal)}  # fmt: skip
    for triple in triples:
        value, predicate = triple.object, triple.predicate.value
        if predicate == IDPS.evidencedBy and getattr(value, "value", "") == name:
            yield f"{path}: model {labels.get(triple.subject, triple.subject)}"
        elif predicate == IDPS.trafficClass and getattr(value, "value", "") == name:
            yield f"{path}: {_subject(triple)}"
        elif isinstance(value, NamedNode) and value.value == iri and predicate != _SWRL:
            yield f"{path}: {_subject(triple)}"


def _subject(triple: Triple) -> str:
    one = triple.subject
    who = local_name(one.value) if isinstance(one, NamedNode) else "an expression"
    return f"{local_name(triple.predicate.value)} of {who}"
