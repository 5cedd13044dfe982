import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.base.storage import Database, StoreError, open_store, transaction
from agents.base.store_limits import NO_LIMITS, Limits, TableLimit
from tests.agents.base.small_disk import run_on_small_disk

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


# ---- limits


class Told(dict[str, str]):
    """Faults that hold, and all that were ever told."""

    def __init__(self) -> None:
        super().__init__()
        self.ever: list[str] = []

    def fault(self, name: str, reason: str) -> None:
        self[name] = reason
        self.ever.append(reason)

    def clear(self, name: str) -> None:
        self.pop(name, None)


ROWS = Limits(size_bytes=1 << 22, tables=(TableLimit(table="thing", rows=100),))


def opened(path: Path, limits: Limits = ROWS, faults: Told | None = None) -> Database:
    return open_store(path, schema=SCHEMA, version=1, limits=limits, faults=faults)


def rows(database: Database) -> int:
    found = database.execute("SELECT count(*) FROM thing").fetchone()
    assert found is not None
    return int(found[0])


@pytest.mark.parametrize("at_once", [1, 7, 100, 250])
def test_a_bound_in_rows_holds_after_each_insertion(tmp_path: Path, at_once: int) -> None:
    database = opened(tmp_path / "a")
    for first in range(0, 1000, at_once):
        with database.transaction():
            values = [(str(n), n) for n in range(first, first + at_once)]
            database.executemany("INSERT INTO thing VALUES (?, ?)", values)
        assert rows(database) <= 100
    newest = database.execute("SELECT max(size) FROM thing").fetchone()
    assert newest == (first + at_once - 1,)
    assert database.dropped == first + at_once - rows(database)
    database.close()


def test_a_bound_in_rows_holds_without_a_transaction(tmp_path: Path) -> None:
    database = opened(tmp_path / "a")
    for n in range(500):
        database.execute("INSERT INTO thing VALUES ('x', ?)", (n,))
        assert rows(database) <= 100
    database.close()


