"""How late an event loop is: what a timer waits beyond its time, over the last minute."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final

EVERY_S: Final = 0.05
MINUTE: Final = round(60 / EVERY_S)


class LoopLag:
    """Delays of the last 1,200 timers of 50 ms. `keep_looking` in the loop that is looked at."""

    def __init__(self) -> None:
        self._late_s: deque[float] = deque(maxlen=MINUTE)

    async def keep_looking(self) -> None:
        """Measure until cancelled."""
        while True:
            begun = time.monotonic()
            await asyncio.sleep(EVERY_S)
            self.note(time.monotonic() - begun - EVERY_S)

    def note(self, late_s: float) -> None:
        """One delay, in seconds. A long one counts for every timer that it kept from running."""
        kept = min(1 + int(late_s / EVERY_S), MINUTE)
        self._late_s.extend([late_s] * kept)

    def p99_ms(self) -> float:
        """So late is one timer in a hundred, in milliseconds; 0 before the first."""
        late = sorted(self._late_s)
        return round(1000 * max(late[99 * (len(late) - 1) // 100], 0.0), 1) if late else 0.0
