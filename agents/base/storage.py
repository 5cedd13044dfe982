"""SQLite files with a schema version: opened, migrated and written to in one way.

A file is opened in WAL mode with ``synchronous=NORMAL``: what is committed survives the death of
the process, a power cut may take the last commits. The schema's version stands in the file
(``PRAGMA user_version``), so that a newer program can take an older file over, and an older program
refuses a newer file instead of damaging it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class StoreError(RuntimeError):
    """A file that can't be used; the message is one line that names it."""


def open_store(
    path: Path,
    *,
    schema: str,
    version: int,
    migrations: Mapping[int, str] | None = None,
    any_thread: bool = False,
) -> sqlite3.Connection:
    """Open a file, or make it, and bring it to this version.

    Args:
        path: the file; its folder is made if need be (mode 0700), the file gets mode 0600.
        schema: statements that make an empty file one of this version; each must say IF NOT EXISTS.
        version: of the schema, at least 1. A file with tables and without a version is of version
            1: such files were made before versions were kept.
        migrations: version n → statements that make a file of version n one of version n + 1.
        any_thread: whether threads other than this one may use the connection (the caller locks).

    Raises: StoreError if the file is newer than this program, no SQLite file, or out of reach.
    """
    database: sqlite3.Connection | None = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.chmod(0o600)
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=not any_thread)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        database.execute("PRAGMA foreign_keys=ON")
        _migrate(database, path, version, migrations or {})
        database.executescript(schema)
        database.execute(f"PRAGMA user_version={int(version)}")
    except (OSError, sqlite3.Error) as e:
        if database is not None:
            database.close()
        raise StoreError(f"{path}: {e}") from e
    except StoreError:
        if database is not None:
            database.close()
        raise
    return database


def _migrate(
    database: sqlite3.Connection, path: Path, version: int, migrations: Mapping[int, str]
) -> None:
    found = int(database.execute("PRAGMA user_version").fetchone()[0])
    if found == 0:
        tables = database.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'")
        if not tables.fetchone()[0]:
            return
        found = 1
    if found > version:
        raise StoreError(
            f"{path}: written by a newer OntoIDPS (schema {found}, this one knows {version})"
        )
    for step in range(found, version):
        statements = migrations.get(step)
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


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; within another transaction, a part of that one."""
    if database.in_transaction:
        yield
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        # A full disk has rolled it back already, and must be what is said.
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
