"""SQLite files themselves: opened, checked, migrated, cut to their limits, set aside, and what is
left of a damaged one. For `agents.base.storage`."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.base.disk_faults import fault_of
from agents.base.store_limits import PAGE, Limits, TableLimit

__all__ = ["PAGE", "Schema", "StoreError"]

KEPT_ASIDE: Final = 2
"""Damaged files that are kept of one store; the oldest go."""
_FAR_BEYOND: Final = 1.25
"""Times its limit from which on a table is copied without its surplus, which is faster."""
_WAL_BYTES: Final = 1100 * (PAGE + 24)
"""Of a write-ahead log between two checkpoints (1,000 pages)."""
_BATCH: Final = 2000
_ATTEMPTS, _FARTHEST_STEP = 5000, 32
"""How often, and by how many rows at most, reading skips forward in a damaged table."""
_SIDE: Final = ("", "-wal", "-shm")

_FAULTS: Final = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_READONLY: "read-only",
    sqlite3.SQLITE_IOERR: "the disk gives errors",
    sqlite3.SQLITE_CANTOPEN: "can't be opened",
    sqlite3.SQLITE_PERM: "no permission",
    sqlite3.SQLITE_PROTOCOL: "can't be locked",
}
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class StoreError(RuntimeError):
    """A file that can't be used; the message is one line that names it."""


class Foreign(sqlite3.DatabaseError):
    """A database, but none of ours."""

    sqlite_errorcode = sqlite3.SQLITE_NOTADB


@dataclass(frozen=True, slots=True)
class Schema:
    """What is in a file; see `agents.base.storage.open_store`."""

    statements: str
    version: int
    migrations: Mapping[int, str]

    def columns(self) -> dict[str, tuple[str, ...]]:
        """Columns by table."""
        scratch = sqlite3.connect(":memory:")
        try:
            scratch.executescript(self.statements)
            return _columns(scratch)
        finally:
            scratch.close()


# ---- what an error means


def _code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def is_disk_fault(error: BaseException) -> bool:
    """Whether the file can't be written or reached, and nothing is wrong with what is in it."""
    return isinstance(error, OSError) or _code(error) in _FAULTS


def is_damage(error: BaseException) -> bool:
    """Whether what is in the file is no good."""
    return _code(error) in _DAMAGE


def words_for(error: BaseException) -> str:
    """In few words; for both kinds of error."""
    if isinstance(error, OSError):
        return fault_of(error)
    return _FAULTS.get(_code(error), str(error))


# ---- opening


