"""What is wrong with a disk, in few words, and who is told of it. Pure."""

from __future__ import annotations

import errno
import os
from typing import Protocol


class Faults(Protocol):
    """Who is told what is wrong with a file: `agents.base.conditions.Conditions`."""

    def fault(self, name: str, reason: str) -> None: ...
    def clear(self, name: str) -> None: ...


class NotNow(RuntimeError):
    """Something can't be kept just now, and somebody has been told why: who wants it done tries
    again later, and a message that wants it comes again."""


class Untold:
    """Nobody: for tools that read a file and end."""

    def fault(self, name: str, reason: str) -> None:
        """Not told."""

    def clear(self, name: str) -> None:
        """Not told."""


def fault_of(error: OSError) -> str:
    """In few words: ``full``, ``read-only``, else what the system says."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "full"
    if error.errno == errno.EROFS:
        return "read-only"
    return os.strerror(error.errno) if error.errno else str(error)
