"""Tracks of who tried what: bounded, forgetful, and surer the more fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.analyzer.tracks import MAX_ITEMS, WINDOW_US, Track, certainty


def test_a_port_that_once_answered_stays_answered() -> None:
    track = Track()
    track.take([80, 81], [False, True], [1, 1], 1)
    track.take([80, 81], [True, False], [2, 2], 2)
    assert track.tally() == (0, 2)


def test_old_tries_are_forgotten() -> None:
    track = Track()
    track.take([1, 2], [True, True], [0, WINDOW_US], WINDOW_US)
    assert track.tally() == (2, 0)
    track.take([], [], [], WINDOW_US + 1)
    assert track.tally() == (1, 0)


def test_a_track_is_bounded_whatever_is_tried() -> None:
    track = Track()
    count = 3 * MAX_ITEMS
    track.take(range(count), [True] * count, [0] * count, 0)
    assert len(track.tries) == MAX_ITEMS
    assert track.items >= MAX_ITEMS


@pytest.mark.parametrize(
    ("failed", "succeeded", "expected"),
    [(10, 0, 0.6), (50, 0, 0.9), (500, 0, 0.9), (50, 50, 0.75), (0, 0, 0.6)],
)
def test_certainty(failed: int, succeeded: int, expected: float) -> None:
    assert certainty(failed, succeeded, 10) == pytest.approx(expected)


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 100))
def test_more_failures_never_make_it_less_sure(failed: int, succeeded: int, needed: int) -> None:
    assert certainty(failed, succeeded, needed) <= certainty(failed + 1, succeeded, needed) <= 0.9
