"""How many rows and bytes an SQLite file may hold, and what goes when it is full. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

PAGE: Final = 4096
"""Bytes of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLimit:
    """At most so many rows of a table, or of some of them."""

    table: str
    rows: int
    worst_first: str = "rowid"
    """ORDER BY: who goes first; an index should have this order."""
    key: str = "rowid"
    """What names a row; columns in brackets for tables WITHOUT ROWID."""
    only: str = "1"
    """WHERE: the rows that this is about."""
    before: tuple[str, ...] = ()
    """Statements to be carried out before ``:n`` rows go."""
    least: int = 0
    """So many stay when bytes run out: then the next table's turn has come."""

    @property
    def slack(self) -> int:
        """Rows beyond the surplus that go at once, so that it is done rarely."""
        return self.rows // 50

    @property
    def counted(self) -> str:
        """SQL that counts them."""
        return f"SELECT count(*) FROM {self.table} WHERE {self.only}"  # noqa: S608

    @property
    def dropping(self) -> tuple[str, ...]:
        """SQL that drops the ``:n`` worst."""
        chosen = (
            f"SELECT {self.key.strip('()')} FROM {self.table} WHERE {self.only}"  # noqa: S608
            f" ORDER BY {self.worst_first} LIMIT :n"
        )
        return (*self.before, f"DELETE FROM {self.table} WHERE {self.key} IN ({chosen})")  # noqa: S608

    def kept(self, columns: str) -> str:
        """SQL that reads the ``:n`` best, in the order of the table."""
        order = ", ".join(_reversed(part) for part in self.worst_first.split(", "))
        chosen = (
            f"SELECT {self.key.strip('()')} FROM {self.table} WHERE {self.only}"  # noqa: S608
            f" ORDER BY {order} LIMIT :n"
        )
        return f"SELECT {columns} FROM {self.table} WHERE {self.key} IN ({chosen})"  # noqa: S608


def _reversed(part: str) -> str:
    return part.removesuffix(" DESC") if part.endswith(" DESC") else f"{part} DESC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one file.

    What is written to it beside: its write-ahead log of about 4 MiB.
    """

    size_bytes: int
    """Of the file. When seven eighths are in use, rows go."""
    tables: tuple[TableLimit, ...] = field(default=())
    """When bytes run out, rows of the first table go, then of the next."""
    reserve_pages: int = 0
    """Room that is kept for a time in which the disk is full."""

    @property
    def pages(self) -> int:
        """The file's size in pages."""
        return max(32, self.size_bytes // PAGE)


NO_LIMITS: Final = Limits(size_bytes=1 << 40)
"""For files that are read and not written to."""
