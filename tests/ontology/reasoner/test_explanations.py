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


def fact_of(line: str) -> Conclusion:
    """A line of a window as Pellet names it."""
    subject, predicate, value = line.removesuffix(" .").split(" ", 2)
    text, name = value.partition("^^")[0][1:-1], predicate[1:-1]
    if name == RDF_TYPE:
        return ("type", subject[1:-1], text)
    return ("prop", name, subject[1:-1], text)


def lines_of(explanation: Explanation, window: Window) -> list[bytes]:
    """The lines of the window that an explanation names."""
    by_fact = {fact_of(line.decode()): line for line in window.ntriples.splitlines()}
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


def test_names_and_texts_that_look_like_terms_stay_what_they_are(
    worker: PelletWorker, random_window: RandomWindow
) -> None:
    """Premises cross from Java as text: commas, brackets and line breaks must not part them."""
    names = {
        "urn:uuid:": "urn:x,literal(5,(),y),prop(a,b,c):",
        "urn:ontoidps:host:": "urn:ontoidps:host:(,",
    }
    address, odd_text = "198.51.100.1", "198.51.100.1\n),\n("

    def rename(text: str) -> str:
        for old, new in names.items():
            text = text.replace(old, new)
        return odd_text if text == address else text

    met = 0
    for seed in range(5):
        window = random_window(seed, 12)
        lines = window.ntriples.decode()
        odd = Window(
            rename(lines)
            .replace(f'"{address}"', '"' + odd_text.replace("\n", "\\n") + '"')
            .encode(),
            window.alerts,
        )
        expected = explained(worker.reason(window, 30.0)).keys()
        found = explained(worker.reason(odd, 30.0))
        assert found.keys() == {tuple(map(rename, conclusion)) for conclusion in expected}
        facts = {tuple(map(rename, fact_of(line))) for line in lines.splitlines()}
        named = {(f.kind, *f.arguments) for why in found.values() for f in why.facts}
        assert {fact for fact in named if fact[0] in ("type", "prop")} <= facts
        met += any(odd_text in fact for fact in named)
    assert met
