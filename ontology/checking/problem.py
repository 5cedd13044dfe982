"""`Problem`: what a check found wrong, in one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Level = Literal["error", "warning"]
Found = Iterator[tuple[str, str, Level]]
"""(code, message, level) of one rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong where, and what to do about it.

    An *error* keeps a file from being taken over. A *warning* doesn't: agents cope, but the file
    does not do what it seems to, or not in other tools.
    """

    path: Path
    code: str
    """Short name of the kind of problem, ``unknown-term``; stable, for filters and tests."""
    where: str
    """``rule 'ScanThenExploit'``, a term's name; empty for the whole file."""
    message: str
    level: Level = "error"

    def __str__(self) -> str:
        place = f"{self.path}: {self.where}: " if self.where else f"{self.path}: "
        return f"{place}{' '.join(self.message.split())} [{self.level}: {self.code}]"
