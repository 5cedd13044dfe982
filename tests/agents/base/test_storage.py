import sqlite3
from pathlib import Path

import pytest

from agents.base.storage import StoreError, open_store, transaction

SCHEMA = "CREATE TABLE IF NOT EXISTS thing (name TEXT, size INTEGER NOT NULL DEFAULT 0);"
TO_2 = {1: "ALTER TABLE thing ADD COLUMN size INTEGER NOT NULL DEFAULT 0"}


def test_a_new_file_has_the_schema_and_its_version(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.sqlite3"
    store = open_store(path, schema=SCHEMA, version=2)
    store.execute("INSERT INTO thing VALUES ('a', 1)")
    store.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    again = open_store(path, schema=SCHEMA, version=2)
    assert again.execute("SELECT * FROM thing").fetchall() == [("a", 1)]
    assert again.execute("PRAGMA user_version").fetchone() == (2,)
    again.close()


def test_an_older_file_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    old = sqlite3.connect(path)  # from before versions were kept
    old.executescript("CREATE TABLE thing (name TEXT); INSERT INTO thing VALUES ('a');")
    old.close()
    store = open_store(path, schema=SCHEMA, version=2, migrations=TO_2)
    assert store.execute("SELECT * FROM thing").fetchall() == [("a", 0)]
    store.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    open_store(path, schema="CREATE TABLE thing (name TEXT);", version=1).close()
    with pytest.raises(StoreError, match=r"a\.sqlite3: .*nonsense"):
        broken = {1: "ALTER TABLE thing ADD COLUMN size INTEGER; nonsense"}
        open_store(path, schema=SCHEMA, version=2, migrations=broken)
    store = open_store(path, schema="", version=1)
    assert [c[1] for c in store.execute("PRAGMA table_info(thing)")] == ["name"]
    store.close()


@pytest.mark.parametrize("version", [1, 3])
def test_a_file_of_another_time_is_refused_and_left_alone(tmp_path: Path, version: int) -> None:
    path = tmp_path / "a.sqlite3"
    open_store(path, schema=SCHEMA, version=version).close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer OntoIDPS" if version == 3 else "too old"):
        open_store(path, schema=SCHEMA, version=2)
    assert path.read_bytes() == before


def test_what_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite3"
    path.write_text("no database, but long enough to be looked at as one" * 10)
    with pytest.raises(StoreError, match=r"a\.sqlite3: file is not a database"):
        open_store(path, schema=SCHEMA, version=1)


def test_a_transaction_is_all_or_nothing_and_may_be_nested(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a.sqlite3", schema=SCHEMA, version=1)
    with pytest.raises(KeyError), transaction(store):
        store.execute("INSERT INTO thing VALUES ('a', 1)")
        with transaction(store):
            store.execute("INSERT INTO thing VALUES ('b', 1)")
        raise KeyError
    assert store.execute("SELECT count(*) FROM thing").fetchone() == (0,)
    with transaction(store):
        store.execute("INSERT INTO thing VALUES ('a', 1)")
    assert store.execute("SELECT count(*) FROM thing").fetchone() == (1,)
    store.close()
