"""The supervisor's memory: decisions, their evidence, blocks per gateway and the audit trail.

SQLite in WAL mode with ``synchronous=NORMAL``: what is committed survives the death of the process
(a power cut may take the last commits; correlation keeps asking until it is answered). Every method
may block and may be called from any thread; times are arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from agents.base.protected import canonical
from agents.supervisor.propagation import Entry, GatewayState, Outcome, expired
from agents.supervisor.store import AuditLine, LedgerError, Store
from ontology.records import Address, Alert, Decision, Incident

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL,
    cause TEXT NOT NULL, decision TEXT NOT NULL, state TEXT NOT NULL,
    since_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, ended_us INTEGER NOT NULL,
    ended_by TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS one_active_entry ON entry (source) WHERE state = 'active';
CREATE INDEX IF NOT EXISTS entry_end ON entry (state, expires_us);
CREATE TABLE IF NOT EXISTS gateway (
    entry TEXT NOT NULL REFERENCES entry (id) ON DELETE CASCADE, gateway TEXT NOT NULL,
    wanted TEXT NOT NULL, state TEXT NOT NULL, since_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL, reported_us INTEGER NOT NULL, detail TEXT NOT NULL,
    decision TEXT NOT NULL,
    PRIMARY KEY (entry, gateway)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS decision (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL,
    outcome TEXT NOT NULL, detail TEXT NOT NULL, entry TEXT, received_us INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS decision_entry ON decision (entry);
CREATE TABLE IF NOT EXISTS incident (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL,
    received_us INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS incident_source
    ON incident (json_extract(record, '$.source'), received_us);
CREATE TABLE IF NOT EXISTS alert (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL,
    received_us INTEGER NOT NULL);
"""

_DECISION = TypeAdapter(Decision)
_INCIDENT = TypeAdapter(Incident)
_ALERT = TypeAdapter(Alert)

MAX_INCIDENTS = 50
"""Incidents of the source that are returned beside those of its decisions."""
BEFORE_US = 60_000_000
MAX_EVIDENCE = 200
"""Alerts returned with one explanation."""
__all__ = ["AuditLine", "Explanation", "Ledger", "LedgerError", "Retention", "Ruling"]
_CHUNK = 500
"""Variables per SQL statement, below SQLite's old limit of 999."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Most rows kept of each kind; the oldest go first. Active entries are never dropped."""

    entries: int = 20_000
    decisions: int = 50_000
    incidents: int = 20_000
    alerts: int = 50_000
    audit: int = 200_000


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision and what the supervisor made of it."""

    decision: Decision
    outcome: Outcome
    detail: str
    received_us: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an entry exists."""

    rulings: tuple[Ruling, ...]
    incidents: tuple[Incident, ...]
    alerts: tuple[Alert, ...]


