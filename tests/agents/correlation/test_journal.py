from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from agents.base.storage import StoreError
from agents.correlation.journal import Journal
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


def test_trimming_spares_what_is_undone(journal: Journal) -> None:
    journal.add([alert(i) for i in range(20)])
    journal.done([alert(i).id for i in range(1, 20)])
    assert journal.trim(before_us=10) == 14
    assert journal.read(done=False) == [alert(0)]
    assert [a.end_us for a in journal.read(done=True)] == [15, 16, 17, 18, 19]


def test_an_unreadable_row_does_not_hide_the_others(journal: Journal, path: Path) -> None:
    journal.add([alert(1), alert(2)])
    other = sqlite3.connect(path)
    other.execute("UPDATE alert SET fragment = 'no turtle' WHERE end_us = 1")
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


def test_trimming_forgets_conclusions_beyond_the_horizon_and_the_room(journal: Journal) -> None:
    for number in range(12):
        journal.done([], [row(number)], at_us=number)
    journal.trim(before_us=3)
    assert journal.conclusions() == [row(number) for number in range(7, 12)]
    journal.trim(before_us=9)
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
