from __future__ import annotations

from dataclasses import replace

import pytest

from agents.base.own_clock import block_here, decision_here
from tests.agents import factories

NOW_US = 1_800_000_000_000_000
S = 1_000_000


@pytest.mark.parametrize("theirs_us", [1, NOW_US - 30 * 86_400 * S, NOW_US + 3_600 * S])
def test_a_decision_is_as_old_as_its_message(theirs_us: int) -> None:
    made = factories.decision(decided_us=theirs_us)
    here = decision_here(made, NOW_US, 2.5)
    assert here == replace(made, decided_us=NOW_US - 2_500_000)


@pytest.mark.parametrize("theirs_us", [S, NOW_US - 30 * 86_400 * S, NOW_US + 3_600 * S])
def test_what_remains_of_a_block_stays(theirs_us: int) -> None:
    report = factories.report(factories.decision(), "gw1", at_us=theirs_us)
    report = replace(report, since_us=theirs_us, expires_us=theirs_us + 600 * S)
    here = block_here(report, NOW_US, 10.0)
    assert (here.since_us, here.expires_us) == (NOW_US - 10 * S, NOW_US + 590 * S)


def test_a_report_without_an_end_has_none_here() -> None:
    report = factories.report(factories.decision(), "gw1", "refused")
    here = block_here(replace(report, expires_us=0), NOW_US, 1.0)
    assert (here.since_us, here.expires_us) == (NOW_US - S, 0)
