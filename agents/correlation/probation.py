"""New rules on probation: windows that fail in a row since the rules were changed."""

from __future__ import annotations

from collections.abc import Callable

from ontology.reasoner.window import Window

FAILURES = 2
"""In a row, before the rules before are tried on the same windows. Those decide, so few will do: in
10 s the rules before are to be in force again, and a worker that was killed takes some to come."""
TIMEOUT_S = 2.0
"""For a window while there are rules to go back to; most take 0.2 s."""


class Probation:
    """Of the rules in force. Not thread-safe.

    Args:
        doubt: called when that many windows have failed in a row; `take` them then.
    """

    def __init__(self, doubt: Callable[[], None]) -> None:
        self._doubt = doubt
        self._failed: list[Window] = []
        self.on = False
        """Are there rules to go back to?"""

    def begin(self) -> None:
        """Other rules are in force from now on."""
        self._failed.clear()
        self.on = True

    def end(self) -> None:
        """There is nothing to go back to."""
        self._failed.clear()
        self.on = False

    def timeout_s(self, usual: float) -> float:
        """For the next window."""
        return min(usual, TIMEOUT_S) if self.on else usual

    def answered(self) -> None:
        """A window was reasoned about."""
        self._failed.clear()

    def failed(self, window: Window) -> bool:
        """A window was not; True if it is time to doubt the rules, and to wait."""
        if not self.on:
            return False
        self._failed.append(window)
        if len(self._failed) < FAILURES:
            return False
        self._doubt()
        return True

    def take(self) -> list[Window]:
        """Those that failed; forgotten here."""
        failed, self._failed = self._failed, []
        return failed
