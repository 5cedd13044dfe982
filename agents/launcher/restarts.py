"""When to start a dead child again: a pure policy, so that it can be tested."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
# A child that lived this long was healthy: its next crash counts as the first.
HEALTHY_AFTER_S = 60.0


@dataclass(slots=True)
class RestartPolicy:
    """Exponential back-off of one child: 0.5 s, 1 s, 2 s … 30 s. Times are monotonic seconds."""

    failures: int = 0
    started_s: float = 0.0

    def on_start(self, now_s: float) -> None:
        """The child was started."""
        self.started_s = now_s

    def delay_after_exit(self, now_s: float) -> float:
        """Seconds to wait before the next start."""
        if now_s - self.started_s >= HEALTHY_AFTER_S:
            self.failures = 0
        delay = min(FIRST_DELAY_S * 2.0**self.failures, LONGEST_DELAY_S)
        self.failures = min(self.failures + 1, 16)
        return delay
