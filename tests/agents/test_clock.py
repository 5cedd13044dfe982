"""What is known to have passed, whatever the wall clock did."""

from __future__ import annotations

import pytest

from agents.clock import ClockReading, now_us, passed_s, read_clocks

DAY_US = 86_400_000_000
BEFORE = ClockReading("one", 5000.0, 1_800_000_000_000_000)


@pytest.mark.parametrize("step_us", [0, 30 * DAY_US, -30 * DAY_US])
def test_within_a_boot_the_wall_clock_does_not_matter(step_us: int) -> None:
    now = ClockReading("one", 5060.0, BEFORE.wall_us + step_us)
    assert passed_s(BEFORE, now) == 60.0


@pytest.mark.parametrize(
    ("wall_s", "expected"), [(600, 600.0), (-30 * 86400, 20.0), (5, 20.0), (0, 20.0)]
)
def test_after_another_boot_it_is_at_least_the_time_since(wall_s: int, expected: float) -> None:
    now = ClockReading("two", 20.0, BEFORE.wall_us + wall_s * 1_000_000)
    assert passed_s(BEFORE, now) == expected


def test_the_clocks_of_this_host() -> None:
    first, second = read_clocks(), read_clocks()
    assert first.boot == second.boot and len(first.boot) == 36
    assert 0 <= passed_s(first, second) < 5
    assert abs(first.wall_us - now_us()) < 5_000_000
