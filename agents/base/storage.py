"""SQLite files with a schema version and a bound, opened, migrated and written to in one way, which
go on from memory while the disk fails them.

A file is opened in WAL mode with ``synchronous=NORMAL``: what is committed survives the death of
the process, a power cut may take the last commits. The schema's version stands in the file
(``PRAGMA user_version``), so that a newer program can take an older file over, and an older program
refuses a newer file instead of damaging it.

No file outgrows its `Limits`, whatever is written. While the disk is full, read-only or out of
reach, everything goes on in memory, within the same limits; `Database.look` writes it back when
that works again. A damaged file is set aside under another name, and what can be read of it kept.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from agents.base.disk_faults import Faults, Untold
from agents.base.store_damage import rest_of, salvage, set_aside
from agents.base.store_files import (
    PAGE,
    Schema,
    StoreError,
    connect,
    cut_to,
    is_damage,
    is_disk_fault,
    open_existing,
    prepare,
    reserve,
    room_for,
    words_for,
)
from agents.base.store_limits import NO_LIMITS, Growth, Limits

__all__ = ["Database", "Faults", "Rows", "StoreError", "open_store", "transaction"]

LOOK_EVERY_S: Final = 2.0
"""How often `Database.look` should be called."""
_RETRY_LIMIT_S: Final = 30.0
_LAST_PART: Final = 20
"""Transactions that others wait for at the end of a write-back, at most."""
_TOLD_S: Final = 3600.0
"""So long a damaged file that was set aside is shown."""
_CHECK_EVERY: Final = 64
"""Rows changed between two looks at how many bytes are in use."""

_T = TypeVar("_T")
_Statement = tuple[str, Any, bool]
_Values = Sequence[object] | Mapping[str, object]


class Rows:
    """What a statement gave."""

    __slots__ = ("_rows", "lastrowid", "rowcount")

    def __init__(self, rows: list[tuple[Any, ...]], rowcount: int, lastrowid: int | None) -> None:
        self._rows = rows
        self.rowcount = rowcount
        """Rows that were changed."""
        self.lastrowid = lastrowid

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)

    def fetchone(self) -> tuple[Any, ...] | None:
        """The first row."""
        return self._rows[0] if self._rows else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All of them."""
        return self._rows


