"""Blocks in the supervisor's file: an entry per source, and what each gateway does of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from agents.base.protected import canonical
from agents.base.storage import Faults
from agents.base.store_limits import Limits
from agents.supervisor.bans import Entry, GatewayState, expired
from agents.supervisor.store import Store
from ontology.records import Address, Decision

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entry (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL,
    cause TEXT NOT NULL, decision TEXT NOT NULL, state TEXT NOT NULL,
    since_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, ended_us INTEGER NOT NULL,
    ended_by TEXT NOT NULL, reach TEXT NOT NULL DEFAULT 'everywhere');
CREATE UNIQUE INDEX IF NOT EXISTS one_active_entry ON entry (source) WHERE state = 'active';
CREATE INDEX IF NOT EXISTS entry_end ON entry (state, expires_us);
CREATE TABLE IF NOT EXISTS gateway (
    entry TEXT NOT NULL REFERENCES entry (id) ON DELETE CASCADE, gateway TEXT NOT NULL,
    wanted TEXT NOT NULL, state TEXT NOT NULL, since_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL, reported_us INTEGER NOT NULL, detail TEXT NOT NULL,
    decision TEXT NOT NULL,
    PRIMARY KEY (entry, gateway)) WITHOUT ROWID;
"""
_VERSION: Final = 2
_MIGRATIONS: Final[Mapping[int, str]] = {
    1: "ALTER TABLE entry ADD COLUMN reach TEXT NOT NULL DEFAULT 'everywhere'"
}

DECISION: Final = TypeAdapter(Decision)
CHUNK: Final = 500
"""Variables per SQL statement, below SQLite's old limit of 999."""


def dump(adapter: TypeAdapter[Any], record: object) -> str:
    """A record as JSON."""
    return adapter.dump_json(record).decode()


class EntryStore(Store):
    """Entries by id and by source; any thread may use it, and every call may block.

    Raises: LedgerError if the file can't be opened or isn't ours.
    """

    def __init__(self, path: Path, schema: str, limits: Limits, faults: Faults | None) -> None:
        super().__init__(
            path,
            _SCHEMA + schema,
            version=_VERSION,
            migrations=_MIGRATIONS,
            limits=limits,
            faults=faults,
        )

    def save(self, entry: Entry) -> None:
        """Write an entry and its gateways' states, new or changed."""
        with self.transaction():
            self._db.execute(
                "INSERT INTO entry (id, source, cause, decision, state, since_us, expires_us,"
                " ended_us, ended_by, reach) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET cause = excluded.cause,"
                " decision = excluded.decision, state = excluded.state,"
                " expires_us = excluded.expires_us, ended_us = excluded.ended_us,"
                " ended_by = excluded.ended_by, reach = excluded.reach",
                (
                    entry.id,
                    str(entry.source),
                    dump(DECISION, entry.cause),
                    dump(DECISION, entry.decision),
                    entry.state,
                    entry.since_us,
                    entry.expires_us,
                    entry.ended_us,
                    entry.ended_by,
                    entry.reach,
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

    def named(self, ids: Sequence[str]) -> tuple[Entry, ...]:
        """Those of these ids that there are, oldest first."""
        return self._entries(
            "WHERE id IN (SELECT value FROM json_each(?)) ORDER BY seq", json.dumps(list(ids))
        )

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

    def unconfirmed(self, gateway: str, now_us: int, *, refused: bool = False) -> tuple[Entry, ...]:
        """Those in force that a gateway neither says it has nor refuses, and perhaps others; with
        ``refused`` also those."""
        return self._entries(
            "WHERE state = 'active' AND reach <> 'reported' AND expires_us > ? AND NOT EXISTS"
            " (SELECT 1 FROM gateway AS g WHERE g.entry = entry.id AND g.gateway = ?"
            " AND (g.wanted = 'none' OR g.state IN ('refused', 'waiting', 'shadow') AND NOT ?"
            " OR g.state = 'active'"
            " AND g.decision = json_extract(entry.decision, '$.id'))) ORDER BY seq",
            now_us,
            gateway,
            refused,
        )

    def confirmed(self, gateway: str, now_us: int) -> tuple[tuple[str, str], ...]:
        """(address, decision) of what is in force and a gateway last said that it has."""
        rows = self._all(
            "SELECT entry.source, g.decision FROM entry JOIN gateway AS g ON g.entry = entry.id"
            " WHERE entry.state = 'active' AND entry.expires_us > ? AND g.gateway = ?"
            " AND g.state = 'active'",
            now_us,
            gateway,
        )
        return tuple((source, decision) for source, decision in rows)

    def active_names(self, now_us: int) -> tuple[tuple[str, str], ...]:
        """(id, address) of the entries in force."""
        found = self._all(
            "SELECT id, source FROM entry WHERE state = 'active' AND expires_us > ? ORDER BY seq",
            now_us,
        )
        return tuple((name, source) for name, source in found)

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
            columns = "id, cause, decision, state, since_us, expires_us, ended_us, ended_by, reach"
            rows = self._all(f"SELECT {columns} FROM entry {clause}", *values)  # noqa: S608
            states: dict[str, list[GatewayState]] = {row[0]: [] for row in rows}
            ids = list(states)
            for start in range(0, len(ids), CHUNK):
                part = ids[start : start + CHUNK]
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
                cause=DECISION.validate_json(row[1]),
                decision=DECISION.validate_json(row[2]),
                state=row[3],
                since_us=row[4],
                expires_us=row[5],
                ended_us=row[6],
                ended_by=row[7],
                reach=row[8],
                gateways=tuple(states[row[0]]),
            )
            for row in rows
        )

    def move_ends(self, step_us: int, now_us: int) -> None:
        """The wall clock was set by ``step_us`` and is ``now_us``: what runs ends as much later (or
        sooner), so that what remains of it stays; nothing was lifted in the future."""
        with self.transaction():
            self._db.execute(
                "UPDATE entry SET expires_us = max(0, expires_us + ?) WHERE state = 'active'"
                " OR (state = 'lifted' AND expires_us + ? > ?)",
                (step_us, step_us, now_us),
            )
            self._db.execute(
                "UPDATE entry SET ended_us = min(ended_us, ?) WHERE state = 'lifted'", (now_us,)
            )
            # What lay in the future now would be taken for too young to be looked after.
            for table in ("entry", "gateway"):
                self._db.execute(
                    f"UPDATE {table} SET since_us = min(since_us, ?)",  # noqa: S608
                    (now_us,),
                )
            # Gateways' reports as well, or the next ones would look older than the last.
            self._db.execute(
                "UPDATE gateway SET reported_us = max(1, reported_us + ?),"
                " expires_us = CASE expires_us WHEN 0 THEN 0 ELSE max(1, expires_us + ?) END"
                " WHERE reported_us > 0",
                (step_us, step_us),
            )
