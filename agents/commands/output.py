"""What commands write: files that can't be written are named before the work, not after it; one
thing is no "1 things"."""

from __future__ import annotations

import os
from pathlib import Path


def check_writable(*paths: Path | None) -> None:
    """Refuse names that can't be written to. Nothing is made or changed; None is passed over.

    Raises: ValueError, one line naming the file and the reason.
    """
    for path in paths:
        if path is None:
            continue
        folder = path.parent
        if path.is_dir():
            raise ValueError(f"{path}: is a directory, not a file to write to")
        if not folder.is_dir():
            raise ValueError(f"{path}: there is no folder {folder}")
        if not os.access(path if path.exists() else folder, os.W_OK):
            raise ValueError(f"{path}: not writable")


def plural(count: int, one: str, many: str = "") -> str:
    """``1 alert``, ``2 alerts``; ``many``: where an s won't do."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"
