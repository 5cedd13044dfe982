"""An explanation is a justification: its facts alone give the inference, and not one is idle."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ontology.reasoner.chainer import Chainer
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import Explanation, Inferences
from ontology.reasoner.theory import Theory
from ontology.reasoner.window import Window
from ontology.vocabulary import NAMESPACE

RandomWindow = Callable[[int, int], Window]
RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
Conclusion = tuple[str, ...]


def explained(found: Inferences) -> dict[Conclusion, Explanation]:
    pairs = {(NAMESPACE + p.property, p.subject, p.object): p.explanation for p in found.pairs}
    return pairs | {(NAMESPACE + m.name, m.individual): m.explanation for m in found.members}


def lines_of(explanation: Explanation, window: Window) -> list[bytes]:
    """The lines of the window that an explanation names."""
    by_fact: dict[Conclusion, bytes] = {}
    fact: Conclusion
    for line in window.ntriples.splitlines():
        subject, predicate, value = line.decode().removesuffix(" .").split(" ", 2)
        text = value.partition("^^")[0][1:-1]
        name = predicate[1:-1]
        fact = (
            ("type", subject[1:-1], text)
            if name == RDF_TYPE
            else ("prop", name, subject[1:-1], text)
        )
        by_fact[fact] = line
    named = [f for f in explanation.facts if f.kind in ("type", "prop")]
    return [by_fact[f.kind, *f.arguments] for f in named]


@pytest.mark.parametrize("seed", range(25))
def test_every_fact_in_an_explanation_is_needed(
    seed: int, theory: Theory, worker: PelletWorker, random_window: RandomWindow
) -> None:
    chainer = Chainer(theory.ntriples)
    window = random_window(seed, 8 + seed % 5)
    found = explained(worker.reason(window, 30.0))
    for conclusion, explanation in found.items():
        assert explanation.rule and explanation.rule in explanation.rules
        lines = lines_of(explanation, window)
        assert lines

        def holds(facts: list[bytes]) -> bool:
            closure = chainer.close(b"\n".join(facts) + b"\n")
            return conclusion in closure.conclusions(theory)  # noqa: B023

        assert holds(lines), conclusion
        for one in lines:
            assert not holds([line for line in lines if line != one]), (conclusion, one)
