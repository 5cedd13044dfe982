from __future__ import annotations

from collections.abc import Iterator

import pytest

from ontology.chainer.joins import Joins
from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.reasoner.client import PelletWorker
from ontology.theory import Theory
from rules.shipped_files import paper_rules_path, rule_paths


@pytest.fixture(scope="session")
def theory() -> Theory:
    with KnowledgeBase([ontology_path(), *rule_paths()]) as base:
        return Theory.from_ntriples(base.ntriples())


@pytest.fixture(scope="session")
def worker(theory: Theory) -> Iterator[PelletWorker]:
    with PelletWorker(theory) as started:
        yield started


@pytest.fixture(scope="session")
def joins(theory: Theory) -> Joins:
    return Joins(theory.ntriples)


@pytest.fixture(scope="session")
def paper_worker() -> Iterator[PelletWorker]:
    """With the rules of ``paper.owl`` in force as well."""
    with (
        KnowledgeBase([ontology_path(), *rule_paths(), paper_rules_path()]) as base,
        PelletWorker(Theory.from_ntriples(base.ntriples())) as started,
    ):
        yield started
