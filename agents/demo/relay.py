"""A TCP port of the host, relayed to the console's Unix socket inside the laboratory.

The laboratory has no wire to the host's network; the file system is what the two share.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from agents.console.guard import LOOPBACK, host_name

CHUNK = 65536
HEAD_LIMIT_S = 10.0
_HEAD = 32 * 1024
_REFUSAL = b"HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Relay:
    """Listens on ``host:port`` while the context is open; each connection gets its own to ``path``.

    Raises:
        RuntimeError: the port is taken, or not for us.
    """

    def __init__(self, host: str, port: int, path: Path) -> None:
        self.host, self.port, self._path = host, port, path
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        opening = asyncio.run_coroutine_threadsafe(self._open(), self._loop)
        try:
            opening.result(10)
        except OSError as e:
            self._end()
            raise RuntimeError(
                f"port {self.port} of {self.host} is {_why(e)}; choose one with --port"
            ) from e
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=_HEAD)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await _first_head(reader)
        if not _is_ours(head):
            # On its Unix socket the console leaves this to whom it is behind: that is us. A browser
            # has a connection for each host name, so that the first request speaks for all.
            writer.write(_REFUSAL if head else b"")
            writer.close()
            return
        try:
            inner_reader, inner_writer = await asyncio.open_unix_connection(str(self._path))
        except OSError:
            # The console is not up yet, or has ended: the browser will try again.
            writer.close()
            return
        inner_writer.write(head)
        try:
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        finally:
            for end in (inner_writer, writer):
                end.close()


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "taken"
    return f"not to be had ({os.strerror(error.errno or 0)})"


async def _first_head(reader: asyncio.StreamReader) -> bytes:
    """Up to the blank line behind the headers; empty if it doesn't come."""
    try:
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_LIMIT_S)
    except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return b""


def _is_ours(head: bytes) -> bool:
    """Whether the request is for this host: a foreign name is how DNS rebinding gets here."""
    lines = head.decode("latin-1").split("\r\n")[1:]
    hosts = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("host:")]
    return len(hosts) == 1 and host_name(hosts[0]) in LOOPBACK


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # OSError: write_eof on a connection that the browser has just dropped.
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
