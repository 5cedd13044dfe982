"""The console's own memory: views of what the supervisor told, from which every read is answered.

SQLite, one file in the console's folder. Rows hold views as JSON, so that a list is handed out
without being parsed. It is a copy: lost, it is told anew, but for what is older than a snapshot.
Every method may block and may be called from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agents.base.storage import Faults, open_store, transaction
from agents.base.store_limits import Limits, TableLimit
from agents.console.views import (
    LASTING,
    AgentView,
    AlertView,
    AuditView,
    BlockView,
    IncidentView,
    RulingView,
)
from ontology.addresses import canonical
from ontology.records import Address

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS ban (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL,
    state TEXT NOT NULL, since_us INTEGER NOT NULL, ended_us INTEGER NOT NULL,
    feed TEXT NOT NULL, view TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS ban_state ON ban (state, since_us, seq);
CREATE INDEX IF NOT EXISTS ban_source ON ban (source);
CREATE TABLE IF NOT EXISTS gateway (
    ban TEXT NOT NULL REFERENCES ban (id) ON DELETE CASCADE, name TEXT NOT NULL,
    PRIMARY KEY (ban, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ruling (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, ban TEXT, incident TEXT,
    received_us INTEGER NOT NULL, view TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS ruling_ban ON ruling (ban);
CREATE TABLE IF NOT EXISTS incident (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL,
    received_us INTEGER NOT NULL, view TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS incident_source ON incident (source, received_us);
CREATE INDEX IF NOT EXISTS incident_time ON incident (received_us, seq);
CREATE TABLE IF NOT EXISTS alert (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    received_us INTEGER NOT NULL, view TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS alert_time ON alert (received_us, seq);
CREATE TABLE IF NOT EXISTS audit (
    number INTEGER PRIMARY KEY, subject TEXT NOT NULL, feed TEXT NOT NULL, view TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS audit_subject ON audit (subject, number);
CREATE TABLE IF NOT EXISTS agent (
    name TEXT PRIMARY KEY, feed TEXT NOT NULL, view TEXT NOT NULL) WITHOUT ROWID;
"""

_LASTING: Final = f"({', '.join(repr(state) for state in LASTING)})"
"""For SQL."""
BEFORE_US = 60_000_000
"""An incident of the source this long before its ban belongs to the explanation as well."""
MAX_INCIDENTS, MAX_EVIDENCE, MAX_LINES = 50, 200, 100
"""Incidents beside those of its decisions, alerts, and audit lines of one explanation."""
_CHUNK = 500
"""Variables per SQL statement, below SQLite's old limit of 999."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Most rows kept of each kind; the oldest go first. Active bans are dropped last."""

    bans: int = 20_000
    active: int = 100_000
    rulings: int = 50_000
    incidents: int = 20_000
    alerts: int = 50_000
    audit: int = 200_000
    agents: int = 10_000
    size_bytes: int = 384 << 20

    def limits(self) -> Limits:
        """As SQL; when bytes run out, evidence goes before decisions, and those before bans."""
        ended, active = f"state NOT IN {_LASTING}", f"state IN {_LASTING}"
        return Limits(
            size_bytes=self.size_bytes,
            tables=(
                *(
                    TableLimit(table=table, rows=rows, worst_first="seq", key="seq")
                    for table, rows in (
                        ("alert", self.alerts),
                        ("incident", self.incidents),
                        ("ruling", self.rulings),
                    )
                ),
                TableLimit(table="audit", rows=self.audit, worst_first="number", key="number"),
                TableLimit(table="ban", rows=self.bans, worst_first="seq", key="seq", only=ended),
                TableLimit(
                    table="ban", rows=self.active, worst_first="seq", key="seq", only=active
                ),
                TableLimit(table="agent", rows=self.agents, worst_first="name", key="name"),
            ),
            reserve_pages=256,
        )


