"""The one place where clocks are read; everything below takes times as arguments.

The wall clock says when something was, in words for people and other hosts. How long something
lasts is counted on ``CLOCK_BOOTTIME``, which nobody sets: it begins at 0 with the boot, never goes
back, and counts the time asleep.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# At import: a process that gave up its rights may not open it any more.
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def now_us() -> int:
    """Microseconds since the Unix epoch."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Both clocks of this host at one moment, to be kept on disk."""

    boot: str
    """Which boot of the host (``/proc/sys/kernel/random/boot_id``)."""
    steady_s: float
    """Seconds since that boot."""
    wall_us: int
    """Microseconds since the Unix epoch."""

    @property
    def steady_us(self) -> int:
        """Microseconds since that boot."""
        return round(self.steady_s * 1e6)


def read_clocks() -> ClockReading:
    """Both clocks now."""
    return ClockReading(_BOOT, steady_s(), now_us())


def steady_s() -> float:
    """Seconds since the boot, also those asleep; no setting of a clock moves them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def passed_s(before: ClockReading, now: ClockReading) -> float:
    """Seconds that are known to have passed between two readings, never negative.

    Within one boot that is exact, whatever the wall clock did. After another boot it is at least
    the time since that boot; more if the wall clock says so. A wall clock that was set back (no
    battery, no network yet) makes it too little, never too much.
    """
    if before.boot == now.boot:
        return max(0.0, now.steady_s - before.steady_s)
    return max(now.steady_s, (now.wall_us - before.wall_us) / 1e6)
