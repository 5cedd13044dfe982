"""Sees when the wall clock of this host was set, and says so."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from agents.base.conditions import Conditions
from agents.base.context import AgentContext
from agents.base.steady_clock import STEP_US, SteadyClock, described

CLOCK = "clock"
"""Name of the condition."""
EVERY_S = 1.0
NEWS_S = 600.0
"""How long it is shown."""


class ClockNews:
    """The last setting of this host's clock, as long as it is news."""

    def __init__(self, clock: SteadyClock | None = None) -> None:
        self._clock = clock or SteadyClock()
        self._told_s = 0.0
        self.text = ""
        """For people; empty: it was not set of late."""

    def look(self) -> int:
        """Call it again and again. Microseconds by which it was set since; 0: it was not."""
        step_us = self._clock.step_us()
        self._clock.move(step_us)
        if abs(step_us) <= STEP_US:
            if time.monotonic() - self._told_s > NEWS_S:
                self.text = ""
            return 0
        self._told_s = time.monotonic()
        at = datetime.fromtimestamp(self._clock() / 1e6, UTC)
        self.text = f"the clock of this host was set {described(step_us)}, to {at:%F %T} UTC"
        return step_us


class ClockWatch:
    """One agent's look at the clock, `EVERY_S`.

    Args:
        on_set: told of each step, in microseconds.
    """

    def __init__(
        self,
        context: AgentContext,
        conditions: Conditions,
        counters: Counter[str],
        on_set: Callable[[int], Awaitable[None]],
        clock: SteadyClock | None = None,
    ) -> None:
        self._conditions = conditions
        self._counters = counters
        self._on_set = on_set
        # One agent of a node is enough to tell people.
        self._tells = context.role == context.settings.node_named(context.node).agents[0]
        self._news = ClockNews(clock)

    async def look(self) -> None:
        """Call it again and again."""
        step_us = self._news.look()
        if not self._news.text:
            self._conditions.clear(CLOCK)
        if not step_us:
            return
        self._counters["clock_steps"] += 1
        if self._tells:
            self._conditions.fault(CLOCK, self._news.text, level="warning")
        await self._on_set(step_us)