class Database:
    """One file, for any thread; see the module. Made by `open_store`.

    Raises (all methods): sqlite3.Error for what is wrong with a statement, or when nothing more may
    be dropped and the limit is reached; never for what is wrong with the disk.
    """

    def __init__(self, path: Path, schema: Schema, limits: Limits, faults: Faults) -> None:
        self.path = path
        self._schema = schema
        self._limits = limits
        self._faults = faults
        self._lock = threading.RLock()
        self._looking = threading.Lock()
        self._depth = 0
        self._begun: list[_Statement] = []
        """Statements of the transaction that is open."""
        self._following: list[list[_Statement]] | None = None
        """Transactions since what is being written back was copied."""
        self._in_memory = self._closed = False
        self._retry_s, self._wait_s = 0.0, LOOK_EVERY_S
        self._told_until_s = 0.0
        self._growth = Growth(limits)
        self._since_bytes = 0
        self.dropped = 0
        """Rows that went because a limit was reached."""
        self._db = self._open()
        self._count()
        with self._lock:
            self._hold_limits()

    # ---- use

    @property
    def in_memory(self) -> bool:
        """Whether the file can't be written to just now."""
        return self._in_memory

    @property
    def in_transaction(self) -> bool:
        """Whether `transaction` is open."""
        return self._depth > 0

    def execute(self, sql: str, values: _Values = ()) -> Rows:
        """One statement; all its rows."""
        return self._do(sql, values, many=False)

    def executemany(self, sql: str, values: Iterable[_Values]) -> Rows:
        """One statement for each."""
        return self._do(sql, list(values), many=True)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and nobody else in between; within another one, a part of that one."""
        with self._lock:
            if self._depth:
                yield
                return
            self._begun = []
            self._cured(lambda: self._db.execute("BEGIN IMMEDIATE"))
            self._depth = 1
            try:
                yield
                self._hold_limits()
                self._cured(lambda: self._db.execute("COMMIT"))
                if self._following is not None and self._begun:
                    self._following.append(self._begun)
            except BaseException:
                # A full disk has rolled it back already, and must be what is said.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                self._count()
                raise
            finally:
                self._depth, self._begun = 0, []

    def close(self) -> None:
        """Write back what is only in memory, if that works now, and let go of the file."""
        with self._looking:
            if self._in_memory and not self._closed:
                self._write_back()
            with self._lock:
                self._closed = True
                self._db.close()

    def used_bytes(self) -> int:
        """Bytes in use; the file may have room beside."""
        with self._lock:
            pages = self._pragma("page_count") - self._pragma("freelist_count")
            return pages * self._pragma("page_size")

    # ---- limits

    def _do(self, sql: str, values: Any, *, many: bool) -> Rows:
        with self._lock:
            rows = self._cured(lambda: self._run(sql, values, many=many))
            changes = rows.rowcount
            if changes > 0:
                self._growth.changed(sql, changes)
                self._since_bytes += changes
                self._note((sql, values, many))
                if not self._depth:
                    self._hold_limits()
            return rows

    def _note(self, statement: _Statement) -> None:
        """What has to be done again, should the disk fail before it is committed, or what is being
        written back lack it."""
        if self._depth:
            self._begun.append(statement)
        elif self._following is not None:
            self._following.append([statement])

    def _run(self, sql: str, values: Any, *, many: bool) -> Rows:
        cursor = (self._db.executemany if many else self._db.execute)(sql, values)
        found = cursor.fetchall() if cursor.description else []
        return Rows(found, cursor.rowcount, cursor.lastrowid)

    def _count(self) -> None:
        for table in self._limits.tables:
            self._growth.counted(table, self._rows_of(table.counted))

    def _rows_of(self, sql: str) -> int:
        return int(self._db.execute(sql).fetchone()[0])

    def _hold_limits(self) -> None:
        for table in self._growth.suspects():
            found = self._rows_of(table.counted)
            if found > table.rows:
                self._drop(table.dropping, found - table.rows + table.slack)
                found = self._rows_of(table.counted)
            self._growth.counted(table, found)
        if self._since_bytes >= _CHECK_EVERY:
            self._since_bytes = 0
            self._hold_bytes()

    def _hold_bytes(self) -> None:
        """Drop of the first table that has something left to drop, until there is room again."""
        aim = self._limits.size_bytes - self._limits.size_bytes // 8
        for table in self._limits.tables:
            while self.used_bytes() > aim:
                found = self._rows_of(table.counted)
                if found <= table.least or not self._drop(table.dropping, max(1, found // 20)):
                    break

    def _drop(self, statements: Sequence[str], count: int) -> int:
        gone = 0
        for sql in statements:
            rows = self._cured(partial(self._run, sql, {"n": count}, many=False))
            self._note((sql, {"n": count}, False))
            gone = rows.rowcount
        self.dropped += gone
        return gone

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    # ---- faults

    def _cured(self, step: Callable[[], _T]) -> _T:
        """Do it; after a fault of the disk, in memory."""
        try:
            return step()
        except sqlite3.Error as e:
            if not self._cure(e):
                raise
        return step()

    def _cure(self, error: sqlite3.Error) -> bool:
        """Whether another try makes sense. The transaction that was open is open again."""
        if not (is_disk_fault(error) or is_damage(error)):
            return False
        if self._db.in_transaction:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
        at_limit = (
            words_for(error) == "full"
            and self._pragma("page_count") > self._pragma("max_page_count") * 7 // 8
        )
        made = at_limit and self._make_room()
        if not made and self._in_memory and not is_damage(error):
            return False
        if not made:
            self._go_on_in_memory(error)
        if self._depth:
            self._db.execute("BEGIN IMMEDIATE")
            for sql, values, many in self._begun:
                self._run(sql, values, many=many)
        self._growth.unknown()
        return True

    def _make_room(self) -> bool:
        """Outside of a transaction: a twentieth of the first table that has something to drop."""
        for table in self._limits.tables:
            count = {"n": max(1, self._rows_of(table.counted) // 20)}
            try:
                self._db.execute("BEGIN IMMEDIATE")
                for sql in table.dropping:
                    gone = self._run(sql, count, many=False).rowcount
                self._db.execute("COMMIT")
            except sqlite3.Error:  # the disk is full as well
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                return False
            if gone > 0:
                self.dropped += gone
                self._count()
                return True
        return False

    def _go_on_in_memory(self, error: sqlite3.Error) -> None:
        disk = self._db
        memory = self._new_memory()
        aside, saved = None, 0
        try:
            if is_damage(error):
                raise error
            disk.backup(memory)
        except sqlite3.Error as e:
            memory.close()
            memory = self._new_memory()
            prepare(memory, self.path, self._schema)
            saved = salvage(disk, memory, self._limits)
            disk.close()
            aside = set_aside(self.path) if is_damage(e) else None
        else:
            disk.close()
        self._db, self._in_memory = memory, True
        self._wait_s = LOOK_EVERY_S
        self._retry_s = time.monotonic() + (0.0 if aside else self._wait_s)
        self._count()
        self._tell_fault(error, aside, saved)

    def _tell_fault(self, error: Exception, aside: Path | None = None, saved: int = 0) -> None:
        if aside is None:
            text = (
                f"{self.path}: {words_for(error)}; all goes on from memory until it can be written"
            )
        else:
            # Told for longer than any fault of the disk that comes and goes meanwhile.
            self._told_until_s = time.monotonic() + _TOLD_S
            text = f"{self.path}: was damaged, is set aside as {aside.name}; {saved} rows are saved"
            self._faults.fault(f"{self.path} damaged", text)
            return
        self._faults.fault(str(self.path), text)

    def look(self) -> None:
        """Call it every `LOOK_EVERY_S` seconds, from a thread: writes back what is in memory when
        that works again, keeps room in reserve and gives back what is no longer needed."""
        now = time.monotonic()
        with self._looking:
            if self._closed:
                return
            if self._in_memory:
                if now >= self._retry_s:
                    self._write_back()
                return
            with self._lock:
                if self._told_until_s and now >= self._told_until_s:
                    self._told_until_s = 0.0
                    self._faults.clear(f"{self.path} damaged")
                with suppress(sqlite3.Error, OSError):
                    reserve(self._db, self.path, self._limits.reserve_pages)

    def _write_back(self) -> None:
        """All of memory into the file; others may go on meanwhile, but for the copy and the end."""
        disk: sqlite3.Connection | None = None
        try:
            with self._lock:
                room_for(self.path, self._pragma("page_count") * self._pragma("page_size"))
                disk = connect(self.path)
                snapshot = self._new_memory()
                # A backup of what changes meanwhile would begin anew at each change.
                self._db.backup(snapshot)
                self._following = []
            with closing(snapshot):
                snapshot.backup(disk)
            disk.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            disk.execute(f"PRAGMA max_page_count={self._limits.pages}")
            while self._follow(disk, _LAST_PART):
                pass
            with self._lock:
                self._follow(disk, 0)
                self._db.close()
                self._db, self._in_memory, self._following = disk, False, None
                self._count()
        except (sqlite3.Error, OSError) as e:
            with self._lock:
                self._following = None
            if disk is not None:
                disk.close()
            if isinstance(e, sqlite3.Error) and is_damage(e):
                set_aside(self.path)
            self._wait_s = min(_RETRY_LIMIT_S, self._wait_s * 2)
            self._retry_s = time.monotonic() + self._wait_s
            self._tell_fault(e)
            return
        self._faults.clear(str(self.path))

    def _follow(self, disk: sqlite3.Connection, few: int) -> bool:
        """Do on disk what was done in memory meanwhile, unless it is only a few transactions;
        whether it was more."""
        with self._lock:
            following = self._following or []
            if len(following) <= few:
                return False
            self._following = []
        disk.execute("BEGIN IMMEDIATE")
        for part in following:
            for sql, values, many in part:
                (disk.executemany if many else disk.execute)(sql, values)
        disk.execute("COMMIT")
        return True

    # ---- opening

    def _new_memory(self) -> sqlite3.Connection:
        memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        memory.execute(f"PRAGMA page_size={PAGE}")
        memory.execute("PRAGMA foreign_keys=ON")
        memory.execute(f"PRAGMA max_page_count={self._limits.pages}")
        return memory

    def _open(self) -> sqlite3.Connection:
        """The file, whole and within its limits; else its rows in a new file or in memory.

        Raises: StoreError if it is of a newer program, or of one too old.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            database = open_existing(self.path, self._schema, self._limits)
            with suppress(sqlite3.Error, OSError):
                reserve(database, self.path, self._limits.reserve_pages)
            return database
        except (OSError, sqlite3.Error) as e:
            if not (isinstance(e, OSError) or is_damage(e) or is_disk_fault(e)):
                raise StoreError(f"{self.path}: {e}") from e
            error = e
        if isinstance(error, sqlite3.Error) and is_damage(error):
            return self._open_damaged(error)
        memory = self._new_memory()
        with suppress(FileNotFoundError):
            rest = rest_of(self.path)
            try:
                rest.backup(memory)
            except sqlite3.Error:
                memory.close()
                memory = self._new_memory()
            rest.close()
        prepare(memory, self.path, self._schema)
        cut_to(memory, self._limits)
        self._in_memory = True
        self._retry_s = time.monotonic() + self._wait_s
        self._tell_fault(error)
        return memory

    def _open_damaged(self, error: sqlite3.Error) -> sqlite3.Connection:
        """A new file with what can be read of the old one."""
        aside = set_aside(self.path)
        memory = self._new_memory()
        prepare(memory, self.path, self._schema)
        saved = 0
        # What can't be renamed (read-only) is read where it is, and replaced when that works.
        with suppress(FileNotFoundError, sqlite3.Error):
            rest = rest_of(aside or self.path)
            saved = salvage(rest, memory, self._limits)
            rest.close()
        if aside is None:
            self._in_memory = True
            self._tell_fault(error)
            return memory
        self._tell_fault(error, aside, saved)
        try:
            disk = connect(self.path)
            memory.backup(disk)
            disk.execute(f"PRAGMA max_page_count={self._limits.pages}")
        except (OSError, sqlite3.Error):
            self._in_memory = True
            return memory
        memory.close()
        return disk


def open_store(
    path: Path,
    *,
    schema: str,
    version: int,
    migrations: Mapping[int, str] | None = None,
    limits: Limits = NO_LIMITS,
    faults: Faults | None = None,
) -> Database:
    """Open a file, or make it, bring it to this version and within its limits.

    Blocks: seconds, if it was far beyond its limits.

    Args:
        path: the file; its folder is made if need be (mode 0700), the file gets mode 0600.
        schema: statements that make an empty file one of this version; each must say IF NOT EXISTS.
        version: of the schema, at least 1. A file with tables and without a version is of version
            1: such files were made before versions were kept.
        migrations: version n → statements that make a file of version n one of version n + 1.
        limits: what it may hold.
        faults: told of what is wrong with the disk or the file, and when it is over.

    Raises: StoreError if the file is newer than this program, or too old for it.
    """
    return Database(
        path,
        Schema(schema, version, migrations or {}),
        limits,
        Untold() if faults is None else faults,
    )


def transaction(database: Database) -> AbstractContextManager[None]:
    """`Database.transaction`."""
    return database.transaction()
