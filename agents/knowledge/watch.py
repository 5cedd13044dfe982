"""Notices edits of files, once they have settled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path


class FileWatch:
    """Says when the files have changed and have settled since; each state only once.

    Args:
        paths: Called at every look, so that a new file is seen, too.
    """

    def __init__(self, paths: Callable[[], Sequence[Path]]) -> None:
        self._paths = paths
        self._seen = _signature(paths())
        self._reported = self._seen
        self._digest = _digest(paths())

    def has_news(self) -> bool:
        """Whether `poll` has anything to do: a few looks at the file system, no reading."""
        return _signature(self._paths()) != self._seen or self._seen != self._reported

    def poll(self) -> bool:
        """Whether there is content that was not reported before. Blocks for a few file reads.

        An editor may be caught in the middle of a save: a change counts once two looks agree.
        """
        paths = self._paths()
        signature = _signature(paths)
        settled = signature == self._seen
        self._seen = signature
        if not settled or signature == self._reported:
            return False
        self._reported = signature
        digest = _digest(paths)
        changed = digest != self._digest
        self._digest = digest
        return changed


def _signature(paths: Sequence[Path]) -> tuple[tuple[str, int, int, int], ...]:
    found = []
    for path in paths:
        try:
            stat = path.stat()
            found.append((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
        except OSError:
            found.append((str(path), 0, 0, 0))  # gone: reading it will say so
    return tuple(found)


def _digest(paths: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        try:
            data = path.read_bytes()
        except OSError:
            data = b""
        total.update(str(path).encode() + b"\0" + hashlib.sha256(data).digest())
    return total.hexdigest()
