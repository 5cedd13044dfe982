"""``docs/ontology.md`` is what the files say, and they answer what they were made to answer."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
import rdflib
from rdflib import OWL, RDF, SKOS

from agents.commands.ontology import ontology_figures, ontology_page
from ontology.authoring.documentation import answers, competency_questions
from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.vocabulary import NAMESPACE
from rules.shipped_files import rule_paths

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def graph() -> rdflib.Graph:
    with KnowledgeBase([ontology_path(), *rule_paths()]) as knowledge:
        return knowledge.graph()


def test_the_page_is_made_from_the_files_as_they_are() -> None:
    """After an edit: ``ontoidps ontology document --out docs/ontology.md``."""
    assert (ROOT / "docs/ontology.md").read_text(encoding="utf-8") == ontology_page()


def test_the_pictures_are_those_of_the_files() -> None:
    """After an edit: ``ontoidps ontology document --figures docs/figures`` (docs/protege.md)."""
    for name, svg in ontology_figures().items():
        ElementTree.fromstring(svg)  # noqa: S314  (our own text)
        assert (ROOT / "docs/figures" / name).read_text(encoding="utf-8") == svg


@pytest.mark.parametrize(("question", "query"), competency_questions())
def test_every_competency_question_has_an_answer(
    graph: rdflib.Graph, question: str, query: str
) -> None:
    assert question.endswith("?")
    assert answers(graph, query)


def test_alignments_speak_of_our_terms_and_are_no_axioms(graph: rdflib.Graph) -> None:
    alignments = rdflib.Graph().parse(ROOT / "ontology/alignments.ttl", format="turtle")
    matches = {SKOS.exactMatch, SKOS.closeMatch, SKOS.broadMatch, SKOS.narrowMatch}
    matches |= {
        SKOS.relatedMatch,
        rdflib.URIRef("https://w3id.org/ontoidps/alignments#idmefCategory"),
    }
    ours = [(s, p, o) for s, p, o in alignments if str(s).startswith(NAMESPACE)]
    assert len(ours) > 20
    for subject, predicate, value in ours:
        assert (subject, None, None) in graph, subject
        assert predicate in matches
        assert not str(value).startswith(NAMESPACE)
    assert not list(alignments.objects(None, OWL.imports))
    kinds = set(alignments.objects(None, RDF.type))
    assert kinds == {OWL.Ontology, OWL.AnnotationProperty}
