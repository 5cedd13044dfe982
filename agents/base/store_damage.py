"""What is left of a damaged SQLite file, and whether it is one. For `agents.base.store_files`."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from agents.base.store_limits import Limits, TableLimit

KEPT_ASIDE: Final = 2
"""Damaged files that are kept of one store; the oldest go."""
_JSON: Final = frozenset({"cause", "decision", "metadata", "record", "view"})
"""Names of columns whose texts, should they begin like it, are JSON."""
_ATTEMPTS, _FARTHEST_STEP = 5000, 32
"""How often, and by how many rows at most, reading skips forward in a damaged table."""
_SIDE: Final = ("", "-wal", "-shm")


def check_texts(database: sqlite3.Connection) -> None:
    """SQLite's check looks at pages and not at what is written in them. Raises: DatabaseError for a
    text that is no UTF-8, or that begins as JSON and is none."""
    database.create_function("is_text", 1, _is_text, deterministic=True)
    for table, columns in _texts(database).items():
        whole = " || ".join(f"coalesce(\"{c}\", '')" for c in columns)
        wrong = f"NOT is_text(CAST({whole} AS BLOB)) OR {_no_json(columns)}"
        [found] = database.execute(f"SELECT count(*) FROM {table} WHERE {wrong}").fetchone()  # noqa: S608
        if found:
            raise damaged(f"{found} rows of {table} can't be read")


def _no_json(columns: Iterable[str]) -> str:
    ways = [
        f'(substr("{column}", 1, 1) = \'{{\' AND NOT json_valid("{column}"))'
        for column in columns
        if column in _JSON
    ]
    return " OR ".join(ways) or "0"


def _is_text(data: bytes | None) -> bool:
    try:
        (data or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _texts(database: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    """Columns of text by table, where there are any."""
    found = {}
    for table in columns_of(database):
        info = database.execute(f'PRAGMA table_info("{table}")').fetchall()
        if columns := tuple(row[1] for row in info if row[2] == "TEXT"):
            found[table] = columns
    return found


def damaged(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(" ".join(text.split())[:200])
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def columns_of(database: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    names = database.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    return {
        name: tuple(row[1] for row in database.execute(f'PRAGMA table_info("{name}")'))
        for (name,) in names
    }


def set_aside(path: Path) -> Path | None:
    """Rename a damaged file, with its log, to ``NAME.damaged-TIME``; None if that can't be done."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    try:
        for side in reversed(_SIDE):
            with suppress(FileNotFoundError):
                os.replace(f"{path}{side}", f"{aside}{side}")
    except OSError:
        return None
    marked = sorted(
        found
        for found in path.parent.glob(f"{path.name}.damaged-*")
        if not found.name.endswith(("-wal", "-shm"))
    )
    for old in marked[:-KEPT_ASIDE]:
        for side in _SIDE:
            with suppress(OSError):
                Path(f"{old}{side}").unlink(missing_ok=True)
    return aside


def rest_of(path: Path) -> sqlite3.Connection:
    """A file to read from, even on a disk that can't be written to.

    Raises: FileNotFoundError.
    """
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    for how in ("mode=ro", "immutable=1"):
        with suppress(sqlite3.Error):
            database = sqlite3.connect(
                f"{path.absolute().as_uri()}?{how}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            except sqlite3.Error:
                database.close()
                raise
            return database
    return sqlite3.connect(":memory:")


def salvage(source: sqlite3.Connection, target: sqlite3.Connection, limits: Limits) -> int:
    """Copy the rows that can be read and may stay, the best ones; returns how many."""
    saved = 0
    target.execute("PRAGMA foreign_keys=OFF")
    # What is no text stays behind: `_put` can't write it.
    source.text_factory = _loosely
    limited: dict[str, list[TableLimit]] = {}
    for limit in limits.tables:
        limited.setdefault(limit.table, []).append(limit)
    for table, columns in columns_of(target).items():
        try:
            there = set(columns_of(source).get(table, ()))
        except sqlite3.Error:
            continue
        if there == set(columns):
            saved += _copy(source, target, table, columns, limited.get(table, []))
    for table, texts in _texts(target).items():
        saved -= target.execute(f"DELETE FROM {table} WHERE {_no_json(texts)}").rowcount  # noqa: S608
    target.execute("PRAGMA foreign_keys=ON")
    return saved


def _loosely(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _copy(
    source: sqlite3.Connection,
    target: sqlite3.Connection,
    table: str,
    columns: tuple[str, ...],
    limits: list[TableLimit],
) -> int:
    names = ", ".join(f'"{c}"' for c in columns)
    put = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({','.join('?' * len(columns))})"  # noqa: S608
    # By index and not: what one way can't read, another may.
    ways = [(f"SELECT {names} FROM {table} LIMIT :n", 1 << 62)]  # noqa: S608
    if limits:
        ways = [(limit.kept(names), limit.rows) for limit in limits]
        ways += [(f"SELECT {names} FROM {table} LIMIT :n", limits[-1].rows)]  # noqa: S608
    before = target.total_changes
    whole = 0
    target.execute("BEGIN")
    for number, (sql, most) in enumerate(ways):
        if whole and number >= max(1, len(limits)):
            break
        with suppress(sqlite3.Error):
            for row in source.execute(sql, {"n": most}):
                _put(target, put, row)
            whole += 1
    if not whole:
        for row in _readable(source, f"SELECT rowid, {names} FROM {table}"):  # noqa: S608
            _put(target, put, row)
    target.execute("COMMIT")
    return target.total_changes - before


def _put(target: sqlite3.Connection, sql: str, row: tuple[object, ...]) -> None:
    with suppress(sqlite3.IntegrityError, sqlite3.InterfaceError, UnicodeEncodeError):
        target.execute(sql, row)


def _readable(source: sqlite3.Connection, sql: str) -> Iterator[tuple[object, ...]]:
    """The rows of a table between its damaged pages."""
    last, step = 0, 1
    for _ in range(_ATTEMPTS):
        try:
            for row in source.execute(f"{sql} WHERE rowid > ? ORDER BY rowid", (last,)):
                last, step = int(row[0]), 1
                yield row[1:]
        except sqlite3.DatabaseError:
            last, step = last + step, min(2 * step, _FARTHEST_STEP)
        else:
            return
