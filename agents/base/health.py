"""The agent's end of the launcher's health channel: a line in, a JSON line out."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import resource
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.base.disk_faults import Faults, fault_of

logger = logging.getLogger(__name__)

_PAGE_KIB = resource.getpagesize() // 1024
_MAX_LINE = 256
LAST_WORDS = "last_words"
"""Key of the one line that an agent sends unasked: why it ends."""


def resident_kib() -> int:
    """Resident memory of this process in KiB (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_KIB


def memory_now(faults: Faults) -> int:
    """As `resident_kib`; 0 while no file can be opened, which is told: an agent that has run out of
    descriptors goes on with what is open."""
    try:
        found = resident_kib()
    except OSError as e:
        faults.fault("descriptors", f"{fault_of(e)}: nothing can be opened, what is open goes on")
        return 0
    faults.clear("descriptors")
    return found


def give_back_memory() -> None:
    """Return what loading left behind to the kernel: 5 to 20 MiB an agent (glibc's malloc_trim)."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def say_last(channel: socket.socket, error: BaseException) -> None:
    """Tell the launcher why the agent ends; what doesn't fit into the socket is not waited for."""
    text = str(error) or type(error).__name__
    with contextlib.suppress(OSError):
        channel.send(json.dumps({LAST_WORDS: text[:1000]}).encode() + b"\n", socket.MSG_DONTWAIT)


async def answer_pings(
    channel: socket.socket,
    health: Callable[[], dict[str, Any]],
    on_launcher_gone: Callable[[], None],
) -> None:
    """Answer each ``ping`` line with one line of JSON; from the event loop, so that a stall shows.

    When the other end closes, the launcher is dead: the agent must not outlive it, because the next
    launcher starts its own.
    """
    reader, writer = await asyncio.open_connection(sock=channel, limit=_MAX_LINE)
    try:
        while line := await reader.readline():
            if line.strip() == b"ping":
                writer.write(json.dumps(health()).encode() + b"\n")
                await writer.drain()
    except (OSError, ValueError) as e:
        logger.warning("health channel: %s", e)
    finally:
        writer.close()
    logger.warning("the launcher is gone: stopping")
    on_launcher_gone()
