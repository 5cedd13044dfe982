"""uvicorn's protocol with our patience: connections of the page, and of the operator's socket."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import sys
import termios
from collections import Counter
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from agents.base.local import user_of
from agents.console.admission import Admission

logger = logging.getLogger(__name__)

REQUEST_S = 10.0
"""Time that a connection gets for each whole request, head and body, and a stranger to read the
answer as well: uvicorn waits for ever."""
TRUST = "ontoidps.trust"
"""Key in a request's scope: call it when the request is one of a live session."""
OPERATOR = "ontoidps.operator"
"""Key in the scope of a request that came over the operator's socket."""


def _unread(transport: asyncio.Transport) -> int:
    """Bytes that have arrived and that nobody has read yet (ioctl_tcp, FIONREAD)."""
    number = bytearray(4)
    with contextlib.suppress(OSError):
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.FIONREAD, number)
    return int.from_bytes(number, sys.byteorder)


class PageConnection(H11Protocol):
    """Hangs up on a peer that doesn't finish its request, and on who is in the way."""

    def __init__(
        self, *args: Any, admission: Admission, counters: Counter[str], **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._admission = admission
        self._counters = counters
        self._patience: asyncio.TimerHandle | None = None
        served: ASGIApp = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope[TRUST] = self._trust
            try:
                await served(scope, receive, send)
            finally:
                self._watch()

        self.app = app

    @property
    def waits(self) -> bool:
        """Whether it is the peer's turn: to send a request, the rest of one, or to read."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            return bool(self.flow.write_paused)
        # What has arrived and was not read yet may be the rest: of a browser's first request, say,
        # when a flood of connections was accepted together with it.
        return _unread(self.transport) == 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        out = self._admission.enter(self, self.client[0] if self.client else "")
        if out is not None:
            self._counters["connections_shed"] += 1
            assert isinstance(out, PageConnection)  # noqa: S101
            out.transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._admission.leave(self)
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _trust(self) -> None:
        self._admission.trust(self)
        self._watch()

    def _watch(self) -> None:
        """Run the clock while a request is not whole, or a stranger's answer is on its way."""
        cycle = self.cycle
        if cycle is None or cycle.more_body:
            runs = True
        elif cycle.response_complete:
            runs = bool(self.conn.trailing_data[0])  # the begin of the next one
        else:
            runs = not self._admission.trusts(self)
        if runs and self._patience is None:
            self._patience = self.loop.call_later(REQUEST_S, self._hang_up)
        elif not runs and self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _hang_up(self) -> None:
        self._patience = None
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # a polite end would wait until all of it was read
        else:
            self.transport.close()


class OperatorConnection(H11Protocol):
    """Serves processes of these users, and nobody else; the kernel says whose they are."""

    def __init__(
        self, *args: Any, users: frozenset[int], counters: Counter[str], **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._users = users
        self._counters = counters
        served: ASGIApp = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope[OPERATOR] = True
            await served(scope, receive, send)

        self.app = app

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        user = user_of(transport.get_extra_info("socket"))
        if user not in self._users:
            self._counters["refused_user"] += 1
            logger.error("a process of user %d connects to the operator's socket", user)
            transport.abort()
