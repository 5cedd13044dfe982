"""SQLite files themselves: opened, checked, migrated, cut to their limits. For
`agents.base.storage`."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agents.base.disk_faults import fault_of
from agents.base.store_damage import check_texts, columns_of, damaged, salvage
from agents.base.store_limits import PAGE, Limits

__all__ = ["PAGE", "Schema", "StoreError"]

_FAR_BEYOND: Final = 1.25
"""Times its limit from which on a table is copied without its surplus, which is faster."""
_WAL_BYTES: Final = 1100 * (PAGE + 24)
"""Of a write-ahead log between two checkpoints (1,000 pages)."""
_BATCH: Final = 2000
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
_NO_TEXT: Final = "Could not decode to UTF-8"
"""Python's word for a text whose bytes are none; SQLite itself does not look at them."""


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
            return columns_of(scratch)
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
    return _code(error) in _DAMAGE or str(error).startswith(_NO_TEXT)


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
            raise damaged(str(found))
        prepare(database, path, schema)
        check_texts(database)
        if _is_far_beyond(database, limits):
            database = _rebuilt(database, path, schema, limits)
        cut_to(database, limits)
        database.execute(f"PRAGMA max_page_count={limits.pages}")
    except BaseException:
        database.close()
        raise
    return database


def prepare(database: sqlite3.Connection, path: Path, schema: Schema) -> None:
    """Bring it to this version. Raises: sqlite3.Error, `Foreign`; StoreError."""
    wanted = schema.columns()
    found = columns_of(database)
    if found and wanted and not found.keys() & wanted.keys():
        raise Foreign(f"it has the tables of something else: {', '.join(sorted(found))[:100]}")
    _migrate(database, path, schema)
    database.executescript(schema.statements)
    database.execute(f"PRAGMA user_version={int(schema.version)}")
    found = columns_of(database)
    for table, columns in wanted.items():
        if set(found[table]) != set(columns):
            raise Foreign(f"its table {table} has other columns")


def _migrate(database: sqlite3.Connection, path: Path, schema: Schema) -> None:
    version = schema.version
    found = int(database.execute("PRAGMA user_version").fetchone()[0])
    if found == 0:
        if not columns_of(database):
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
