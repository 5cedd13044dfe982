"""A clock that no step of the wall clock moves."""

from __future__ import annotations

import pytest

from agents.base.steady_clock import SteadyClock
from agents.clock import ClockReading

DAY_US = 86_400_000_000
T0 = 1_800_000_000_000_000


class Clocks:
    def __init__(self):
        self.now = ClockReading("one", 100.0, T0)

    def __call__(self):
        return self.now

    def turn(self, seconds, step_us=0, boot=None, steady_s=None):
        steady = self.now.steady_s + seconds if steady_s is None else steady_s
        wall = self.now.wall_us + int(seconds * 1e6) + step_us
        self.now = ClockReading(boot or self.now.boot, steady, wall)


@pytest.mark.parametrize("step_us", [DAY_US, -DAY_US])
def test_a_step_shows_and_does_not_count_until_it_is_followed(step_us):
    clocks = Clocks()
    clock = SteadyClock(read=clocks)
    clocks.turn(10, step_us)
    assert clock() == T0 + 10_000_000
    assert clock.step_us() == step_us
    clock.move(step_us)
    assert (clock(), clock.step_us()) == (T0 + 10_000_000 + step_us, 0)


@pytest.mark.parametrize("step_us", [DAY_US, -DAY_US, 0])
def test_a_new_process_goes_on_where_the_last_one_was(step_us):
    clocks = Clocks()
    noted = SteadyClock(read=clocks).reading()
    clocks.turn(7, step_us)
    clock = SteadyClock(noted, read=clocks)
    assert (clock(), clock.step_us()) == (T0 + 7_000_000, step_us)


def test_after_a_reboot_with_the_clock_behind_only_the_uptime_has_passed():
    clocks = Clocks()
    noted = SteadyClock(read=clocks).reading()
    clocks.turn(600, -30 * DAY_US, boot="two", steady_s=20.0)
    clock = SteadyClock(noted, read=clocks)
    assert clock() == T0 + 20_000_000
    assert clock.step_us() == 580_000_000 - 30 * DAY_US
