"""Attack models: read, or refused with model and reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyoxigraph import NamedNode, RdfFormat, parse

from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.window import build_window
from ontology.theory import Theory
from ontology.vocabulary import NAMESPACE
from rules.scenarios.attack_models import (
    ModelError,
    parse_models,
    read_models,
)
from rules.shipped_files import models_path


def changed(*edits: tuple[str, str]) -> bytes:
    """The shipped models with some text replaced, everywhere."""
    text = models_path().read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return text.encode()


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        (
            [("<idps:parameterTypes>host service<", "<idps:parameterTypes>host<")],
            "model 'sadmind-overflow', condition SadmindOverflow_pre2: runs-service takes 1 "
            "arguments (host), has 2",
        ),
        (
            [("<idps:parameterTypes>host service<", "<idps:parameterTypes>host user<")],
            "argument 2 of runs-service is of type user, 'sadmind' is of type service",
        ),
        (
            [("<idps:evidencedBy>RpcProbe<", "<idps:evidencedBy>RpcProb<")],
            "model 'sadmind-probe': evidencedBy 'RpcProb' is no class under Attack",
        ),
        (
            [("<idps:boundTo>source<", "<idps:boundTo>sauce<")],
            "boundTo must be source or target, got 'sauce'",
        ),
        (
            [
                (
                    'hasPostcondition rdf:resource="https://w3id.org/ontoidps/attacks#SynFlood_post1"',
                    'hasPrecondition rdf:resource="https://w3id.org/ontoidps/attacks#SynFlood_post1"',
                )
            ],
            "model 'syn-flood' has no hasPostcondition",
        ),
        (
            [("<idps:modelName>syn-flood<", "<idps:modelName>port-scan<")],
            "two models are named 'port-scan'",
        ),
        (
            [('ofPredicate rdf:resource="https://w3id.org/ontoidps/attacks#Predicate_zombie"',
              'ofPredicate rdf:resource="https://w3id.org/ontoidps/attacks#Predicate_undead"')],
            "unknown predicate 'Predicate_undead'",
        ),
        (
            [('thirdTerm rdf:resource="https://w3id.org/ontoidps/attacks#LoginIsLocal_H"',
              'thirdTerm rdf:resource="https://w3id.org/ontoidps/attacks#PortScan_X"')],
            "'PortScan_X' is no ModelVariable and no ModelConstant",
        ),
        (
            [("<idps:termName>A</idps:termName>", "<idps:termName>H</idps:termName>")],
            "variable H is of type",
        ),
    ],
)  # fmt: skip
def test_a_slip_is_told_with_model_and_reason(edits: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse_models(changed(*edits), "my.owl")
    lines = str(caught.value).splitlines()
    assert any(said in line for line in lines), lines
    assert all(line.startswith("my.owl: ") for line in lines)


@pytest.mark.parametrize("data", [b"", b"<rdf", b"\xff\xfe", b"<a/>"])
def test_what_is_no_ontology_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "attacks.owl"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"attacks\.owl"):
        read_models(path)


def test_models_are_owl_that_pellet_finds_consistent() -> None:  # slow: a JVM, about 3 s
    with KnowledgeBase([ontology_path(), models_path()]) as base:
        assert base.rules() == ()
        theory = Theory.from_ntriples(base.ntriples())
    with PelletWorker(theory) as worker:
        # An inconsistent theory makes every window inconsistent.
        assert worker.reason(build_window([], {}), 60.0).pairs == ()


@pytest.mark.parametrize("name", ["attacks.owl", "reactions.ttl"])
def test_individuals_only_use_terms_of_the_ontology(name: str) -> None:
    path = models_path().parent / name
    kind = RdfFormat.TURTLE if name.endswith("ttl") else RdfFormat.RDF_XML
    used = {
        node.value
        for triple in parse(path=path, format=kind)
        for node in (triple.predicate, triple.object)
        if isinstance(node, NamedNode) and node.value.startswith(NAMESPACE)
    }
    known = {
        node.value
        for triple in parse(path=ontology_path(), format=RdfFormat.RDF_XML)
        if isinstance(node := triple.subject, NamedNode)
    }
    assert used <= known
