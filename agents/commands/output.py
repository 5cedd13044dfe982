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


def printable(text: object) -> str:
    """File names and evidence come from strangers: control characters are shown, not obeyed."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in str(text))


def shown(path: Path) -> str:
    """A file's name on one line: a line break in it must not look like a line of ours."""
    return one_line(path)


def one_line(text: object) -> str:
    """`printable`, with line breaks shown as well."""
    return printable(text).replace("\n", "\\n")
