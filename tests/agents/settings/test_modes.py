"""Which mode counts."""

from __future__ import annotations

import pytest

from agents.settings.modes import MODES, Mode, Modes, strictest


@pytest.mark.parametrize(
    ("gateway", "by_class", "by_rule", "counts", "for_a_person"),
    [
        ("enforce", "enforce", "enforce", "enforce", "enforce"),
        ("enforce", "approve", "enforce", "approve", "enforce"),
        ("enforce", "enforce", "shadow", "shadow", "enforce"),
        ("approve", "enforce", "enforce", "approve", "enforce"),
        ("approve", "shadow", "approve", "shadow", "enforce"),
        ("shadow", "enforce", "approve", "shadow", "shadow"),
    ],
)
def test_the_strictest_counts_and_a_person_waits_for_nobody(
    gateway: Mode, by_class: Mode, by_rule: Mode, counts: Mode, for_a_person: Mode
) -> None:
    modes = Modes({"gw1": gateway}, {"ScanIncident": by_class, "A rule": by_rule})
    assert modes.of("gw1", "ScanIncident", "A rule") == counts
    assert modes.of("gw1", "ScanIncident", "A rule", by_person=True) == for_a_person


def test_what_is_not_named_is_enforced() -> None:
    assert Modes().of("gw1", "ScanIncident", "A rule") == "enforce"
    assert (strictest(), strictest(*MODES)) == ("enforce", "shadow")
