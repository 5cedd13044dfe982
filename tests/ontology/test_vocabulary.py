"""Every name of the vocabulary is in ``ontoidps.owl``, and code needs it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import rdflib
from rdflib import OWL, RDF

from ontology import vocabulary as v
from ontology._shapes import SHAPES
from ontology.knowledge_base import ontology_path

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def graph() -> rdflib.Graph:
    return rdflib.Graph().parse(ontology_path(), format="xml")


def terms(namespace: type) -> dict[str, str]:
    return {name: value for name, value in vars(namespace).items() if isinstance(value, v.Term)}


@pytest.mark.parametrize(
    ("namespace", "kind"),
    [
        (v.Classes, OWL.Class),
        (v.ObjectProperties, OWL.ObjectProperty),
        (v.DataProperties, OWL.DatatypeProperty),
        (v.AnnotationProperties, OWL.AnnotationProperty),
    ],
)
def test_the_file_declares_every_name(
    graph: rdflib.Graph, namespace: type, kind: rdflib.URIRef
) -> None:
    declared = {str(s) for s in graph.subjects(RDF.type, kind) if str(s).startswith(v.NAMESPACE)}
    assert set(terms(namespace).values()) <= declared


def test_code_needs_every_name() -> None:
    """By attribute, as a word of a text, or as a record's class or property: what nobody needs
    is the file's alone, and people may rename it there."""
    needed: set[str] = set()
    for shape in SHAPES.values():
        needed |= {v.Term(t).local_name for t in (shape.term, *(p.term for p in shape.properties))}
    for room in ("agents", "datasets", "ontology", "rules"):
        for path in (ROOT / room).rglob("*.py"):
            if path != ROOT / "ontology" / "vocabulary.py":
                needed |= words_of(path)
    spaces = (v.Classes, v.ObjectProperties, v.DataProperties, v.AnnotationProperties)
    assert {name for space in spaces for name in terms(space)} - needed == set()


def words_of(path: Path) -> set[str]:
    """Attributes, and the words of texts."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.update(node.value.split())
    return found


def test_terms_are_named_for_their_iri() -> None:
    for namespace in (v.Classes, v.ObjectProperties, v.DataProperties, v.AnnotationProperties):
        for name, term in terms(namespace).items():
            assert term == v.NAMESPACE + name
            assert getattr(v.IDPS, name).local_name == name


def test_no_term_is_of_two_kinds() -> None:
    spaces = (v.Classes, v.ObjectProperties, v.DataProperties, v.AnnotationProperties)
    names = [name for namespace in spaces for name in terms(namespace)]
    assert len(names) == len(set(names))


def test_ontology_iri_and_version_are_those_of_the_file(graph: rdflib.Graph) -> None:
    ontology = rdflib.URIRef(v.ONTOLOGY_IRI)
    assert (ontology, RDF.type, OWL.Ontology) in graph
    assert str(graph.value(ontology, OWL.versionInfo)) == v.ONTOLOGY_VERSION
    assert str(graph.value(ontology, OWL.versionIRI)) == f"{v.ONTOLOGY_IRI}/{v.ONTOLOGY_VERSION}"


def test_a_misspelt_term_fails() -> None:
    with pytest.raises(AttributeError):
        v.IDPS.hasSuorce  # type: ignore[attr-defined]  # noqa: B018


def test_import_pulls_in_nothing_heavy() -> None:
    """All agent processes import it; twelve of them start on two cores."""
    code = "import ontology.vocabulary, sys; print(*{m.split('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"rdflib", "owlready2", "numpy", "pyoxigraph"} & set(done.stdout.split())
