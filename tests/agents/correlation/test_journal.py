from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from agents.base.storage import StoreError
from agents.correlation.journal import CAPACITY, Journal
from agents.correlation.scenario_memory import Row
from ontology.fragments import encode
from ontology.records import Alert


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "alerts.sqlite3"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    opened = Journal(path, capacity=5)
    yield opened
    opened.close()


def alert(number: int) -> Alert:
    return Alert(
        id=f"urn:uuid:00000000-0000-4000-8000-{number:012x}",
        classification="SynScan",
        source=ip_address("2001:db8::7"),
        target=ip_address("198.51.100.5"),
        protocol=6,
        begin_us=number,
        end_us=number,
        confidence=0.5,
        verified_source=False,
        sensor="sensor.gw1@x",
        analyzer="analyzer.gw1@x",
        explanation='"quoted"\n',
    )


def test_what_is_stored_survives_and_tells_done_from_undone(journal: Journal, path: Path) -> None:
    alerts = [alert(i) for i in range(4)]
    assert journal.add(alerts) == alerts
    journal.done([alerts[1].id])
    again = Journal(path)
    assert again.read(done=False) == [alerts[0], alerts[2], alerts[3]]
    assert again.read(done=True) == [alerts[1]]
    again.close()


def test_an_alert_is_stored_once(journal: Journal) -> None:
    journal.add([alert(1)])
    journal.done([alert(1).id])
    assert journal.add([alert(1), alert(2)]) == [alert(2)]
    assert journal.read(done=True) == [alert(1)]


def test_beyond_its_room_the_oldest_done_go_first(journal: Journal) -> None:
    journal.add([alert(0)])
    for i in range(1, 20):
        journal.add([alert(i)])
        journal.done([alert(i).id])
        assert len(journal.read(done=True)) <= 5
    assert journal.read(done=False) == [alert(0)]
    assert [a.end_us for a in journal.read(done=True)] == [16, 17, 18, 19]
    assert journal.forget(before_us=18) == 2
    assert [a.end_us for a in journal.read(done=True)] == [18, 19]
    assert journal.read(done=False) == [alert(0)]


def test_of_what_is_undone_verified_sources_stay_the_longest(journal: Journal) -> None:
    verified = [replace(alert(i), verified_source=True) for i in range(3)]
    journal.add(verified)
    for i in range(3, 40):
        journal.add([alert(i)])
    assert journal.read(done=False) == [*verified, alert(38), alert(39)]
    assert journal.dropped == 35


def test_a_journal_that_had_outgrown_its_room_is_cut_at_start(path: Path) -> None:
    """As by version 2, which had 217,240 rows after a flood of 75 s."""
    path.parent.mkdir()
    old = sqlite3.connect(path)
    old.executescript(
        "CREATE TABLE alert (id TEXT PRIMARY KEY, end_us INTEGER NOT NULL, count INTEGER NOT NULL,"
        " done INTEGER NOT NULL, fragment TEXT NOT NULL) WITHOUT ROWID;"
        "CREATE INDEX alert_by_end ON alert (done, end_us);"
        "CREATE TABLE conclusion (kind TEXT NOT NULL, subject TEXT NOT NULL, object TEXT NOT NULL,"
        " value TEXT NOT NULL, seen_us INTEGER NOT NULL, PRIMARY KEY (kind, subject, object))"
        " WITHOUT ROWID; PRAGMA user_version=2"
    )
    text = encode([alert(1)])
    with old:
        old.executemany(
            "INSERT INTO alert VALUES (?, ?, 1, ?, ?)",
            ((f"{n:036}", n, n % 2, text) for n in range(CAPACITY * 2)),
        )
    old.close()
    before = path.stat().st_size
    journal = Journal(path)
    assert path.stat().st_size < before * 0.7
    found = dict(journal._store.execute("SELECT done, count(*) FROM alert GROUP BY done"))
    assert found == {0: CAPACITY}  # nobody has reasoned about those yet
    journal.close()


def test_an_unreadable_row_does_not_hide_the_others(journal: Journal, path: Path) -> None:
    journal.add([alert(1), alert(2)])
    other = sqlite3.connect(path)
    other.execute("UPDATE alert SET record = 'no turtle' WHERE end_us = 1")
    other.commit()
    other.close()
    assert journal.read(done=False) == [alert(2)]


def row(number: int, value: str = '{"p": "rule"}') -> Row:
    return Row("pair", f"a{number}", f"b{number}", value)


def test_conclusions_are_stored_with_what_was_done_or_not_at_all(
    journal: Journal, path: Path
) -> None:
    journal.add([alert(1)])
    with pytest.raises(sqlite3.Error):
        journal.done([alert(1).id], [row(1), Row("pair", "a", "b", None)])  # type: ignore[arg-type]
    assert journal.read(done=True) == [] and journal.conclusions() == []
    journal.done([alert(1).id], [row(2), row(1)], at_us=5)
    journal.done([], [row(2, '{"q": "rule"}')], at_us=7)
    again = Journal(path)
    assert again.conclusions() == [row(1), row(2, '{"q": "rule"}')]
    again.close()


def test_conclusions_go_beyond_the_room_and_the_horizon(journal: Journal) -> None:
    for number in range(12):
        journal.done([], [row(number)], at_us=number)
    assert journal.conclusions() == [row(number) for number in range(7, 12)]
    journal.forget(before_us=9)
    assert journal.conclusions() == [row(9), row(10), row(11)]


def test_a_file_from_before_there_were_conclusions_is_taken_over(path: Path) -> None:
    path.parent.mkdir()
    old = sqlite3.connect(path)
    old.execute(
        "CREATE TABLE alert (id TEXT PRIMARY KEY, end_us INTEGER NOT NULL, count INTEGER NOT NULL,"
        " done INTEGER NOT NULL, fragment TEXT NOT NULL) WITHOUT ROWID"
    )
    old.execute("INSERT INTO alert VALUES (?, 1, 1, 1, ?)", (alert(1).id, encode([alert(1)])))
    old.commit()
    old.close()
    journal = Journal(path)
    assert journal.read(done=True) == [alert(1)] and journal.conclusions() == []
    journal.done([], [row(1)], at_us=1)
    assert journal.conclusions() == [row(1)]
    journal.close()


def test_a_file_of_a_later_version_is_refused(path: Path) -> None:
    Journal(path).close()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreError, match="newer"):
        Journal(path)
