"""Alerts on disk, so that a restart loses neither an unread alert nor the scan of an hour ago; and
what was concluded of scenarios, so that it loses no case.

A message is acknowledged only after its alerts are in here. SQLite in WAL mode with
``synchronous=NORMAL``: a commit survives the death of the process.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from agents.correlation.conclusions import Row
from ontology.fragments import FragmentError, decode, encode
from ontology.records import Alert

logger = logging.getLogger(__name__)

CAPACITY = 50_000
"""Alerts kept; of those already reasoned about, the oldest go first. As many conclusions."""
VERSION = 2
"""Of the file's layout, in its ``user_version``: 1 (written as 0) had alerts alone."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS alert (
    id TEXT PRIMARY KEY, end_us INTEGER NOT NULL, count INTEGER NOT NULL, done INTEGER NOT NULL,
    fragment TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alert_by_end ON alert (done, end_us);
"""
# Kinds are those of `agents.correlation.conclusions.Row`.
_CONCLUSIONS = """
CREATE TABLE IF NOT EXISTS conclusion (
    kind TEXT NOT NULL, subject TEXT NOT NULL, object TEXT NOT NULL, value TEXT NOT NULL,
    seen_us INTEGER NOT NULL, PRIMARY KEY (kind, subject, object)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS conclusion_by_time ON conclusion (seen_us);
"""


class Journal:
    """Received alerts, as they came, and conclusions. Use from one thread; `close` it.

    Raises: sqlite3.Error, OSError if the file can't be used; ValueError if a later version of us
        has written it.
    """

    def __init__(self, path: Path, *, capacity: int = CAPACITY) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._capacity = capacity
        self._store = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        self._store.execute("PRAGMA journal_mode=WAL")
        self._store.execute("PRAGMA synchronous=NORMAL")
        (version,) = self._store.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            self._store.close()
            raise ValueError(f"{path} has layout {version}, this version knows {VERSION}")
        self._store.executescript(f"{_SCHEMA}{_CONCLUSIONS}PRAGMA user_version = {VERSION};")

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

    def done(self, ids: Iterable[str], conclusions: Iterable[Row] = (), *, at_us: int = 0) -> None:
        """These were reasoned about, and what followed is in the outbox; all or nothing.

        Args:
            conclusions: what was concluded of scenarios, ``at_us`` (epoch microseconds).
        """
        self._store.execute("BEGIN")
        try:
            self._store.executemany("UPDATE alert SET done = 1 WHERE id = ?", [(i,) for i in ids])
            self._store.executemany(
                "INSERT INTO conclusion VALUES (?, ?, ?, ?, ?) ON CONFLICT (kind, subject, object)"
                " DO UPDATE SET value = excluded.value, seen_us = excluded.seen_us",
                [(*row, at_us) for row in conclusions],
            )
        except BaseException:
            self._store.execute("ROLLBACK")
            raise
        self._store.execute("COMMIT")

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
