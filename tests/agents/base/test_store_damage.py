"""What is read of a damaged file, and what is damage although SQLite sees none."""

import sqlite3
from pathlib import Path

import pytest

from agents.base.store_damage import rest_of, salvage, set_aside
from agents.base.store_files import Schema, connect, is_damage, open_existing, prepare
from agents.base.store_limits import NO_LIMITS

SCHEMA = Schema("CREATE TABLE IF NOT EXISTS thing (id INTEGER PRIMARY KEY, text TEXT);", 1, {})


def made(path: Path, rows: int) -> sqlite3.Connection:
    database = connect(path)
    prepare(database, path, SCHEMA)
    with database:
        database.executemany("INSERT INTO thing (text) VALUES (?)", [("x" * 500,)] * rows)
    return database


def test_a_file_is_set_aside_with_its_log(tmp_path: Path) -> None:
    path = tmp_path / "a"
    database = made(path, 10)
    aside = set_aside(path)
    assert aside is not None and not path.exists()
    assert Path(f"{aside}-wal").exists()
    found = rest_of(aside)
    assert found.execute("SELECT count(*) FROM thing").fetchone() == (10,)
    found.close()
    database.close()


def test_rows_between_damaged_pages_are_found(tmp_path: Path) -> None:
    path = tmp_path / "a"
    made(path, 5000).close()
    data = bytearray(path.read_bytes())
    for page in range(100, len(data) // 4096, 50):
        data[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
    path.write_bytes(data)
    source, target = rest_of(path), made(tmp_path / "b", 0)
    assert 4000 < salvage(source, target, NO_LIMITS) < 5000
    source.close()
    target.close()


CONTENT = Schema(
    "CREATE TABLE IF NOT EXISTS alert (id TEXT PRIMARY KEY, record TEXT, note TEXT) WITHOUT ROWID;",
    1,
    {},
)


def with_content(path: Path) -> sqlite3.Connection:
    database = connect(path)
    prepare(database, path, CONTENT)
    rows = [(f"alert {n:03}", f'{{"number": {n}}}', "{ a note of a person") for n in range(200)]
    with database:
        database.executemany("INSERT INTO alert VALUES (?, ?, ?)", rows)
    return database


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b'{"number": 1\xff7}', id="bytes that are no text"),
        pytest.param(b'{"number" 117 }', id="text that is no JSON"),
    ],
)
def test_a_row_that_cant_be_read_is_damage_that_sqlite_does_not_see(
    tmp_path: Path, bad: bytes
) -> None:
    path = tmp_path / "a"
    database = with_content(path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    good = b'{"number": 117}'
    data = path.read_bytes()
    assert data.count(good) == 1
    path.write_bytes(data.replace(good, bad[: len(good)]))
    probe = sqlite3.connect(path)
    assert probe.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    probe.close()
    with pytest.raises(sqlite3.DatabaseError, match="1 rows of alert can't be read") as told:
        open_existing(path, CONTENT, NO_LIMITS)
    assert is_damage(told.value)

    saved = sqlite3.connect(":memory:", isolation_level=None)
    prepare(saved, path, CONTENT)
    assert salvage(rest_of(path), saved, NO_LIMITS) == 199
    kept = {row[0] for row in saved.execute("SELECT id FROM alert")}
    assert kept == {f"alert {n:03}" for n in range(200) if n != 117}


def test_what_people_write_is_no_damage(tmp_path: Path) -> None:
    with_content(tmp_path / "a").close()
    open_existing(tmp_path / "a", CONTENT, NO_LIMITS).close()


def test_a_text_that_turns_out_to_be_none_is_damage(tmp_path: Path) -> None:
    database = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.OperationalError) as told:
        database.execute("SELECT CAST(x'ff' AS TEXT)").fetchone()
    assert is_damage(told.value)
