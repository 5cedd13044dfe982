"""An explanation is a justification: its facts alone give the inference, and not one is idle."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ontology.chainer.chainer import Chainer
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.window import Window
from ontology.theory import Theory
from tests.derivations import assert_explained, explained, fact_of

RandomWindow = Callable[[int, int], Window]


@pytest.mark.parametrize("seed", range(25))
def test_every_fact_in_an_explanation_is_needed(
    seed: int, theory: Theory, worker: PelletWorker, random_window: RandomWindow
) -> None:
    window = random_window(seed, 8 + seed % 5)
    assert_explained(worker.reason(window, 30.0), window, theory, Chainer(theory.ntriples))


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
