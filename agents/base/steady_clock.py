"""A clock that reads like the wall clock, and that no step of the wall clock moves.

Between two looks at the wall clock it goes by ``CLOCK_BOOTTIME``. Where the wall clock was set, the
difference is a *step*: whoever keeps times by this clock moves them by it (the ledger the ends of
all bans), and only then does the clock follow. So nothing lasts longer or ends because somebody set
a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from agents.clock import ClockReading, passed_s, read_clocks

STEP_US: Final = 1_000_000
"""A smaller difference is drift, which time servers correct by slewing; followed all the same."""


class SteadyClock:
    """Call it for microseconds since the Unix epoch.

    Args:
        noted: its last `reading` in an earlier process, from which it goes on; None: there was
            none.
        read: reads the clocks of this host.
    """

    def __init__(
        self, noted: ClockReading | None = None, *, read: Callable[[], ClockReading] = read_clocks
    ) -> None:
        self._read = read
        now = read()
        self._steady_s = now.steady_s
        self._us = now.wall_us
        if noted is not None:
            self._us = noted.wall_us + round(passed_s(noted, now) * 1e6)

    def __call__(self) -> int:
        return self._at(self._read())

    def reading(self) -> ClockReading:
        """To be noted on disk, for the next process."""
        now = self._read()
        return ClockReading(now.boot, now.steady_s, self._at(now))

    def step_us(self) -> int:
        """How far the wall clock is ahead (negative: behind) of this one."""
        now = self._read()
        return now.wall_us - self._at(now)

    def move(self, step_us: int) -> None:
        """Follow the wall clock; whatever ends by this clock has been moved as well."""
        self._us += step_us

    def _at(self, now: ClockReading) -> int:
        return self._us + round((now.steady_s - self._steady_s) * 1e6)


def described(step_us: int) -> str:
    """A step for people: ``back by 3,600.0 s``."""
    return f"{'forward' if step_us > 0 else 'back'} by {abs(step_us) / 1e6:,.1f} s"
