"""How often somebody may try to log in. Pure; times are arguments, on a clock that only runs.

Counted by address and name, never by name alone or over all: who tries wrong passwords for a name
locks out nobody who knows the right one and comes from elsewhere. What all tries together may cost
is bounded by `MAX_WAITING` (and one hash at a time, `agents.console.app`).
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from typing import Final

FAILURES: Final = 5
"""Of one address and name, within `WINDOW_US`; of one address with all names four times as many."""
WINDOW_US: Final = 60 * 1_000_000
MAX_REMEMBERED: Final = 20_000
MAX_WAITING: Final = 32
"""Passwords that wait to be looked at, some 50 ms each; fewer than strangers have connections."""
MAX_WAITING_EACH: Final = 2
"""Of one address."""


class LoginLimit:
    """Failed logins by address and name, and the passwords that wait to be looked at."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], deque[int]] = OrderedDict()
        self._waiting: Counter[str] = Counter()

    def wait_s(self, address: str, name: str, now_us: int) -> int:
        """Seconds until this address may try this name again; 0 for now."""
        waits = [0]
        for key in ((address, name), (address, "")):
            tries = self._failures.get(key)
            if tries is not None and len(tries) == tries.maxlen:
                waits.append(-((now_us - tries[0] - WINDOW_US) // 1_000_000))
        if self._waiting[address] >= MAX_WAITING_EACH or self._waiting.total() >= MAX_WAITING:
            waits.append(1)
        return max(waits)

    def begins(self, address: str, name: str, now_us: int) -> None:
        """A password is to be looked at: counted as failed until it turns out to be right, so that
        many tries at once are counted as well."""
        self._waiting[address] += 1
        for key, most in (((address, name), FAILURES), ((address, ""), 4 * FAILURES)):
            self._failures.setdefault(key, deque(maxlen=most)).append(now_us)
            self._failures.move_to_end(key)
        while len(self._failures) > MAX_REMEMBERED:
            self._failures.popitem(last=False)

    def ends(self, address: str, name: str, *, right: bool) -> None:
        """It was looked at."""
        self._waiting[address] -= 1
        if not self._waiting[address]:
            del self._waiting[address]
        if right:
            self._failures.pop((address, name), None)
            self._failures.pop((address, ""), None)
