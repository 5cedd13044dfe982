"""The file that standard error goes to, kept within a bound.

Whoever starts the launcher may send its log into a file, and all agents inherit it. Such a file is
copied to ``NAME.1`` and emptied when it is long enough: nobody needs to open it anew, which agents
under other users could not. A terminal, a pipe and the journal are left alone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from pathlib import Path
from typing import Final

SIZE_BYTES: Final = 16 << 20
"""From which on it is turned."""
KEPT: Final = 3
"""Older files, ``NAME.1`` (the newest) to ``NAME.3``."""


def turn_file(path: Path) -> bool:
    """As `LogFile.turn`, for the file of another program that appends to it."""
    try:
        if path.lstat().st_size < SIZE_BYTES:
            return False
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return LogFile(descriptor).turn()
    finally:
        os.close(descriptor)


class LogFile:
    """The file behind a descriptor.

    Args:
        descriptor: of standard error, shared with all agents.
    """

    def __init__(
        self, descriptor: int = 2, *, size_bytes: int = SIZE_BYTES, kept: int = KEPT
    ) -> None:
        self._descriptor = descriptor
        self._size_bytes = size_bytes
        self._kept = kept
        self._path: Path | None = None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return
            # Or who writes next would leave a hole as long as the file was.
            flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        except OSError:
            return
        if path.is_file():
            self._path = path

    def turn(self) -> bool:
        """Call it each second: whether the file was long enough, and is empty now.

        What is written between the copy and that is lost: some lines. On a disk that can't take the
        copy all of it is lost, and the disk has room again.
        """
        if self._path is None:
            return False
        try:
            if os.fstat(self._descriptor).st_size < self._size_bytes:
                return False
            try:
                self._keep(self._path)
            except OSError:
                self._older(1).unlink(missing_ok=True)
            os.ftruncate(self._descriptor, 0)
        except OSError:
            return False
        return True

    def _keep(self, path: Path) -> None:
        for number in range(self._kept, 1, -1):
            if self._older(number - 1).exists():
                os.replace(self._older(number - 1), self._older(number))
        with path.open("rb") as source:
            older = os.open(
                self._older(1), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600
            )
            with open(older, "wb") as target:
                # Of one that grew far beyond its bound in a second, the end.
                source.seek(max(0, os.fstat(source.fileno()).st_size - 2 * self._size_bytes))
                shutil.copyfileobj(source, target, 1 << 20)

    def _older(self, number: int) -> Path:
        assert self._path is not None  # noqa: S101
        return self._path.with_name(f"{self._path.name}.{number}")
