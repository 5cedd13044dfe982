"""What a launcher says of its node to whoever asks: a unix socket that gives one JSON object.

The run file beside it is the last word of a launcher that died; a full or read-only disk keeps it
from being written, and nobody from asking.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.base.local import connect_to, listen_on

ANSWER_S = 3.0
"""A launcher that takes longer hangs."""
_MAX_BYTES = 1 << 20


class NodeSocket:
    """The launcher's end. `open` it, `close` it.

    Args:
        state: what to answer.
    """

    def __init__(self, path: Path, state: Callable[[], dict[str, Any]]) -> None:
        self._path = path
        self._state = state
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen, if it doesn't yet. Raises: OSError."""
        if self._server is None:
            listener = listen_on(self._path)
            self._server = await asyncio.start_unix_server(self._answer, sock=listener)

    async def close(self) -> None:
        """Safe to call twice."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._path.unlink(missing_ok=True)

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(json.dumps(self._state()).encode())
            async with asyncio.timeout(ANSWER_S):
                await writer.drain()
        except (OSError, TimeoutError):
            pass  # whoever asked is gone
        finally:
            writer.close()


def ask_launcher(path: Path) -> dict[str, Any]:
    """What the launcher that listens at ``path`` says now. Blocks.

    Raises: TimeoutError: it hangs; OSError: nobody listens; ValueError: no launcher of ours.
    """
    connection = connect_to(path, os.geteuid())
    data = b""
    with connection:
        connection.settimeout(ANSWER_S)
        while part := connection.recv(65536):
            data += part
            if len(data) > _MAX_BYTES:
                raise ValueError(f"{path}: says more than a launcher does")
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError(f"{path}: not a launcher's answer")
    return found


def launcher_runs(lock: Path) -> bool:
    """Whether a launcher holds the lock of its node, ``run/NODE.lock``: while its process lives."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
