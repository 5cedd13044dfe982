"""Alerts on disk, so that a restart loses neither an unread alert nor the scan of an hour ago.

A message is acknowledged only after its alerts are in here. SQLite in WAL mode with
``synchronous=NORMAL``: a commit survives the death of the process.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from ontology.fragments import FragmentError, decode, encode
from ontology.records import Alert

logger = logging.getLogger(__name__)

CAPACITY = 50_000
"""Alerts kept; of those already reasoned about, the oldest go first."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS alert (
    id TEXT PRIMARY KEY, end_us INTEGER NOT NULL, count INTEGER NOT NULL, done INTEGER NOT NULL,
    fragment TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alert_by_end ON alert (done, end_us);
"""


class Journal:
    """Received alerts, as they came. Use from one thread; `close` it.

    Raises: sqlite3.Error, OSError if the file can't be used.
    """

    def __init__(self, path: Path, *, capacity: int = CAPACITY) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._capacity = capacity
        self._store = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        self._store.execute("PRAGMA journal_mode=WAL")
        self._store.execute("PRAGMA synchronous=NORMAL")
        self._store.executescript(_SCHEMA)

    def close(self) -> None:
        """Release the file."""
        self._store.close()

    def add(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Store alerts; answers those that weren't here yet or grew since, in order."""
        new = []
        self._store.execute("BEGIN")
        try:
            for alert in alerts:
                cursor = self._store.execute(
                    "INSERT INTO alert VALUES (?, ?, ?, 0, ?) ON CONFLICT (id) DO UPDATE SET"
                    " end_us = excluded.end_us, count = excluded.count, done = 0,"
                    " fragment = excluded.fragment WHERE excluded.count > count",
                    (alert.id, alert.end_us, alert.count, encode([alert])),
                )
                if cursor.rowcount:
                    new.append(alert)
        except BaseException:
            self._store.execute("ROLLBACK")
            raise
        self._store.execute("COMMIT")
        return new

    def done(self, ids: Iterable[str]) -> None:
        """These were reasoned about, and what followed is in the outbox."""
        self._store.execute("BEGIN")
        self._store.executemany("UPDATE alert SET done = 1 WHERE id = ?", [(i,) for i in ids])
        self._store.execute("COMMIT")

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
        """Forget what ended before that time or is beyond the capacity, but nothing undone."""
        cursor = self._store.execute(
            "DELETE FROM alert WHERE done = 1 AND (end_us < ? OR id IN ("
            "SELECT id FROM alert WHERE done = 1 ORDER BY end_us DESC, id LIMIT -1 OFFSET ?))",
            (before_us, self._capacity),
        )
        return cursor.rowcount