@pytest.mark.parametrize("length", [100, 3_000, 60_000])
def test_a_bound_in_bytes_holds(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a"
    limits = Limits(size_bytes=1 << 20, tables=(TableLimit(table="thing", rows=1 << 30),))
    database = opened(path, limits)
    for n in range(3_000_000 // length):
        database.execute("INSERT INTO thing VALUES (?, ?)", ("x" * length, n))
        assert path.stat().st_size <= 1 << 20
    assert database.execute("SELECT max(size) FROM thing").fetchone() == (n,)
    assert database.used_bytes() > 1 << 19
    database.close()


def test_what_is_dearer_goes_later(tmp_path: Path) -> None:
    limits = Limits(
        size_bytes=1 << 18,
        tables=(
            TableLimit(table="thing", rows=1 << 30, only="name = 'cheap'", least=0),
            TableLimit(table="thing", rows=1 << 30, only="name <> 'cheap'"),
        ),
    )
    database = opened(tmp_path / "a", limits)
    database.execute("INSERT INTO thing VALUES ('dear', 1)")
    for n in range(20_000):
        database.execute("INSERT INTO thing VALUES ('cheap', ?)", (n,))
    assert database.execute("SELECT size FROM thing WHERE name = 'dear'").fetchall() == [(1,)]
    assert database.dropped
    database.close()


@pytest.mark.parametrize("times", [1.1, 5])
def test_a_file_that_outgrew_its_bounds_is_cut_when_it_is_opened(
    tmp_path: Path, times: float
) -> None:
    path = tmp_path / "a"
    database = opened(path, NO_LIMITS)
    values = [("x" * 500, n) for n in range(int(2000 * times))]
    with database.transaction():
        database.executemany("INSERT INTO thing VALUES (?, ?)", values)
    database.close()
    limits = Limits(size_bytes=1 << 21, tables=(TableLimit(table="thing", rows=2000),))
    database = opened(path, limits)
    assert rows(database) == 2000 and path.stat().st_size < 1 << 21
    assert database.execute("SELECT max(size) FROM thing").fetchone() == (len(values) - 1,)
    assert list(tmp_path.glob(".a*")) == []
    database.close()


def test_a_transaction_that_nothing_makes_room_for_is_refused_whole(tmp_path: Path) -> None:
    database = opened(tmp_path / "a", Limits(size_bytes=1 << 18))
    with pytest.raises(sqlite3.Error, match="full"), database.transaction():
        for n in range(1000):
            database.execute("INSERT INTO thing VALUES (?, ?)", ("x" * 1000, n))
    assert rows(database) == 0
    database.execute("INSERT INTO thing VALUES ('small', 1)")
    database.close()


def test_bytes_fall_when_rows_go(tmp_path: Path) -> None:
    path = tmp_path / "a"
    database = opened(path, Limits(size_bytes=1 << 25, reserve_pages=16))
    with database.transaction():
        database.executemany("INSERT INTO thing VALUES (?, 1)", [("x" * 1000,)] * 10_000)
    database.look()
    database.execute("DELETE FROM thing WHERE rowid > 100")
    for _ in range(5):
        database.look()
    database.close()
    assert path.stat().st_size < 1 << 20


# ---- a disk that fails

_USE = """
from agents.base.storage import open_store
from agents.base.store_limits import Limits, TableLimit
from tests.agents.base.test_storage import SCHEMA, Told

told = Told()
limits = Limits(
    size_bytes=16 << 20, tables=(TableLimit(table="thing", rows=3000),), reserve_pages=32
)
def opened():
    return open_store(disk / "a", schema=SCHEMA, version=1, limits=limits, faults=told)
def put(database, *numbers):
    with database.transaction():
        for n in numbers:
            database.execute("INSERT INTO thing VALUES (?, ?)", ("x" * 3000, n))
def found(database):
    return [n for (n,) in database.execute("SELECT size FROM thing ORDER BY size")]
def look(database):
    database._retry_s = 0
    database.look()
"""


def test_on_a_full_disk_the_reserve_is_used_first_then_memory(tmp_path: Path) -> None:
    run_on_small_disk(
        tmp_path,
        _USE
        + """
database = opened()
put(database, *range(100))
fill()
put(database, *range(100, 120))
assert not database.in_memory and not told
for n in range(120, 3500, 20):
    put(database, *range(n, n + 20))
    assert found(database)[-1] == n + 19
assert database.in_memory and "full" in told[str(disk / "a")], told
assert len(found(database)) <= 3000
look(database)
assert database.in_memory and told
before = found(database)
empty()
look(database)
assert not database.in_memory and not told
assert found(database) == before
put(database, 9999)
assert found(database) == [*before, 9999]
database.close()
again = opened()
assert found(again) == [*before, 9999]
""",
        mib=40,
    )


def test_a_file_is_opened_on_a_full_disk_and_on_one_that_becomes_writable(tmp_path: Path) -> None:
    run_on_small_disk(
        tmp_path,
        _USE
        + """
fill()
database = opened()
assert database.in_memory and "full" in told[str(disk / "a")], told
put(database, 1, 2)
empty()
look(database)
assert not told
database.close()
fill()
database = opened()
assert found(database) == [1, 2]
database.close()
empty()
remount("ro")
database = opened()
assert "read-only" in told[str(disk / "a")]
put(database, 3)
assert found(database) == [1, 2, 3]
look(database)
assert database.in_memory
remount("rw")
database.close()
again = opened()
assert found(again) == [1, 2, 3] and not again.in_memory
""",
    )


def test_a_transaction_in_the_middle_of_which_the_disk_fills_is_whole(tmp_path: Path) -> None:
    run_on_small_disk(
        tmp_path,
        _USE  # noqa: S608
        + """
database = opened()
put(database, 0)
with database.transaction():
    for n in range(1, 2001):
        database.execute("INSERT INTO thing VALUES (?, ?)", ("x" * 3000, n))
        if n == 1000:
            fill()
assert database.in_memory
assert found(database) == list(range(2001))
try:
    with database.transaction():
        database.execute("DELETE FROM thing")
        1 / 0
except ZeroDivisionError:
    pass
assert found(database) == list(range(2001))
empty()
look(database)
assert found(database) == list(range(2001)) and not database.in_memory
""",
        mib=40,
    )


def test_others_go_on_while_it_is_written_back(tmp_path: Path) -> None:
    run_on_small_disk(
        tmp_path,
        _USE
        + """
import threading, time
limits = Limits(size_bytes=64 << 20, reserve_pages=32)
database = opened()
fill()
put(database, *range(10_000))
assert database.in_memory
empty()
numbers, over = [], threading.Event()
def writing():
    n = 10_000
    while not over.is_set():
        put(database, n)
        numbers.append(n)
        n += 1
        time.sleep(0.001)
thread = threading.Thread(target=writing)
thread.start()
look(database)
over.set()
thread.join()
assert not database.in_memory, told
assert found(database) == [*range(10_000), *numbers]
database.close()
assert found(opened()) == [*range(10_000), *numbers]
""",
        mib=128,
    )


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    run_on_small_disk(
        tmp_path,
        _USE
        + """
import resource
database = opened()
put(database, 1)
held = []
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (32, hard))
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
put(database, 2)  # what is open stays open
other = open_store(disk / "b", schema=SCHEMA, version=1, limits=limits, faults=told)
put(other, 3)
assert not database.in_memory and other.in_memory
assert "Too many open files" in told[str(disk / "b")], told
for one in held:
    os.close(one)
look(other)
assert not other.in_memory and not told
assert found(other) == [3] and found(database) == [1, 2]
""",
    )


# ---- damage


def flip(data: bytearray) -> None:
    for n in range(4096 + 100, len(data), 8192):
        data[n] ^= 0xFF


def halve(data: bytearray) -> None:
    del data[len(data) // 2 // 4096 * 4096 :]


def zero_head(data: bytearray) -> None:
    data[:4096] = bytes(4096)


def zero_middle(data: bytearray) -> None:
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 8192] = bytes(8192)


def shorten(data: bytearray) -> None:
    del data[-1000:]


@pytest.mark.parametrize(
    ("spoil", "least"),
    [(flip, 0), (halve, 0), (zero_head, 0), (zero_middle, 500), (shorten, 500)],
)
def test_a_damaged_file_is_set_aside_and_what_can_be_read_is_kept(
    tmp_path: Path, spoil: Callable[[bytearray], None], least: int
) -> None:
    path, told = tmp_path / "a", Told()
    limits = Limits(size_bytes=1 << 24, tables=(TableLimit(table="thing", rows=1 << 20),))
    database = opened(path, limits)
    with database.transaction():
        database.executemany(
            "INSERT INTO thing VALUES (?, ?)", [("x" * 200, n) for n in range(2000)]
        )
    database.close()
    data = bytearray(path.read_bytes())
    spoil(data)
    path.write_bytes(data)
    database = opened(path, limits, told)
    aside = [p for p in tmp_path.iterdir() if ".damaged-" in p.name and p.name[-1].isdigit()]
    if aside:  # a flipped byte of a text is not seen
        assert aside[0].name in told[f"{path} damaged"]
    else:
        assert spoil is flip
    assert rows(database) >= least
    database.execute("INSERT INTO thing VALUES ('new', 9999)")
    assert not database.in_memory
    database.close()
    database = opened(path, limits)
    assert database.execute("SELECT 1 FROM thing WHERE size = 9999").fetchall() == [(1,)]
    database.close()


def test_damage_that_shows_later_is_mended_in_memory_and_then_on_disk(tmp_path: Path) -> None:
    path, told = tmp_path / "a", Told()
    limits = Limits(size_bytes=1 << 24, tables=(TableLimit(table="thing", rows=1 << 20),))
    database = opened(path, limits, told)
    with database.transaction():
        database.executemany(
            "INSERT INTO thing VALUES (?, ?)", [("x" * 200, n) for n in range(5000)]
        )
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.execute("PRAGMA cache_size=1")
    with path.open("r+b") as file:  # under its hands
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(bytes(4096 * 3))
    database.execute("SELECT sum(length(name)) FROM thing")
    assert rows(database) > 1000
    with database.transaction():
        database.execute("INSERT INTO thing VALUES ('new', 9999)")
    assert "was damaged" in told[f"{path} damaged"]
    database.look()
    assert not database.in_memory
    # A fault of the disk that comes and goes is over when it is over.
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    database._go_on_in_memory(full)
    assert "full" in told[str(path)]
    database._retry_s = 0.0
    database.look()
    assert not database.in_memory and list(told) == [f"{path} damaged"]
    database.close()
    database = opened(path, limits)
    assert rows(database) > 1000
    assert database.execute("SELECT 1 FROM thing WHERE size = 9999").fetchall() == [(1,)]
    database.close()


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_row_that_turns_out_to_be_no_text_goes_alone(tmp_path: Path, in_memory: bool) -> None:
    """Also while the disk fails, when nobody could look at the file."""
    told = Told()
    database = opened(tmp_path / "a", faults=told)
    database.executemany("INSERT INTO thing VALUES (?, ?)", [(f"name {n}", n) for n in range(50)])
    if in_memory:
        full = sqlite3.OperationalError("database or disk is full")
        full.sqlite_errorcode = sqlite3.SQLITE_FULL
        database._go_on_in_memory(full)
    database._db.execute("UPDATE thing SET name = CAST(x'ff' AS TEXT) WHERE size = 7")
    found = database.execute("SELECT name, size FROM thing ORDER BY size").fetchall()
    assert [size for _, size in found] == [n for n in range(50) if n != 7]
    assert "was damaged" in told[f"{tmp_path / 'a'} damaged"]
    database.close()


@pytest.mark.parametrize("version", [0, 1, 7])
def test_somebody_elses_database_is_set_aside(tmp_path: Path, version: int) -> None:
    path, told = tmp_path / "a", Told()
    other = sqlite3.connect(path)
    other.executescript(f"CREATE TABLE bookmark (url TEXT); PRAGMA user_version={version}")
    other.close()
    database = opened(path, faults=told)
    database.execute("INSERT INTO thing VALUES ('a', 1)")
    assert len(told) == 1 and rows(database) == 1
    database.close()
    (aside,) = (p for p in tmp_path.iterdir() if ".damaged-" in p.name and p.name[-1].isdigit())
    kept = sqlite3.connect(aside)
    assert kept.execute("SELECT count(*) FROM bookmark").fetchone() == (0,)
    kept.close()


def test_two_damaged_files_are_kept_at_most(tmp_path: Path) -> None:
    for _ in range(5):
        (tmp_path / "a").write_bytes(b"no database " * 100)
        opened(tmp_path / "a").close()
    assert (
        len([p for p in tmp_path.iterdir() if ".damaged-" in p.name and p.name[-1].isdigit()]) == 2
    )
