from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base.backlog import AGAIN_S, BEHIND_S, Backlog


def simulate(arrivals: list[int], per_second: int) -> tuple[list[float], list[float], Backlog]:
    """(estimated, true) waiting times, a second at a time."""
    backlog, line, done = Backlog(), deque[int](), 0
    estimated, true = [], []
    for second, count in enumerate(arrivals):
        line.extend([second] * count)
        for _ in range(min(per_second, len(line))):
            line.popleft()
            done += 1
        estimated.append(backlog.look(done, len(line), float(second)))
        true.append(float(second - line[0]) if line else 0.0)
    return estimated, true, backlog


def test_who_keeps_up_is_never_behind() -> None:
    estimated, _, backlog = simulate([90, 110] * 50, per_second=110)
    assert max(estimated) <= 1.0 and not backlog.behind


def test_more_than_can_be_done_is_noticed_and_so_is_its_end() -> None:
    estimated, true, backlog = simulate([150] * 30, per_second=100)
    assert true[-1] > BEHIND_S and backlog.behind
    first = next(i for i, seconds in enumerate(estimated) if seconds > BEHIND_S)
    really = next(i for i, seconds in enumerate(true) if seconds > BEHIND_S)
    assert first - really <= 5
    estimated, true, backlog = simulate([150] * 30 + [0] * 40, per_second=100)
    assert estimated[-1] == 0.0 and not backlog.behind


def test_one_that_never_ends_is_noticed() -> None:
    backlog = Backlog()
    for second in range(8):
        waited = backlog.look(17, 1, float(second))
    assert waited == 7.0 and backlog.behind


@pytest.mark.parametrize("waits", [BEHIND_S - 0.5, AGAIN_S + 0.5])
def test_in_between_nothing_changes(waits: float) -> None:
    for behind in (False, True):
        backlog = Backlog()
        backlog.look(0, 1, 0.0)
        backlog.behind = behind
        backlog.look(0, 1, waits)
        assert backlog.behind == behind


@given(st.lists(st.integers(0, 300), max_size=60))
def test_it_is_never_negative_and_ends_when_nothing_waits(arrivals: list[int]) -> None:
    estimated, _, backlog = simulate([*arrivals, *[0] * 200], per_second=100)
    assert min(estimated) >= 0.0 and estimated[-1] == 0.0 and not backlog.behind