def connect(path: Path) -> sqlite3.Connection:
    """The file, made if need be; its size is not limited yet. Raises: OSError, sqlite3.Error."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        if not path.stat().st_size:
            database.execute(f"PRAGMA page_size={PAGE}")
            database.execute("PRAGMA auto_vacuum=INCREMENTAL")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        database.execute("PRAGMA foreign_keys=ON")
        # A confined process, and one on a full disk, has no folder for temporary files.
        database.execute("PRAGMA temp_store=MEMORY")
    except BaseException:
        database.close()
        raise
    return database


def open_existing(path: Path, schema: Schema, limits: Limits) -> sqlite3.Connection:
    """The file, checked, of this version, within its limits.

    Raises: OSError; sqlite3.Error; StoreError.
    """
    database = connect(path)
    try:
        found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise _damaged(str(found))
        prepare(database, path, schema)
        if _is_far_beyond(database, limits):
            database = _rebuilt(database, path, schema, limits)
        cut_to(database, limits)
        database.execute(f"PRAGMA max_page_count={limits.pages}")
    except BaseException:
        database.close()
        raise
    return database


def _damaged(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(" ".join(text.split())[:200])
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def prepare(database: sqlite3.Connection, path: Path, schema: Schema) -> None:
    """Bring it to this version. Raises: sqlite3.Error, `Foreign`; StoreError."""
    wanted = schema.columns()
    found = _columns(database)
    if found and wanted and not found.keys() & wanted.keys():
        raise Foreign(f"it has the tables of something else: {', '.join(sorted(found))[:100]}")
    _migrate(database, path, schema)
    database.executescript(schema.statements)
    database.execute(f"PRAGMA user_version={int(schema.version)}")
    found = _columns(database)
    for table, columns in wanted.items():
        if set(found[table]) != set(columns):
            raise Foreign(f"its table {table} has other columns")


def _columns(database: sqlite3.Connection) -> dict[str, tuple[str, ...]]:
    names = database.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    return {
        name: tuple(row[1] for row in database.execute(f'PRAGMA table_info("{name}")'))
        for (name,) in names
    }


def _migrate(database: sqlite3.Connection, path: Path, schema: Schema) -> None:
    version = schema.version
    found = int(database.execute("PRAGMA user_version").fetchone()[0])
    if found == 0:
        if not _columns(database):
            return
        found = 1
    if found > version:
        raise StoreError(
            f"{path}: written by a newer OntoIDPS (schema {found}, this one knows {version})"
        )
    for step in range(found, version):
        statements = schema.migrations.get(step)
        if statements is None:
            raise StoreError(f"{path}: schema {step} is too old to be taken over")
        # executescript commits what is open, so that the transaction has to be part of the script.
        try:
            database.executescript(
                f"BEGIN IMMEDIATE; {statements}; PRAGMA user_version={step + 1}; COMMIT;"
            )
        except sqlite3.Error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise


# ---- limits


def _size(database: sqlite3.Connection) -> int:
    pages = int(database.execute("PRAGMA page_count").fetchone()[0])
    return pages * int(database.execute("PRAGMA page_size").fetchone()[0])


def _is_far_beyond(database: sqlite3.Connection, limits: Limits) -> bool:
    free, pages, gives_back = (
        int(database.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("freelist_count", "page_count", "auto_vacuum")
    )
    if _size(database) > limits.size_bytes or (not gives_back and free > pages // 4):
        return True
    counts = ((database.execute(t.counted).fetchone()[0], t.rows) for t in limits.tables)
    return any(found > _FAR_BEYOND * rows for found, rows in counts)


def _rebuilt(
    database: sqlite3.Connection, path: Path, schema: Schema, limits: Limits
) -> sqlite3.Connection:
    """A new file in its place, with what may stay. Raises: OSError, sqlite3.Error."""
    fresh = path.with_name(f".{path.name}.new")
    for side in _SIDE:
        fresh.with_name(fresh.name + side).unlink(missing_ok=True)
    target = connect(fresh)
    try:
        prepare(target, fresh, schema)
        salvage(database, target, limits)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        target.close()  # its log goes with it
        for side in _SIDE[1:]:
            path.with_name(path.name + side).unlink(missing_ok=True)
        os.replace(fresh, path)
    except BaseException:
        target.close()
        for side in _SIDE:
            fresh.with_name(fresh.name + side).unlink(missing_ok=True)
        raise
    return connect(path)


def cut_to(database: sqlite3.Connection, limits: Limits) -> None:
    """Drop what is beyond, in steps. Raises: sqlite3.Error."""
    for table in limits.tables:
        while (surplus := int(database.execute(table.counted).fetchone()[0]) - table.rows) > 0:
            database.execute("BEGIN IMMEDIATE")
            for sql in table.dropping:
                gone = database.execute(sql, {"n": min(surplus, _BATCH)}).rowcount
            database.execute("COMMIT")
            if gone <= 0:
                break


def reserve(database: sqlite3.Connection, path: Path, pages: int) -> None:
    """Have ``pages`` free in the file, and its log as long as it gets: what is written over needs
    no new room on the disk. Gives back what is free beyond that.

    Raises: OSError, sqlite3.Error: there is no room.
    """
    if pages <= 0:
        return
    with suppress(FileNotFoundError):
        log = os.open(f"{path}-wal", os.O_RDWR | os.O_CLOEXEC)
        try:
            if os.fstat(log).st_size < _WAL_BYTES:
                os.posix_fallocate(log, 0, _WAL_BYTES)
        finally:
            os.close(log)
    free = int(database.execute("PRAGMA freelist_count").fetchone()[0])
    used = int(database.execute("PRAGMA page_count").fetchone()[0]) - free
    most = int(database.execute("PRAGMA max_page_count").fetchone()[0])
    if free < pages // 2 and used + pages < most * 7 // 8:
        database.execute("BEGIN IMMEDIATE")
        try:
            database.execute("CREATE TABLE reserve (filler BLOB)")
            database.execute("INSERT INTO reserve VALUES (zeroblob(?))", (pages * PAGE,))
            database.execute("DROP TABLE reserve")
            database.execute("COMMIT")
        except sqlite3.Error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    elif free > max(4 * pages, used):
        surplus = min(_BATCH, free - max(2 * pages, used // 2))
        database.executescript(f"PRAGMA incremental_vacuum({surplus})")  # steps through it


def room_for(path: Path, size: int) -> None:
    """Raises: OSError if a file of ``size`` bytes can't be written here, with its log."""
    found = os.statvfs(path.parent)
    if found.f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
    free = (found.f_bfree if os.geteuid() == 0 else found.f_bavail) * found.f_frsize
    there = path.stat().st_size if path.exists() else 0
    if free < size + max(0, size - there) + _WAL_BYTES // 4:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


# ---- damage


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
    limited: dict[str, list[TableLimit]] = {}
    for limit in limits.tables:
        limited.setdefault(limit.table, []).append(limit)
    for table, columns in _columns(target).items():
        try:
            there = set(_columns(source).get(table, ()))
        except sqlite3.Error:
            continue
        if there == set(columns):
            saved += _copy(source, target, table, columns, limited.get(table, []))
    target.execute("PRAGMA foreign_keys=ON")
    return saved


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
    with suppress(sqlite3.IntegrityError, sqlite3.InterfaceError):
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
