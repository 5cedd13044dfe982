from __future__ import annotations

from ontology.chainer.patterns import Patterns
from ontology.chainer.rulebook import read_rulebook
from ontology.chainer.states import TARGET
from tests.ontology.chainer.test_joins import SCAN_GUESS, theory


def test_a_rule_is_unfolded_in_every_way_that_a_window_may_hold() -> None:
    rules = (
        SCAN_GUESS,
        "Flood: Flood(?b), involvesTarget(?b, ?h) -> Bad(?b)",
        "Guessed: follows(?a, ?b) -> Bad(?b)",
        "End: Bad(?a), verifiedSource(?a, ?v) -> End(?a)",
    )
    patterns = list(Patterns(read_rulebook(theory(*rules))))
    # ScanGuess and Guessed: two alerts each. Flood: one. End: over both, and as the window says.
    assert sorted(len(pattern.kinds) for pattern in patterns) == [1, 1, 1, 2, 2, 2]
    assert {len(p.before) for p in patterns if len(p.kinds) == 2} == {1}
    alone = [p.free for p in patterns if len(p.kinds) == 1]
    assert alone.count((frozenset((TARGET,)),)) == 2 and alone.count((frozenset(),)) == 1


def test_what_no_alert_can_be_is_no_pattern() -> None:
    rules = ("A: A(?a), involvesSource(?a, ?h) -> C(?a)", "B: C(?a), A(?a), B(?a) -> D(?a)")
    book = read_rulebook(theory(*rules, axioms="X < A; Y < B"))
    assert len(list(Patterns(book))) == 1
    book = read_rulebook(theory(*rules, axioms="X < A; X < B"))
    assert len(list(Patterns(book))) == 2
