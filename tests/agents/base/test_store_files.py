"""What errors mean, what is reserved, and what is read of a damaged file."""

import sqlite3
from pathlib import Path

import pytest

from agents.base.store_damage import salvage
from agents.base.store_files import (
    Schema,
    connect,
    is_damage,
    is_disk_fault,
    prepare,
    reserve,
    room_for,
)
from agents.base.store_limits import Limits, TableLimit

SCHEMA = Schema("CREATE TABLE IF NOT EXISTS thing (id INTEGER PRIMARY KEY, text TEXT);", 1, {})


def made(path: Path, rows: int) -> sqlite3.Connection:
    database = connect(path)
    prepare(database, path, SCHEMA)
    with database:
        database.executemany("INSERT INTO thing (text) VALUES (?)", [("x" * 500,)] * rows)
    return database


@pytest.mark.parametrize(
    ("code", "disk", "damage"),
    [
        (sqlite3.SQLITE_FULL, True, False),
        (sqlite3.SQLITE_READONLY_ROLLBACK, True, False),
        (sqlite3.SQLITE_IOERR_WRITE, True, False),
        (sqlite3.SQLITE_CANTOPEN_ISDIR, True, False),
        (sqlite3.SQLITE_CORRUPT_INDEX, False, True),
        (sqlite3.SQLITE_NOTADB, False, True),
        (sqlite3.SQLITE_ERROR, False, False),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, False, False),
    ],
)
def test_what_sqlite_says(code: int, disk: bool, damage: bool) -> None:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = code
    assert (is_disk_fault(error), is_damage(error)) == (disk, damage)


def test_the_reserve_is_free_room_in_file_and_log(tmp_path: Path) -> None:
    path = tmp_path / "a"
    database = made(path, 10)
    database.execute("PRAGMA max_page_count=4096")
    reserve(database, path, 100)
    assert database.execute("PRAGMA freelist_count").fetchone()[0] >= 100
    assert (tmp_path / "a-wal").stat().st_size >= 1000 * 4096
    size = path.stat().st_size
    for _ in range(5):  # once is enough
        reserve(database, path, 100)
    assert path.stat().st_size == size
    database.close()
    again = connect(path)
    assert again.execute("SELECT count(*) FROM thing").fetchone() == (10,)
    again.close()


def test_room_is_asked_for_before_it_is_needed(tmp_path: Path) -> None:
    room_for(tmp_path / "a", 1000)
    with pytest.raises(OSError, match="No space"):
        room_for(tmp_path / "a", 1 << 60)


def test_the_newest_are_kept_where_not_all_may_stay(tmp_path: Path) -> None:
    source, target = made(tmp_path / "a", 100), made(tmp_path / "b", 0)
    limits = Limits(size_bytes=1 << 20, tables=(TableLimit(table="thing", rows=7),))
    assert salvage(source, target, limits) == 7
    assert target.execute("SELECT min(id) FROM thing").fetchone() == (94,)
    source.close()
    target.close()
