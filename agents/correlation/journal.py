"""Alerts on disk, so that a restart loses neither an unread alert nor the scan of an hour ago; and
what was concluded of scenarios, so that it loses no case.

A message is acknowledged only after its alerts are in here. SQLite in WAL mode with
``synchronous=NORMAL``: a commit survives the death of the process.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from pydantic import TypeAdapter

from agents.base.storage import Faults, open_store, transaction
from agents.base.store_limits import Limits, TableLimit
from agents.correlation.scenario_memory import Row
from ontology.fragments import decode
from ontology.records import Alert

logger = logging.getLogger(__name__)

_ALERT = TypeAdapter(Alert)

CAPACITY = 50_000
"""Alerts kept, and as many conclusions. Of alerts those already reasoned about go first, then those
whose source could be forged, each the oldest first."""
SIZE_BYTES = 128 << 20
VERSION = 3
"""Of the schema; the first one had alerts alone, the second no word on their sources."""
_STEP = 500
"""Rows forgotten between two moments in which others may write."""

_ALERTS = """
CREATE TABLE IF NOT EXISTS alert (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, end_us INTEGER NOT NULL,
    count INTEGER NOT NULL, done INTEGER NOT NULL, verified INTEGER NOT NULL,
    record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS alert_by_worth ON alert (done DESC, verified, end_us);
"""
# Kinds are those of `agents.correlation.scenario_memory.Row`.
_CONCLUSIONS = """
CREATE TABLE IF NOT EXISTS conclusion (
    kind TEXT NOT NULL, subject TEXT NOT NULL, object TEXT NOT NULL, value TEXT NOT NULL,
    seen_us INTEGER NOT NULL, PRIMARY KEY (kind, subject, object)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS conclusion_by_time ON conclusion (seen_us);
"""
# Which of the old ones could be forged is not known: none goes for that. Not all of them, or a file
# that had outgrown its bound would take minutes.
_WITH_SOURCES = f"""
ALTER TABLE alert RENAME TO old;
{_ALERTS}
INSERT INTO alert (id, end_us, count, done, verified, record)
    SELECT * FROM (SELECT id, end_us, count, done, 1, fragment FROM old
    ORDER BY done, end_us DESC LIMIT {CAPACITY}) ORDER BY end_us;
DROP TABLE old;
"""  # noqa: S608


class Journal:
    """Received alerts, as they came, and conclusions; for any thread. `close` it.

    Raises: StoreError if the file can't be used.
    """

    def __init__(
        self, path: Path, *, capacity: int = CAPACITY, faults: Faults | None = None
    ) -> None:
        self._store = open_store(
            path,
            schema=_ALERTS + _CONCLUSIONS,
            version=VERSION,
            migrations={1: _CONCLUSIONS, 2: _WITH_SOURCES},
            limits=Limits(
                size_bytes=SIZE_BYTES,
                tables=(
                    TableLimit(
                        table="alert", rows=capacity, worst_first="done DESC, verified, end_us"
                    ),
                    TableLimit(
                        table="conclusion",
                        rows=capacity,
                        worst_first="seen_us",
                        key="(kind, subject, object)",
                    ),
                ),
                reserve_pages=256,
            ),
            faults=faults,
        )

    @property
    def dropped(self) -> int:
        """Rows that had to make room since the start."""
        return self._store.dropped

    def close(self) -> None:
        """Release the file."""
        self._store.close()

    def look(self) -> None:
        """See `agents.base.storage.Database.look`."""
        self._store.look()

    def add(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Store alerts; answers those that weren't here yet or grew since, in order."""
        new = []
        with transaction(self._store):
            for alert in alerts:
                cursor = self._store.execute(
                    "INSERT INTO alert (id, end_us, count, done, verified, record)"
                    " VALUES (?, ?, ?, 0, ?, ?) ON CONFLICT (id) DO UPDATE SET"
                    " end_us = excluded.end_us, count = excluded.count, done = 0,"
                    " verified = excluded.verified, record = excluded.record"
                    " WHERE excluded.count > count",
                    (
                        alert.id,
                        alert.end_us,
                        alert.count,
                        alert.verified_source,
                        _ALERT.dump_json(alert).decode(),
                    ),
                )
                if cursor.rowcount:
                    new.append(alert)
        return new

    def done(self, ids: Iterable[str], conclusions: Iterable[Row] = (), *, at_us: int = 0) -> None:
        """These were reasoned about, and what followed is in the outbox; all or nothing.

        Args:
            conclusions: what was concluded of scenarios, ``at_us`` (epoch microseconds).
        """
        with transaction(self._store):
            self._store.executemany("UPDATE alert SET done = 1 WHERE id = ?", [(i,) for i in ids])
            self._store.executemany(
                "INSERT INTO conclusion VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, subject, object)"
                " DO UPDATE SET value = excluded.value, seen_us = excluded.seen_us",
                [(*row, at_us) for row in conclusions],
            )

    def conclusions(self) -> list[Row]:
        """Stored conclusions, oldest first."""
        rows = self._store.execute(
            "SELECT kind, subject, object, value FROM conclusion"
            " ORDER BY seen_us, kind, subject, object"
        )
        return [Row(*row) for row in rows.fetchall()]

    def read(self, *, done: bool) -> list[Alert]:
        """Stored alerts, in order of their end."""
        rows = self._store.execute(
            "SELECT id, record FROM alert WHERE done = ? ORDER BY end_us, id", (done,)
        )
        found = []
        for alert_id, record in rows.fetchall():
            try:
                found.append(_alert(record))
            except ValueError as e:
                # Written by another version of us; one old alert must not stop the agent.
                logger.warning("alert %s in the journal is unreadable: %s", alert_id, e)
        return found

    def forget(self, before_us: int) -> int:
        """Forget what ended before that time, but nothing undone; answers how many alerts that
        were. Blocks for long; others may go on meanwhile."""
        self._in_steps(
            "DELETE FROM conclusion WHERE (kind, subject, object) IN ("
            "SELECT kind, subject, object FROM conclusion WHERE seen_us < ?"
            " ORDER BY seen_us LIMIT ?)",
            before_us,
        )
        return self._in_steps(
            "DELETE FROM alert WHERE seq IN (SELECT seq FROM alert"
            " WHERE done = 1 AND verified IN (0, 1) AND end_us < ? LIMIT ?)",
            before_us,
        )

    def _in_steps(self, sql: str, before_us: int) -> int:
        gone = 0
        while (step := self._store.execute(sql, (before_us, _STEP)).rowcount) > 0:
            gone += step
        return gone


def _alert(text: str) -> Alert:
    """JSON, which is read ten times as fast as the Turtle that older versions stored.

    Raises: ValueError.
    """
    if text.startswith("{"):
        return _ALERT.validate_json(text)
    (record,) = decode(text)
    if not isinstance(record, Alert):
        raise ValueError(f"a {type(record).__name__}, and no alert")
    return record