class ReadStore:
    """See the module. Raises: StoreError if the file can't be used."""

    def __init__(
        self, path: Path, retention: Retention | None = None, faults: Faults | None = None
    ) -> None:
        self._lock = threading.RLock()
        self._db = open_store(
            path,
            schema=_SCHEMA,
            version=_VERSION,
            limits=(retention or Retention()).limits(),
            faults=faults,
        )

    @property
    def dropped(self) -> int:
        """Rows that had to make room since the start."""
        return self._db.dropped

    def look(self) -> None:
        """See `agents.base.storage.Database.look`."""
        self._db.look()

    def close(self) -> None:
        """Close the file; it can't be used afterwards."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and nobody else in between. May be nested."""
        with self._lock, transaction(self._db):
            yield

    # ---- what is told

    def put_block(self, view: BlockView, feed: str) -> None:
        """A ban as it is now."""
        with self.transaction():
            self._db.execute(
                "INSERT INTO ban (id, source, state, since_us, ended_us, feed, view)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
                " state = excluded.state, ended_us = excluded.ended_us, feed = excluded.feed,"
                " view = excluded.view",
                (
                    view.id,
                    str(canonical(view.source)),
                    view.state,
                    view.since_us,
                    view.ended_us,
                    feed,
                    view.model_dump_json(),
                ),
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO gateway VALUES (?, ?)",
                [(view.id, g.gateway) for g in view.gateways],
            )

    def put_ruling(self, view: RulingView, ban: str | None) -> None:
        """A decision and what was made of it; the first ruling counts."""
        decision = view.decision
        self._write(
            "INSERT OR IGNORE INTO ruling (id, ban, incident, received_us, view)"
            " VALUES (?, ?, ?, ?, ?)",
            (decision.id, ban, decision.incident, view.received_us, view.model_dump_json()),
        )

    def put_incident(self, view: IncidentView) -> None:
        """An incident; a later version replaces the earlier one."""
        source = view.incident.source
        self._write(
            "INSERT INTO incident (id, source, received_us, view) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET received_us = excluded.received_us,"
            " view = excluded.view",
            (
                view.incident.id,
                "" if source is None else str(canonical(source)),
                view.received_us,
                view.model_dump_json(),
            ),
        )

    def put_alert(self, view: AlertView) -> None:
        """An alert; a later version replaces the earlier one."""
        self._write(
            "INSERT INTO alert (id, received_us, view) VALUES (?, ?, ?) ON CONFLICT (id)"
            " DO UPDATE SET received_us = excluded.received_us, view = excluded.view",
            (view.alert.id, view.received_us, view.model_dump_json()),
        )

    def put_audit(self, view: AuditView, feed: str) -> None:
        """A line of the trail."""
        self._write(
            "INSERT OR REPLACE INTO audit VALUES (?, ?, ?, ?)",
            (view.seq, view.subject, feed, view.model_dump_json()),
        )

    def put_agent(self, view: AgentView, feed: str) -> None:
        """An agent's directory entry."""
        self._write(
            "INSERT OR REPLACE INTO agent VALUES (?, ?, ?)",
            (view.name, feed, view.model_dump_json()),
        )

    def end_snapshot(self, feed: str) -> None:
        """A snapshot is complete: what it should have told and didn't is no longer so.

        That are bans that were active, agents, and lines above the newest one: the trail of a
        ledger that was replaced.
        """
        with self.transaction():
            lasting = f"state IN {_LASTING}"
            self._db.execute(f"DELETE FROM ban WHERE {lasting} AND feed <> ?", (feed,))  # noqa: S608
            self._db.execute("DELETE FROM agent WHERE feed <> ?", (feed,))
            self._db.execute(
                "DELETE FROM audit WHERE number > ("
                "SELECT coalesce(max(number), 0) FROM audit WHERE feed = ?)",
                (feed,),
            )

    # ---- what is asked for: views as JSON

    def blocks(
        self,
        *,
        state: str = "all",
        source: Address | None = None,
        gateway: str | None = None,
        limit: int,
        offset: int = 0,
    ) -> list[str]:
        """`BlockView` each, newest first. ``state``: ``active``, ``waiting``, ``shadow``,
        ``ended``, ``lifted``, ``expired`` or ``all``."""
        where, values = _chosen(state, source, gateway)
        clause = f"{where} ORDER BY since_us DESC, seq DESC LIMIT ? OFFSET ?"
        return self._texts(f"SELECT view FROM ban WHERE {clause}", *values, limit, offset)  # noqa: S608

    def count_blocks(
        self, *, state: str = "all", source: Address | None = None, gateway: str | None = None
    ) -> int:
        """How many `blocks` would give without a limit."""
        where, values = _chosen(state, source, gateway)
        return int(self._all(f"SELECT count(*) FROM ban WHERE {where}", *values)[0][0])  # noqa: S608

    def block(self, ban: str) -> BlockView | None:
        """One ban."""
        found = self._texts("SELECT view FROM ban WHERE id = ?", ban)
        return BlockView.model_validate_json(found[0]) if found else None

    def detail(self, ban: str) -> str | None:
        """`BlockDetail`: a ban with its decisions, incidents, alerts and audit lines."""
        with self.transaction():
            found = self._texts("SELECT view FROM ban WHERE id = ?", ban)
            if not found:
                return None
            rulings = self._all(
                "SELECT view, incident FROM ruling WHERE ban = ? ORDER BY received_us, seq", ban
            )
            ids = dict.fromkeys(incident for _, incident in rulings if incident)
            ids |= dict.fromkeys(self._at_that_time(ban))
            incidents = self._records("incident", list(ids))
            alerts = self._alerts(incidents)
            audit = self._texts(
                "SELECT view FROM audit WHERE subject = ? ORDER BY number DESC LIMIT ?",
                ban,
                MAX_LINES,
            )
        return (
            f'{{"block":{found[0]},"decisions":{array([view for view, _ in rulings])},'
            f'"incidents":{array(incidents)},"alerts":{array(alerts)},"audit":{array(audit)}}}'
        )

    def _at_that_time(self, ban: str) -> list[str]:
        """What else its source did, from a minute before the ban to its end: other rules fired
        on the same attack, a moment earlier or later."""
        return self._texts(
            "SELECT incident.id FROM ban JOIN incident ON incident.source = ban.source"
            " AND incident.received_us >= ban.since_us - ?"
            " AND (ban.ended_us = 0 OR incident.received_us <= ban.ended_us)"
            " WHERE ban.id = ? ORDER BY incident.received_us, incident.seq LIMIT ?",
            BEFORE_US,
            ban,
            MAX_INCIDENTS,
        )

    def _alerts(self, incidents: list[str]) -> list[str]:
        ids: dict[str, None] = {}
        for incident in incidents:
            ids |= dict.fromkeys(
                self._texts("SELECT value FROM json_each(?, '$.alerts')", incident)
            )
        return self._records("alert", list(ids)[:MAX_EVIDENCE], order="begin_us")

    def _records(self, kind: str, ids: list[str], order: str = "") -> list[str]:
        """The records themselves, by time received, or by a field."""
        by = f"json_extract(view, '$.{kind}.{order}'), seq" if order else "received_us, seq"
        out: list[tuple[Any, str]] = []
        for start in range(0, len(ids), _CHUNK):
            part = ids[start : start + _CHUNK]
            rows = self._all(
                f"SELECT {by}, json_extract(view, '$.{kind}') FROM {kind}"  # noqa: S608
                f" WHERE id IN ({','.join('?' * len(part))})",
                *part,
            )
            out += [((first, second), text) for first, second, text in rows]
        return [text for _, text in sorted(out)]

    def incidents(self, limit: int) -> list[str]:
        """`IncidentView` each, newest first."""
        sql = "SELECT view FROM incident ORDER BY received_us DESC, seq DESC LIMIT ?"
        return self._texts(sql, limit)

    def incident(self, name: str) -> IncidentView | None:
        """One incident."""
        found = self._texts("SELECT view FROM incident WHERE id = ?", name)
        return IncidentView.model_validate_json(found[0]) if found else None

    def alerts(self, limit: int) -> list[str]:
        """`AlertView` each, newest first."""
        sql = "SELECT view FROM alert ORDER BY received_us DESC, seq DESC LIMIT ?"
        return self._texts(sql, limit)

    def alert(self, name: str) -> AlertView | None:
        """One alert."""
        found = self._texts("SELECT view FROM alert WHERE id = ?", name)
        return AlertView.model_validate_json(found[0]) if found else None

    def audit(self, *, limit: int, before: int | None = None) -> list[str]:
        """`AuditView` each, newest first; ``before``: only lines with a smaller number."""
        edge = 2**63 - 1 if before is None else before
        sql = "SELECT view FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?"
        return self._texts(sql, edge, limit)

    def agents(self) -> list[AgentView]:
        """The agents that have registered, by name."""
        texts = self._texts("SELECT view FROM agent ORDER BY name")
        return [AgentView.model_validate_json(text) for text in texts]

    def counts(self) -> dict[str, int]:
        """Rows of each kind, and the active bans."""
        with self._lock:
            tables = ("ban", "ruling", "incident", "alert", "audit")
            out = {t: int(self._all(f"SELECT count(*) FROM {t}")[0][0]) for t in tables}  # noqa: S608
            active = self._all("SELECT count(*) FROM ban WHERE state = 'active'")
            return out | {"active": int(active[0][0])}

    def _write(self, sql: str, values: tuple[object, ...]) -> None:
        with self.transaction():
            self._db.execute(sql, values)

    def _texts(self, sql: str, *values: object) -> list[str]:
        return [text for (text,) in self._all(sql, *values)]

    def _all(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()


def array(texts: list[str]) -> str:
    """A JSON array of texts that are JSON."""
    return f"[{','.join(texts)}]"


def _chosen(state: str, source: Address | None, gateway: str | None) -> tuple[str, list[object]]:
    """The condition in SQL, with its values."""
    where, values = ["1"], list[object]()
    if state == "ended":
        where.append(f"state NOT IN {_LASTING}")
    elif state in ("waiting", "shadow"):
        # On one gateway at least, it may be blocked on others; what would have been blocked stays
        # so when its time is over. A quote in a text is escaped, so that only a state matches.
        where.append("instr(view, ?)")
        values.append(f'"state":"{state}"')
    elif state != "all":
        where.append("state = ?")
        values.append(state)
    if source is not None:
        where.append("source = ?")
        values.append(str(canonical(source)))
    if gateway is not None:
        where.append("id IN (SELECT ban FROM gateway WHERE name = ?)")
        values.append(gateway)
    return " AND ".join(where), values
