"""Alerts on disk, so that a restart loses neither an unread alert nor the scan of an hour ago; and
what was concluded of scenarios, so that it loses no case.

A message is acknowledged only after its alerts are in here. SQLite in WAL mode with
``synchronous=NORMAL``: a commit survives the death of the process.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from agents.base.storage import open_store, transaction
from agents.correlation.scenario_memory import Row
from ontology.fragments import FragmentError, decode, encode
from ontology.records import Alert

logger = logging.getLogger(__name__)

CAPACITY = 50_000
"""Alerts kept; of those already reasoned about, the oldest go first. As many conclusions."""
VERSION = 2
"""Of the schema; the first one had alerts alone."""

_ALERTS = """
CREATE TABLE IF NOT EXISTS alert (
    id TEXT PRIMARY KEY, end_us INTEGER NOT NULL, count INTEGER NOT NULL, done INTEGER NOT NULL,
    fragment TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alert_by_end ON alert (done, end_us);
"""
# Kinds are those of `agents.correlation.scenario_memory.Row`.
_CONCLUSIONS = """
CREATE TABLE IF NOT EXISTS conclusion (
    kind TEXT NOT NULL, subject TEXT NOT NULL, object TEXT NOT NULL, value TEXT NOT NULL,
    seen_us INTEGER NOT NULL, PRIMARY KEY (kind, subject, object)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS conclusion_by_time ON conclusion (seen_us);
"""


class Journal:
    """Received alerts, as they came, and conclusions. Use from one thread; `close` it.

    Raises: StoreError if the file can't be used.
    """

    def __init__(self, path: Path, *, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._store = open_store(
            path,
            schema=_ALERTS + _CONCLUSIONS,
            version=VERSION,
            migrations={1: _CONCLUSIONS},
        )

    def close(self) -> None:
        """Release the file."""
        self._store.close()

    def add(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Store alerts; answers those that weren't here yet or grew since, in order."""
        new = []
        with transaction(self._store):
            for alert in alerts:
                cursor = self._store.execute(
                    "INSERT INTO alert VALUES (?, ?, ?, 0, ?) ON CONFLICT (id) DO UPDATE SET"
                    " end_us = excluded.end_us, count = excluded.count, done = 0,"
                    " fragment = excluded.fragment WHERE excluded.count > count",
                    (alert.id, alert.end_us, alert.count, encode([alert])),
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
            "SELECT id, fragment FROM alert WHERE done = ? ORDER BY end_us, id", (done,)
        )
        found = []
        for alert_id, fragment in rows.fetchall():
            try:
                found += [r for r in decode(fragment) if isinstance(r, Alert)]
            except FragmentError as e:
                # Written by another version of us; one old alert must not stop the agent.
                logger.warning("alert %s in the journal is unreadable: %s", alert_id, e)
        return found

    def trim(self, before_us: int) -> int:
        """Forget what ended before that time or is beyond the capacity, but nothing undone.

        Answers how many alerts that were.
        """
        self._store.execute(
            "DELETE FROM conclusion WHERE seen_us < ? OR (kind, subject, object) IN ("
            "SELECT kind, subject, object FROM conclusion ORDER BY seen_us DESC LIMIT -1 OFFSET ?)",
            (before_us, self._capacity),
        )
        cursor = self._store.execute(
            "DELETE FROM alert WHERE done = 1 AND (end_us < ? OR id IN ("
            "SELECT id FROM alert WHERE done = 1 ORDER BY end_us DESC, id LIMIT -1 OFFSET ?))",
            (before_us, self._capacity),
        )
        return cursor.rowcount
