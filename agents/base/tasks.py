"""Guarded tasks of one agent: an exception is logged and counted, and all end with the agent."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

logger = logging.getLogger(__name__)

END_LIMIT_S = 3.0


class Tasks:
    """Tasks that run beside each other. ``counters["task_errors"]`` counts their exceptions.

    Args:
        ready: tasks begin once this is set, unless they are started ``at_once``.
    """

    def __init__(self, counters: Counter[str], ready: asyncio.Event) -> None:
        self._counters = counters
        self._ready = ready
        self._running: set[asyncio.Task[None]] = set()

    def spawn(
        self, coroutine: Coroutine[Any, Any, None], *, name: str, at_once: bool = False
    ) -> asyncio.Task[None]:
        """Run it; an exception is logged and counted."""
        guarded = self._guard(coroutine, name, at_once=at_once)
        task = asyncio.create_task(guarded, name=name)  # noqa: TID251
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def every(self, seconds: float, function: Callable[[], Awaitable[None]], *, name: str) -> None:
        """Call it again and again, ``seconds`` apart (monotonic); an exception doesn't end that."""
        self.spawn(self._repeat(seconds, function, name), name=name)

    async def end(self, more: Iterable[asyncio.Future[Any]] = ()) -> None:
        """Cancel all of them, and ``more``; wait `END_LIMIT_S` at most."""
        tasks: set[asyncio.Future[Any]] = {*self._running, *more}
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        # Bounded: a task that swallows its cancellation (SPADE's do) must not keep us alive.
        _, deaf = await asyncio.wait(tasks, timeout=END_LIMIT_S)
        for task in deaf:
            logger.warning("a task does not end: %r", task)

    async def _guard(
        self, coroutine: Coroutine[Any, Any, None], name: str, *, at_once: bool
    ) -> None:
        try:
            if not at_once:
                await self._ready.wait()
            await coroutine
        except Exception:
            self._counters["task_errors"] += 1
            logger.exception("%s ended", name)
        finally:
            coroutine.close()  # never begun, if the agent ends first

    async def _repeat(
        self, seconds: float, function: Callable[[], Awaitable[None]], name: str
    ) -> None:
        due = time.monotonic()
        while True:
            try:
                await function()
            except Exception:
                self._counters["task_errors"] += 1
                logger.exception("%s failed; again in %.1f s", name, seconds)
            due = max(due + seconds, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
