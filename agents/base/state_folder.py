"""The folder in which one agent keeps its state: made, and locked against a second process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agents.base.disk_faults import Faults, fault_of

LOCK: Final = "lock"


@contextmanager
def locked(folder: Path, name: str, faults: Faults) -> Iterator[None]:
    """Nobody else works in this folder meanwhile.

    On a disk that can't be written to, what exists is locked: the file, or the folder itself; where
    nothing exists, nothing can be overwritten either.

    Args:
        name: of the agent, for the message.

    Raises: RuntimeError if another process works there.
    """
    lock = _open(folder, faults)
    try:
        if lock is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as e:
                raise RuntimeError(f"{name} is already running ({folder / LOCK})") from e
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _open(folder: Path, faults: Faults) -> int | None:
    error: OSError | None = None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        error = e
    for path in (folder / LOCK, folder):
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
    faults.fault(
        str(folder), f"{folder}: {fault_of(error)}; nothing can be kept until the agent starts anew"
    )
    return None
