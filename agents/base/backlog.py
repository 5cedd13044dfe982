"""How long what comes has to wait before it is dealt with, measured by counting. Pure.

Of a line of things that are dealt with in order: what stands last in it now has been dealt with as
soon as so many more are done as wait now. No clock but the caller's monotonic one is needed.
"""

from __future__ import annotations

from typing import Final

BEHIND_S: Final = 5.0
"""Who lets things wait longer doesn't keep up …"""
AGAIN_S: Final = 2.0
"""… until they wait no longer than this."""


class Backlog:
    """Call `look` every second or so."""

    def __init__(self) -> None:
        self._goal: int | None = None
        """Things done when what was last in line at `_since_s` will be."""
        self._since_s = 0.0
        self._last_s = 0.0
        self.behind = False
        """Whether it doesn't keep up; with hysteresis."""

    def look(self, done: int, waiting: int, now_s: float) -> float:
        """Seconds that things wait.

        Args:
            done: how many were dealt with so far.
            waiting: how many stand in line, the one in hand included.
        """
        if self._goal is not None and done >= self._goal:
            self._last_s, self._goal = now_s - self._since_s, None
        if self._goal is None:
            if waiting:
                self._goal, self._since_s = done + waiting, now_s
            else:
                self._last_s = 0.0
        # What is still in line has waited this long at least, and may have to as long as the last.
        waited = 0.0 if self._goal is None else now_s - self._since_s
        found = max(waited, self._last_s)
        if found > BEHIND_S:
            self.behind = True
        elif found <= AGAIN_S:
            self.behind = False
        return found
