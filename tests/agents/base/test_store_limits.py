"""Limits as SQL."""

import sqlite3

import pytest

from agents.base.store_limits import PAGE, Growth, Limits, TableLimit


@pytest.fixture
def table() -> sqlite3.Connection:
    found = sqlite3.connect(":memory:")
    found.execute("CREATE TABLE thing (name TEXT PRIMARY KEY, worth INTEGER, at INTEGER)")
    found.executemany(
        "INSERT INTO thing VALUES (?, ?, ?)", [(f"n{n}", n % 2, n) for n in range(10)]
    )
    return found


LIMIT = TableLimit(table="thing", rows=4, worst_first="worth DESC, at", only="at < 8")


def test_the_worst_go(table: sqlite3.Connection) -> None:
    for sql in LIMIT.dropping:
        table.execute(sql, {"n": 5})
    left = [name for (name,) in table.execute("SELECT name FROM thing ORDER BY at")]
    assert left == ["n2", "n4", "n6", "n8", "n9"]
    assert table.execute(LIMIT.counted).fetchone() == (3,)


def test_the_best_are_kept(table: sqlite3.Connection) -> None:
    found = table.execute(LIMIT.kept("name"), {"n": 5}).fetchall()
    assert [name for (name,) in found] == ["n0", "n2", "n4", "n6", "n7"]


def test_rows_without_rowid_are_named_by_their_key() -> None:
    table = sqlite3.connect(":memory:")
    table.execute("CREATE TABLE pair (a, b, at, PRIMARY KEY (a, b)) WITHOUT ROWID")
    table.executemany("INSERT INTO pair VALUES (?, ?, ?)", [(n % 3, n, n) for n in range(9)])
    limit = TableLimit(table="pair", rows=4, worst_first="at", key="(a, b)")
    (sql,) = limit.dropping
    assert table.execute(sql, {"n": 5}).rowcount == 5
    assert [at for (at,) in table.execute("SELECT at FROM pair ORDER BY at")] == [5, 6, 7, 8]


def test_pages() -> None:
    assert Limits(size_bytes=1 << 20).pages == (1 << 20) // PAGE
    assert Limits(size_bytes=1).pages == 32


FULL, PARTS = TableLimit(table="full", rows=100), TableLimit(table="part", rows=10, only="on")
REST = TableLimit(table="part", rows=5, only="NOT on")


@pytest.mark.parametrize(
    ("sql", "rows", "suspects"),
    [
        ("INSERT INTO part (id) VALUES (?)", 5, []),
        ("INSERT OR IGNORE INTO part (id) VALUES (?)", 6, [REST]),
        ("UPDATE part SET on = 0", 11, [PARTS, REST]),
        ("REPLACE INTO full VALUES (?)", 1, [FULL]),
        ("INSERT INTO other VALUES (?)", 1000, []),
        ("DELETE FROM full", 1000, []),
        ("WITH x AS (SELECT 1) INSERT INTO other SELECT * FROM x", 1, [FULL]),
    ],
)
def test_a_full_table_is_counted_when_it_may_have_grown(
    sql: str, rows: int, suspects: list[TableLimit]
) -> None:
    growth = Growth(Limits(size_bytes=1 << 20, tables=(FULL, PARTS, REST)))
    growth.counted(FULL, 100)
    growth.counted(PARTS, 0)
    growth.counted(REST, 0)
    growth.changed(sql, rows)
    assert list(growth.suspects()) == suspects
    growth.unknown()
    assert list(growth.suspects()) == [FULL, PARTS, REST]
