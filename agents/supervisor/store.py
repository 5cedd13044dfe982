"""An SQLite file with an append-only, hash-chained audit trail: the ledger's ground."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.base.storage import Faults, StoreError, open_store
from agents.base.store_limits import Limits

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT OR IGNORE INTO meta VALUES ('schema', 1), ('audit_pruned_to', 0), ('audit_anchor', '');
CREATE TABLE IF NOT EXISTS audit (
    seq INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,
    subject TEXT NOT NULL, reason TEXT NOT NULL, hash TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS audit_subject ON audit (subject);
CREATE TRIGGER IF NOT EXISTS audit_is_never_changed BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_only_pruned BEFORE DELETE ON audit
    WHEN old.seq > (SELECT value FROM meta WHERE key = 'audit_pruned_to')
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
"""

MAX_TEXT = 4000
"""Longest free text kept in the audit trail, in characters."""


class LedgerError(RuntimeError):
    """The ledger can't be opened, or its audit trail was altered; one line."""


@dataclass(frozen=True, slots=True)
class AuditLine:
    """Who did what to what, when and why."""

    seq: int
    at_us: int
    who: str
    """Bare JID of an agent, or ``user:NAME``."""
    what: str
    subject: str
    reason: str
    hash: str
    """SHA-256 over the line before and this one."""


class Store:
    """One connection behind one lock; any thread may use it, and every call may block.

    Raises: LedgerError if the file can't be opened or isn't ours.
    """

    def __init__(
        self,
        path: Path,
        schema: str,
        *,
        version: int,
        migrations: Mapping[int, str],
        limits: Limits,
        faults: Faults | None,
    ) -> None:
        self._path = path
        self._lock = threading.RLock()
        try:
            self._db = open_store(
                path,
                schema=_SCHEMA + schema,
                version=version,
                migrations=migrations,
                limits=limits,
                faults=faults,
            )
        except StoreError as e:
            raise LedgerError(str(e)) from e

    def close(self) -> None:
        """Close the file; it can't be used afterwards."""
        self._db.close()

    def look(self) -> None:
        """See `agents.base.storage.Database.look`."""
        self._db.look()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and nobody else in between. May be nested."""
        with self._lock, self._db.transaction():
            yield

    def audit(self, who: str, what: str, subject: str, reason: str, now_us: int) -> AuditLine:
        """Append one line to the trail."""
        who, what, subject, reason = (t[:MAX_TEXT] for t in (who, what, subject, reason))
        with self.transaction():
            last = self._one("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
            if last is None:
                last = (self._meta("audit_pruned_to"), self._meta("audit_anchor"))
            seq = last[0] + 1
            digest = _chain(last[1], seq, now_us, who, what, subject, reason)
            line = AuditLine(seq, now_us, who, what, subject, reason, digest)
            self._db.execute(
                "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)",
                (seq, now_us, who, what, subject, reason, digest),
            )
        return line

    def audit_trail(
        self, *, limit: int, before: int | None = None, subject: str | None = None
    ) -> tuple[AuditLine, ...]:
        """Newest first; ``before``: only lines with a smaller ``seq``."""
        where, values = ["1"], list[object]()
        if before is not None:
            where.append("seq < ?")
            values.append(before)
        if subject is not None:
            where.append("subject = ?")
            values.append(subject)
        clause = f"SELECT * FROM audit WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?"  # noqa: S608
        return tuple(AuditLine(*row) for row in self._all(clause, *values, limit))

    def verify_audit(self) -> str:
        """Check the whole chain; returns its head (the last line's hash), ``""`` when empty.

        Raises: LedgerError naming the first line that doesn't follow from the one before.
        """
        with self._lock:
            seq, head = int(self._meta("audit_pruned_to")), str(self._meta("audit_anchor"))
            for row in self._db.execute("SELECT * FROM audit ORDER BY seq"):
                if row[0] != seq + 1 or row[6] != _chain(head, *row[:6]):
                    raise LedgerError(f"{self._path}: audit line {seq + 1} was altered or removed")
                seq, head = row[0], row[6]
        return head

    def _write(self, sql: str, *values: object) -> None:
        with self.transaction():
            self._db.execute(sql, values)

    def _meta(self, key: str) -> Any:
        return self._scalar("SELECT value FROM meta WHERE key = ?", key)

    def _scalar(self, sql: str, *values: object) -> Any:
        row = self._one(sql, *values)
        return None if row is None else row[0]

    def _one(self, sql: str, *values: object) -> tuple[Any, ...] | None:
        with self._lock:
            row: tuple[Any, ...] | None = self._db.execute(sql, values).fetchone()
            return row

    def _all(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()


def _chain(head: str, *line: object) -> str:
    text = json.dumps([head, *line], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
