"""Server-sent events: changes are gathered for a moment, encoded once and given to every viewer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Literal

from pydantic import BaseModel

Topic = Literal["blocks", "agents", "incidents", "alerts", "clusters"]

COALESCE_S = 0.05
"""Changes of one key within this time become one (measured: findings, console)."""
TICK_S = 2.0
"""A viewer that hears nothing for three ticks knows that its picture is stale."""
MAX_PENDING = 2000
"""Changes gathered at most; beyond them every viewer reads the lists anew."""
MAX_QUEUED = 64
"""Messages waiting for one slow viewer."""
MAX_VIEWERS = 64

RESYNC = b"event: resync\ndata: {}\n\n"


class Hub:
    """Fan-out to the open streams. Loop-bound: call it from the event loop only."""

    def __init__(self, clock: Callable[[], int], heard: Callable[[], int] | None = None) -> None:
        """
        Args:
            heard: when the supervisor was last heard of (epoch microseconds; 0: never).
        """
        self._clock = clock
        self._heard = heard or clock
        self._viewers: dict[asyncio.Queue[bytes | None], str] = {}
        self._pending: dict[tuple[Topic, str], BaseModel] = {}
        self._overflow = False
        self._timer: asyncio.TimerHandle | None = None
        self._revision = 0
        self.resyncs = 0
        """Viewers told to read anew because they, or we, were too slow."""

    @property
    def full(self) -> bool:
        """Whether no more streams should be opened."""
        return len(self._viewers) >= MAX_VIEWERS

    @property
    def viewers(self) -> int:
        """Open streams."""
        return len(self._viewers)

    def publish(self, topic: Topic, key: str, view: BaseModel) -> None:
        """Say that ``view`` is how ``key`` looks now; a later call for the same key wins."""
        if not self._viewers:
            return
        self._pending[topic, key] = view
        if len(self._pending) > MAX_PENDING:
            self._pending.clear()
            self._overflow = True
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(COALESCE_S, self._flush)

    def anew(self) -> None:
        """Have every viewer read the lists again: so much changed at once."""
        if self._viewers:
            self._overflow = True
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(COALESCE_S, self._flush)

    def _flush(self) -> None:
        self._timer = None
        pending, self._pending = self._pending, {}
        if self._overflow:
            self._overflow = False
            for queue in self._viewers:
                self._resync(queue)
            return
        topics: dict[str, list[object]] = {}
        for (topic, _), view in pending.items():
            topics.setdefault(topic, []).append(view.model_dump(mode="json"))
        self._revision += 1
        data = json.dumps(topics, separators=(",", ":"))
        message = f"id: {self._revision}\ndata: {data}\n\n".encode()
        for queue in self._viewers:
            try:
                queue.put_nowait(message)
            except asyncio.QueueFull:
                self._resync(queue)

    def _resync(self, queue: asyncio.Queue[bytes | None]) -> None:
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(RESYNC)
        self.resyncs += 1

    async def stream(self, session: str, alive: Callable[[], bool]) -> AsyncIterator[bytes]:
        """A viewer's bytes until it leaves, `alive` turns false, or the hub closes it.

        It hears everything from its first event, ``hello``, on: so the viewer reads the lists
        after that one, and no change falls between.
        """
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_QUEUED)
        self._viewers[queue] = session
        try:
            yield b"retry: 1000\n" + self._time("hello")
            while True:
                try:
                    message = await asyncio.wait_for(queue.get(), TICK_S)
                except TimeoutError:
                    message = self._time("tick")
                if message is None or not alive():
                    return
                yield message
        finally:
            self._viewers.pop(queue, None)

    def _time(self, event: str) -> bytes:
        data = f'{{"now_us":{self._clock()},"heard_us":{self._heard()}}}'
        return f"event: {event}\ndata: {data}\n\n".encode()

    def close(self, session: str | None = None) -> None:
        """End the streams of one session (logout, role change), or all (shutdown)."""
        for queue, owner in list(self._viewers.items()):
            if session is None or owner == session:
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(None)
        if session is None and self._timer is not None:
            self._timer.cancel()
            self._timer = None
