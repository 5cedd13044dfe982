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

from agents.base.storage import Faults
from agents.base.store_limits import Limits, TableLimit
from agents.clock import ClockReading
from agents.supervisor.bans import Entry, Outcome
from agents.supervisor.entry_store import CHUNK, DECISION, EntryStore, dump
from agents.supervisor.store import AuditLine, LedgerError
from ontology.records import Alert, Decision, GatewayAddresses, Incident

_SCHEMA = """
CREATE TABLE IF NOT EXISTS clock (
    one INTEGER PRIMARY KEY CHECK (one = 1), boot TEXT NOT NULL, steady_s REAL NOT NULL,
    wall_us INTEGER NOT NULL, last_order_us INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS kernel (node TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
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

_LAST = "SELECT {} FROM audit ORDER BY seq LIMIT 1 OFFSET max(0, :n - 1)"
"""Of the ``:n`` oldest lines of the trail."""
_MOVE_ANCHOR = (
    f"UPDATE meta SET value = coalesce(({_LAST.format('hash')}), value)"  # noqa: S608
    " WHERE key = 'audit_anchor'"
)
_MOVE_EDGE = (
    f"UPDATE meta SET value = coalesce(({_LAST.format('seq')}), value)"  # noqa: S608
    " WHERE key = 'audit_pruned_to'"
)

_INCIDENT = TypeAdapter(Incident)
_ALERT = TypeAdapter(Alert)
_KERNEL = TypeAdapter(GatewayAddresses)

MAX_INCIDENTS = 50
"""Incidents of the source that are returned beside those of its decisions."""
BEFORE_US = 60_000_000
MAX_EVIDENCE = 200
"""Alerts returned with one explanation."""
__all__ = ["AuditLine", "Explanation", "Ledger", "LedgerError", "Retention", "Ruling"]


@dataclass(frozen=True, slots=True)
class Retention:
    """Most rows kept of each kind; the oldest go first. Active entries are dropped last, those that
    end first."""

    entries: int = 20_000
    active: int = 100_000
    decisions: int = 50_000
    incidents: int = 20_000
    alerts: int = 50_000
    audit: int = 200_000
    size_bytes: int = 384 << 20

    def limits(self) -> Limits:
        """As SQL; when bytes run out, evidence goes before decisions, and those before entries."""
        return Limits(
            size_bytes=self.size_bytes,
            tables=(
                TableLimit(table="alert", rows=self.alerts, worst_first="seq", key="seq"),
                TableLimit(table="incident", rows=self.incidents, worst_first="seq", key="seq"),
                TableLimit(table="decision", rows=self.decisions, worst_first="seq", key="seq"),
                TableLimit(
                    table="audit",
                    rows=self.audit,
                    worst_first="seq",
                    key="seq",
                    # The chain goes on from the last line that was dropped.
                    before=(_MOVE_ANCHOR, _MOVE_EDGE),
                    least=min(self.audit, 1000),
                ),
                TableLimit(
                    table="entry",
                    rows=self.entries,
                    worst_first="seq",
                    key="seq",
                    only="state <> 'active'",
                ),
                TableLimit(
                    table="entry",
                    rows=self.active,
                    worst_first="expires_us",
                    key="seq",
                    only="state = 'active'",
                ),
            ),
            reserve_pages=256,
        )


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


class Ledger(EntryStore):
    """See the module's docstring.

    Raises: LedgerError if the file can't be opened or isn't a ledger.
    """

    def __init__(
        self, path: Path, retention: Retention | None = None, faults: Faults | None = None
    ) -> None:
        super().__init__(path, _SCHEMA, (retention or Retention()).limits(), faults)

    @property
    def dropped(self) -> int:
        """Rows that had to make room since the start."""
        return self._db.dropped

    # ---- decisions and their evidence

    def ruling(self, decision_id: str) -> Ruling | None:
        """What was made of a decision before; None if it is new."""
        row = self._one(
            "SELECT record, outcome, detail, received_us FROM decision WHERE id = ?", decision_id
        )
        return None if row is None else _ruling(row)

    def grace_s(self, entry: Entry) -> int:
        """For how long the lift of an entry holds, as who lifted it said; 0 if it was not."""
        if entry.state != "lifted":
            return 0
        row = self._one(
            "SELECT record FROM decision WHERE entry = ? AND outcome IN ('unblocked', 'vetoed')"
            " ORDER BY seq DESC LIMIT 1",
            entry.id,
        )
        return 0 if row is None else int(DECISION.validate_json(row[0]).duration_s)

    def last_of(self, origin: str) -> tuple[Ruling, str] | None:
        """The last decision of a person that changed something, and its entry's id."""
        row = self._one(
            "SELECT record, outcome, detail, received_us, entry FROM decision"
            " WHERE json_extract(record, '$.origin') = ? AND entry IS NOT NULL AND outcome IN"
            " ('blocked', 'extended', 'shortened', 'unblocked', 'vetoed')"
            " ORDER BY seq DESC LIMIT 1",
            origin,
        )
        return None if row is None else (_ruling(row[:4]), row[4])

    def end_before(self, entry_id: str, decision_id: str) -> int:
        """When an entry would have ended without this decision and later ones; 0: no other made
        it."""
        row = self._one(
            "SELECT record, received_us FROM decision WHERE entry = ?"
            " AND outcome IN ('blocked', 'extended', 'shortened') AND seq <"
            " (SELECT seq FROM decision WHERE id = ?) ORDER BY seq DESC LIMIT 1",
            entry_id,
            decision_id,
        )
        if row is None:
            return 0
        decision: Decision = DECISION.validate_json(row[0])
        received_us: int = row[1]
        return min(decision.decided_us, received_us) + decision.duration_s * 1_000_000

    def add_decision(
        self, decision: Decision, outcome: Outcome, detail: str, entry: str | None, now_us: int
    ) -> None:
        """Keep a decision and the ruling on it. A known id is left as it is."""
        with self.transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO decision (id, record, outcome, detail, entry, received_us)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (decision.id, dump(DECISION, decision), outcome, detail, entry, now_us),
            )

    def add_incident(self, incident: Incident, now_us: int) -> None:
        """Keep an incident; a later version of the same id replaces the earlier one."""
        self._upsert("incident", incident.id, dump(_INCIDENT, incident), now_us)

    def add_alerts(self, alerts: Iterable[Alert], now_us: int) -> None:
        """Keep alerts; a later version of the same id replaces the earlier one."""
        with self.transaction():
            for alert in alerts:
                self._upsert("alert", alert.id, dump(_ALERT, alert), now_us)

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
        for start in range(0, len(ids), CHUNK):
            part = ids[start : start + CHUNK]
            marks = ",".join("?" * len(part))
            rows = self._all(
                f"SELECT record FROM {table} WHERE id IN ({marks}) ORDER BY seq",  # noqa: S608
                *part,
            )
            out.extend(record for (record,) in rows)
        return out

    # ---- the clock that ends go by, and what gateways' kernels have

    def clock(self) -> tuple[ClockReading | None, int]:
        """The clock's reading when it was last noted, and the time of the newest order by then."""
        row = self._one("SELECT boot, steady_s, wall_us, last_order_us FROM clock")
        return (None, 0) if row is None else (ClockReading(*row[:3]), row[3])

    def note_clock(self, reading: ClockReading, last_order_us: int) -> None:
        """Keep them for the next process."""
        self._write(
            "INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?, ?)",
            *(reading.boot, reading.steady_s, reading.wall_us, last_order_us),
        )

    def add_kernel(self, kernel: GatewayAddresses) -> None:
        """Keep what a gateway's kernel has, in place of what it had before."""
        self._write(
            "INSERT OR REPLACE INTO kernel VALUES (?, ?)", kernel.node, dump(_KERNEL, kernel)
        )

    def kernels(self) -> tuple[GatewayAddresses, ...]:
        """What the kernels of gateways have, as they last said."""
        rows = self._all("SELECT record FROM kernel ORDER BY node")
        return tuple(_KERNEL.validate_json(text) for (text,) in rows)

    def counts(self) -> dict[str, int]:
        """Rows of each kind, and the active entries."""
        tables = ("entry", "decision", "incident", "alert", "audit")
        out = {t: int(self._scalar(f"SELECT count(*) FROM {t}")) for t in tables}  # noqa: S608
        out["active"] = int(self._scalar("SELECT count(*) FROM entry WHERE state = 'active'"))
        return out


def _ruling(row: tuple[Any, ...]) -> Ruling:
    return Ruling(DECISION.validate_json(row[0]), row[1], row[2], row[3])
