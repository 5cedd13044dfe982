"""Rules are doubted when windows fail in a row, and only while there are others to go back to."""

from __future__ import annotations

from agents.correlation.probation import FAILURES, TIMEOUT_S, Probation
from ontology.reasoner.window import Window

WINDOWS = [Window(str(number).encode(), 1) for number in range(FAILURES)]


def test_windows_that_fail_in_a_row_raise_doubt_once() -> None:
    doubts: list[int] = []
    probation = Probation(lambda: doubts.append(1))
    assert not any(probation.failed(window) for window in WINDOWS), "nothing to go back to"
    assert probation.timeout_s(5.0) == 5.0
    probation.begin()
    assert probation.timeout_s(5.0) == TIMEOUT_S and probation.timeout_s(1.0) == 1.0
    for window in WINDOWS[1:]:
        assert not probation.failed(window)
    probation.answered()
    assert [probation.failed(window) for window in WINDOWS] == [False] * (FAILURES - 1) + [True]
    assert doubts == [1] and probation.take() == WINDOWS and probation.take() == []
    probation.end()
    assert not any(probation.failed(window) for window in WINDOWS)
