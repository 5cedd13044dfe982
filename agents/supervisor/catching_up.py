"""Much to tell at once, told bit by bit, so that what is new doesn't wait behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

_T = TypeVar("_T")
Aside = Callable[[Coroutine[Any, Any, None]], object]
"""Runs what takes long beside everything else."""

PART: Final = 250
"""Orders, or blocks in force, that are told one after the other, …"""
PACE_S: Final = 0.05
"""… before others have their turn, …"""
UNDER_WAY: Final = 20
"""… and messages that may wait for their receivers when the next part is told."""
PATIENCE_S: Final = 2.0
"""A part goes out after this in any case: a receiver may have died."""


class CatchingUp:
    """What others are told by an agent that has come back, or for whom they have.

    Args:
        aside: None where nothing else goes on; then all is told at once.
        waiting: how many messages wait for their receivers; what is new stands behind them.
    """

    def __init__(self, aside: Aside | None = None, waiting: Callable[[], int] = lambda: 0) -> None:
        self._aside = aside
        self._waiting = waiting
        self._running = 0

    @property
    def is_under_way(self) -> bool:
        """Whether somebody is still being told."""
        return self._running > 0

    async def tell(
        self, things: Sequence[_T], say: Callable[[Sequence[_T]], Awaitable[None]]
    ) -> None:
        """Few of them now, many later and bit by bit."""
        if len(things) <= PART or self._aside is None:
            await say(things)
            return
        self._running += 1
        self._aside(self._bit_by_bit(things, say))

    async def _bit_by_bit(
        self, things: Sequence[_T], say: Callable[[Sequence[_T]], Awaitable[None]]
    ) -> None:
        try:
            for begin in range(0, len(things), PART):
                await say(things[begin : begin + PART])
                await asyncio.sleep(PACE_S)
                for _ in range(round(PATIENCE_S / PACE_S)):
                    if self._waiting() < UNDER_WAY:
                        break
                    await asyncio.sleep(PACE_S)
        finally:
            self._running -= 1
