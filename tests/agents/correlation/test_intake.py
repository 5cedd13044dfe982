from __future__ import annotations

from collections import Counter

from agents.correlation.intake import Intake
from tests.agents.correlation.alerts import alert


def test_a_finding_that_grew_comes_in_with_what_is_new() -> None:
    counters = Counter[str]()
    intake = Intake(10, counters)
    assert [a.count for a in intake.take([alert(1), alert(1, count=5), alert(1, count=5)])] == [
        3,
        2,
    ]
    assert counters == {"alerts": 3, "alerts_repeated": 1}


def test_what_can_not_be_written_as_an_iri_is_refused() -> None:
    counters = Counter[str]()
    assert Intake(10, counters).take([alert(1, id="urn:x> <y"), alert(2)]) == [alert(2)]
    assert counters["malformed"] == 1


def test_what_grew_longest_ago_is_forgotten_first() -> None:
    intake = Intake(2, Counter())
    intake.take([alert(1), alert(2), alert(1, count=4), alert(3)])
    assert intake.take([alert(1, count=4), alert(2)]) == [alert(2)]


def test_what_may_be_forged_makes_nobody_forget_what_is_verified() -> None:
    intake = Intake(10, Counter())
    intake.take([alert(1)])
    intake.take([alert(n, verified_source=False) for n in range(2, 500)])
    assert intake.take([alert(1), alert(499, verified_source=False)]) == []
    assert len(intake.take([alert(2, verified_source=False)])) == 1


def test_a_finding_that_is_verified_only_now_is_new_with_all_of_it() -> None:
    intake = Intake(10, Counter())
    intake.take([alert(1, count=5, verified_source=False)])
    assert [a.count for a in intake.take([alert(1, count=5)])] == [5]
    assert [a.count for a in intake.take([alert(1, count=7)])] == [2]
