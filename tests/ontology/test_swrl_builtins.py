"""The table of built-ins, and that the chainer runs nothing that Pellet would drop."""

from ontology.chainer.builtins import FUNCTIONS, TESTS
from ontology.swrl_builtins import BUILTINS


def test_the_chainer_runs_only_what_pellet_runs_and_with_its_arguments() -> None:
    for name in TESTS:
        assert not BUILTINS[name].computes
        assert BUILTINS[name].fewest == 2
    for name, (fewest, most, _) in FUNCTIONS.items():
        assert BUILTINS[name].computes
        # The result comes first in SWRL; the chainer's function gives it.
        assert BUILTINS[name].fewest <= fewest + 1
        assert most + 1 <= max(BUILTINS[name].most, 100)


def test_what_pellet_drops_is_not_in_it() -> None:
    assert not {"date", "dayTimeDuration", "listConcat", "resolveURI", "tokenize"} & set(BUILTINS)