class Ledger(Store):
    """See the module's docstring.

    Raises: LedgerError if the file can't be opened or isn't a ledger.
    """

    def __init__(self, path: Path, retention: Retention | None = None) -> None:
        super().__init__(path, _SCHEMA)
        self._retention = retention or Retention()
        self.pruned = 0
        """Rows dropped by retention since the start."""

    # ---- decisions and their evidence

    def ruling(self, decision_id: str) -> Ruling | None:
        """What was made of a decision before; None if it is new."""
        row = self._one(
            "SELECT record, outcome, detail, received_us FROM decision WHERE id = ?", decision_id
        )
        return None if row is None else _ruling(row)

    def add_decision(
        self, decision: Decision, outcome: Outcome, detail: str, entry: str | None, now_us: int
    ) -> None:
        """Keep a decision and the ruling on it. A known id is left as it is."""
        with self.transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO decision (id, record, outcome, detail, entry, received_us)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (decision.id, _dump(_DECISION, decision), outcome, detail, entry, now_us),
            )

    def add_incident(self, incident: Incident, now_us: int) -> None:
        """Keep an incident; a later version of the same id replaces the earlier one."""
        self._upsert("incident", incident.id, _dump(_INCIDENT, incident), now_us)

    def add_alerts(self, alerts: Iterable[Alert], now_us: int) -> None:
        """Keep alerts; a later version of the same id replaces the earlier one."""
        with self.transaction():
            for alert in alerts:
                self._upsert("alert", alert.id, _dump(_ALERT, alert), now_us)

    def _upsert(self, table: str, key: str, record: str, now_us: int) -> None:
        with self.transaction():
            self._db.execute(
                f"INSERT INTO {table} (id, record, received_us) VALUES (?, ?, ?)"  # noqa: S608
                " ON CONFLICT (id) DO UPDATE SET record = excluded.record",
                (key, record, now_us),
            )

    def incidents(self, limit: int) -> tuple[tuple[Incident, int], ...]:
        """(incident, received_us), newest first."""
        sql = "SELECT record, received_us FROM incident ORDER BY seq DESC LIMIT ?"
        rows = self._all(sql, limit)
        return tuple((_INCIDENT.validate_json(record), at) for record, at in rows)

    def alerts(self, limit: int) -> tuple[tuple[Alert, int], ...]:
        """(alert, received_us), newest first."""
        sql = "SELECT record, received_us FROM alert ORDER BY seq DESC LIMIT ?"
        rows = self._all(sql, limit)
        return tuple((_ALERT.validate_json(record), at) for record, at in rows)

    def explain(self, entry_id: str) -> Explanation:
        """Everything known of why an entry exists; evidence that was pruned is simply absent."""
        with self._lock:
            rows = self._all(
                "SELECT record, outcome, detail, received_us FROM decision WHERE entry = ?"
                " ORDER BY seq",
                entry_id,
            )
            rulings = tuple(_ruling(row) for row in rows)
            wanted = dict.fromkeys(r.decision.incident for r in rulings if r.decision.incident)
            wanted |= dict.fromkeys(self._incidents_beside(entry_id))
            incidents = tuple(
                _INCIDENT.validate_json(text) for text in self._records("incident", list(wanted))
            )
            ids = dict.fromkeys(alert for incident in incidents for alert in incident.alerts)
            texts = self._records("alert", list(ids)[:MAX_EVIDENCE])
        alerts = sorted((_ALERT.validate_json(text) for text in texts), key=lambda a: a.begin_us)
        return Explanation(rulings, incidents, tuple(alerts))

    def _incidents_beside(self, entry_id: str) -> list[str]:
        """What else its source did, from a minute before the block to its end: other rules fired
        on the same attack, a moment earlier or later."""
        rows = self._all(
            "SELECT incident.id FROM entry JOIN incident"
            " ON json_extract(incident.record, '$.source') = entry.source"
            " AND incident.received_us >= entry.since_us - ?"
            " AND (entry.state = 'active' OR incident.received_us <= entry.ended_us)"
            " WHERE entry.id = ? ORDER BY incident.seq LIMIT ?",
            BEFORE_US,
            entry_id,
            MAX_INCIDENTS,
        )
        return [key for (key,) in rows]

    def _records(self, table: str, ids: Sequence[str]) -> list[str]:
        out: list[str] = []
        for start in range(0, len(ids), _CHUNK):
            part = ids[start : start + _CHUNK]
            marks = ",".join("?" * len(part))
            rows = self._all(
                f"SELECT record FROM {table} WHERE id IN ({marks}) ORDER BY seq",  # noqa: S608
                *part,
            )
            out.extend(record for (record,) in rows)
        return out

    # ---- blocks

    def save(self, entry: Entry) -> None:
        """Write an entry and its gateways' states, new or changed."""
        with self.transaction():
            self._db.execute(
                "INSERT INTO entry (id, source, cause, decision, state, since_us, expires_us,"
                " ended_us, ended_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET"
                " decision = excluded.decision, state = excluded.state,"
                " expires_us = excluded.expires_us, ended_us = excluded.ended_us,"
                " ended_by = excluded.ended_by",
                (
                    entry.id,
                    str(entry.source),
                    _dump(_DECISION, entry.cause),
                    _dump(_DECISION, entry.decision),
                    entry.state,
                    entry.since_us,
                    entry.expires_us,
                    entry.ended_us,
                    entry.ended_by,
                ),
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO gateway VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        entry.id,
                        g.gateway,
                        g.wanted,
                        g.state,
                        g.since_us,
                        g.expires_us,
                        g.reported_us,
                        g.detail,
                        g.decision,
                    )
                    for g in entry.gateways
                ],
            )

    def entry(self, entry_id: str) -> Entry | None:
        """By its own id."""
        return next(iter(self._entries("WHERE id = ?", entry_id)), None)

    def entry_of_decision(self, decision_id: str) -> Entry | None:
        """The entry that a block or unblock decision was about."""
        row = self._one("SELECT entry FROM decision WHERE id = ?", decision_id)
        return None if row is None or row[0] is None else self.entry(row[0])

    def active_for(self, source: Address) -> Entry | None:
        """The active entry of an address."""
        key = str(canonical(source))
        found = self._entries("WHERE source = ? AND state = 'active'", key)
        return next(iter(found), None)

    def latest_for(self, source: Address) -> Entry | None:
        """The newest entry of an address, active or not."""
        key = str(canonical(source))
        found = self._entries("WHERE source = ? ORDER BY seq DESC LIMIT 1", key)
        return next(iter(found), None)

    def lifted(self, now_us: int) -> tuple[Entry, ...]:
        """Lifted entries that a gateway which missed the lift would still run.

        The newest of each source only, and none whose source is blocked again.
        """
        return self._entries(
            "WHERE state = 'lifted' AND expires_us > ? AND seq ="
            " (SELECT max(seq) FROM entry AS e WHERE e.source = entry.source) ORDER BY seq",
            now_us,
        )

    def active(self, now_us: int) -> tuple[Entry, ...]:
        """Every entry that is in force, oldest first."""
        return self._entries("WHERE state = 'active' AND expires_us > ? ORDER BY seq", now_us)

    def entries(
        self,
        *,
        state: str = "all",
        source: Address | None = None,
        gateway: str | None = None,
        limit: int,
        offset: int = 0,
    ) -> tuple[Entry, ...]:
        """Newest first. ``state``: ``active``, ``ended``, ``lifted``, ``expired`` or ``all``."""
        where, values = ["1"], list[object]()
        if state == "ended":
            where.append("state <> 'active'")
        elif state != "all":
            where.append("state = ?")
            values.append(state)
        if source is not None:
            where.append("source = ?")
            values.append(str(canonical(source)))
        if gateway is not None:
            where.append("id IN (SELECT entry FROM gateway WHERE gateway = ?)")
            values.append(gateway)
        clause = f"WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ? OFFSET ?"
        return self._entries(clause, *values, limit, offset)

    def expire(self, now_us: int) -> tuple[Entry, ...]:
        """End the entries whose time is over; returns them as they are now."""
        with self.transaction():
            due = self._entries("WHERE state = 'active' AND expires_us <= ?", now_us)
            ended = tuple(expired(entry) for entry in due)
            for entry in ended:
                self.save(entry)
        return ended

    def _entries(self, clause: str, *values: object) -> tuple[Entry, ...]:
        with self._lock:
            columns = "id, cause, decision, state, since_us, expires_us, ended_us, ended_by"
            rows = self._all(f"SELECT {columns} FROM entry {clause}", *values)  # noqa: S608
            states: dict[str, list[GatewayState]] = {row[0]: [] for row in rows}
            ids = list(states)
            for start in range(0, len(ids), _CHUNK):
                part = ids[start : start + _CHUNK]
                marks = ",".join("?" * len(part))
                for g in self._all(
                    f"SELECT * FROM gateway WHERE entry IN ({marks}) ORDER BY gateway",  # noqa: S608
                    *part,
                ):
                    states[g[0]].append(
                        GatewayState(
                            gateway=g[1],
                            wanted=g[2],
                            state=g[3],
                            since_us=g[4],
                            expires_us=g[5],
                            reported_us=g[6],
                            detail=g[7],
                            decision=g[8],
                        )
                    )
        return tuple(
            Entry(
                id=row[0],
                cause=_DECISION.validate_json(row[1]),
                decision=_DECISION.validate_json(row[2]),
                state=row[3],
                since_us=row[4],
                expires_us=row[5],
                ended_us=row[6],
                ended_by=row[7],
                gateways=tuple(states[row[0]]),
            )
            for row in rows
        )

    # ---- bounds

    def trim(self) -> int:
        """Drop the oldest rows beyond the retention; returns how many."""
        keep, dropped = self._retention, 0
        with self.transaction():
            for table, limit in (
                ("decision", keep.decisions),
                ("incident", keep.incidents),
                ("alert", keep.alerts),
            ):
                dropped += self._db.execute(
                    f"DELETE FROM {table} WHERE seq <="  # noqa: S608
                    f" (SELECT seq FROM {table} ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                    (limit,),
                ).rowcount
            dropped += self._db.execute(
                "DELETE FROM entry WHERE state <> 'active' AND seq <= (SELECT seq FROM entry"
                " WHERE state <> 'active' ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                (keep.entries,),
            ).rowcount
            edge = self._one(
                "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1 OFFSET ?", keep.audit
            )
            if edge is not None:
                # The chain goes on from the last line that was dropped.
                self._db.execute("UPDATE meta SET value=? WHERE key='audit_pruned_to'", (edge[0],))
                self._db.execute("UPDATE meta SET value=? WHERE key='audit_anchor'", (edge[1],))
                dropped += self._db.execute("DELETE FROM audit WHERE seq <= ?", (edge[0],)).rowcount
            self.pruned += dropped
        return dropped

    def counts(self) -> dict[str, int]:
        """Rows of each kind, and the active entries."""
        tables = ("entry", "decision", "incident", "alert", "audit")
        out = {t: int(self._scalar(f"SELECT count(*) FROM {t}")) for t in tables}  # noqa: S608
        out["active"] = int(self._scalar("SELECT count(*) FROM entry WHERE state = 'active'"))
        return out


def _dump(adapter: TypeAdapter[Any], record: object) -> str:
    return adapter.dump_json(record).decode()


def _ruling(row: tuple[Any, ...]) -> Ruling:
    return Ruling(_DECISION.validate_json(row[0]), row[1], row[2], row[3])
