"""How many rows and bytes an SQLite file may hold, and what goes when it is full. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
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


class Growth:
    """Which tables may be beyond their limits: counting the rows of a full one takes as long as
    hundreds of insertions, so that one into another table must not lead to it."""

    def __init__(self, limits: Limits) -> None:
        self._rest = dict.fromkeys(limits.tables, 0)
        """How many more rows may change until a table may be beyond its limit."""

    def changed(self, sql: str, rows: int) -> None:
        """A statement has changed so many rows. One that moves rows from one part of a table to
        another counts like one that adds them."""
        name = _table_that_grows(sql)
        for table in self._rest:
            if name in (None, table.table):
                self._rest[table] -= rows

    def suspects(self) -> Iterator[TableLimit]:
        """Tables that must be counted."""
        return (table for table, rest in list(self._rest.items()) if rest < 0)

    def counted(self, table: TableLimit, rows: int) -> None:
        """So many rows it has."""
        self._rest[table] = table.rows - rows

    def unknown(self) -> None:
        """Nothing is known any more: all must be counted."""
        self._rest = dict.fromkeys(self._rest, -1)


_GROWS = re.compile(
    r"\s*(?:(?:INSERT|REPLACE)(?:\s+OR\s+\w+)?\s+INTO|UPDATE(?:\s+OR\s+\w+)?)\s+\"?(\w+)"
)


@lru_cache(maxsize=1024)
def _table_that_grows(sql: str) -> str | None:
    """The table; none ("") if the statement only removes; None: any."""
    found = _GROWS.match(sql)
    if found is not None:
        return found[1]
    return "" if sql.lstrip().startswith("DELETE") else None
