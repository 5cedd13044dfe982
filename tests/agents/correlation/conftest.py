from __future__ import annotations

from collections.abc import Callable, Iterator

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


class Lasting(PelletWorker):
    """Outlives the agent that has it, for the agent of the next test: to start one takes 4 s."""

    def close(self) -> None:
        """Not yet."""

    def end(self) -> None:
        """What `close` is elsewhere."""
        super().close()


@pytest.fixture(scope="session")
def lasting() -> Iterator[Callable[[Theory], PelletWorker]]:
    """Hands one worker out, with the theory that is asked for."""
    kept: list[Lasting] = []

    def with_theory(theory: Theory) -> PelletWorker:
        if not kept:
            kept.append(Lasting(theory))
        if kept[0].theory != theory:
            kept[0].set_theory(theory)
        kept[0].counters.clear()
        return kept[0]

    yield with_theory
    for one in kept:
        one.end()


@pytest.fixture
def reasoner_stays(
    lasting: Callable[[Theory], PelletWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For tests in which the reasoner's own starts and ends are not the point."""
    monkeypatch.setattr("agents.correlation.agent.PelletWorker", lasting)


@pytest.fixture(scope="session")
def joins(theory: Theory) -> Joins:
    return Joins(theory.ntriples)


@pytest.fixture(scope="session")
def paper_theory() -> Theory:
    """With the rules of ``paper.owl`` in force as well, and without the one rule that reads every
    attack: with it, nothing is left to the rules that rate."""
    with KnowledgeBase([ontology_path(), *rule_paths(), paper_rules_path()]) as base:
        return Theory.from_ntriples(base.ntriples(without=["AnomalyThenAttack"]))


@pytest.fixture(scope="session")
def paper_worker(paper_theory: Theory) -> Iterator[PelletWorker]:
    with PelletWorker(paper_theory) as started:
        yield started
