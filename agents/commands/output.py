"""Files that commands write: what can't be written is said before the work, not after it."""

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
