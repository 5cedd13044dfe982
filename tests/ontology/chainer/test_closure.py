"""What a closure may look at, and what it says of individuals that are one."""

import pytest

from ontology.chainer import closure as module
from ontology.chainer.closure import Closure, TooMuchWork
from ontology.theory import Theory


def test_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WORK", 10)
    found = Closure()
    found.spend(10)
    with pytest.raises(TooMuchWork, match="10 candidates"):
        found.spend(1)


def test_individuals_that_are_one_have_each_other_s_conclusions(theory: Theory) -> None:
    (iri, *_) = [iri for rule in theory.rules for iri in rule.classes]
    found = Closure(members={iri: {"urn:a": None}}, same={"urn:b": "urn:a"})
    assert found.conclusions(theory) == {(iri, "urn:a"), (iri, "urn:b")}
