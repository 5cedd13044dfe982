"""The claims on this gateway's addresses, on disk: a reboot empties the kernel.

The kernel's set knows addresses and ends; who claims them, and on which decision, only this file
knows. Ends stand on the clock of the boot in which they were written, beside a reading of both
clocks, so that what remains after another boot never exceeds what was ordered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from agents.base.storage import Faults, open_store, transaction
from agents.base.store_limits import Limits, TableLimit
from agents.clock import ClockReading, passed_s
from agents.reaction.claims import AddressClaims, Claim, Veto
from ontology.records import Address

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS claim (
  address TEXT NOT NULL, claimant TEXT NOT NULL, decision TEXT NOT NULL,
  decided_us INTEGER NOT NULL, since_us INTEGER NOT NULL, end REAL NOT NULL,
  PRIMARY KEY (address, claimant, decision)) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS claim_by_end ON claim (end);
CREATE TABLE IF NOT EXISTS veto (
  address TEXT PRIMARY KEY, decided_us INTEGER NOT NULL, end REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS clock (
  one INTEGER PRIMARY KEY CHECK (one = 1), boot TEXT NOT NULL, steady_s REAL NOT NULL,
  wall_us INTEGER NOT NULL) STRICT;
"""
_VERSION: Final = 2
# Version 1 had ends by the wall clock alone; the supervisor sends its blocks again.
_MIGRATIONS: Final = {1: "DROP TABLE block"}

MAX_VETOES: Final = 10_000
"""Lifts kept on disk; the oldest go first."""
MAX_CLAIMS: Final = 200_000
"""Claims kept on disk; those that end first go first. The kernel has them as well."""
_LIMITS: Final = Limits(
    size_bytes=96 << 20,
    tables=(
        TableLimit(table="veto", rows=MAX_VETOES),
        TableLimit(
            table="claim", rows=MAX_CLAIMS, worst_first="end", key="(address, claimant, decision)"
        ),
    ),
    reserve_pages=256,
)


class ClaimStore:
    """A small SQLite file, for any thread."""

    def __init__(self, path: Path, faults: Faults | None = None) -> None:
        """Raises: StoreError"""
        # The outbox keeps what matters across a power cut; here an fsync would cost more than a
        # lost row: the supervisor sends its blocks again.
        self._database = open_store(
            path,
            schema=_SCHEMA,
            version=_VERSION,
            migrations=_MIGRATIONS,
            limits=_LIMITS,
            faults=faults,
        )
        self.rebooted = False
        """Whether what was loaded is of another boot: ends may have moved."""

    def load(self, now: ClockReading) -> dict[Address, AddressClaims]:
        """Everything stored, with ends on the clock of this boot; also what has ended since.

        Rows that can't be read are left out. What remains of a claim is what remained when the
        clocks were last noted, less what is known to have passed.
        """
        row = self._database.execute("SELECT boot, steady_s, wall_us FROM clock").fetchone()
        noted = now if row is None else ClockReading(*row)
        self.rebooted = noted.boot != now.boot
        shift = 0.0
        if self.rebooted:
            shift = now.steady_s - noted.steady_s - passed_s(noted, now)
        claims: dict[Address, list[Claim]] = {}
        for address, claimant, decision, decided_us, since_us, end in self._database.execute(
            "SELECT address, claimant, decision, decided_us, since_us, end FROM claim"
        ):
            if (parsed := _parsed(address)) is not None:
                claim = Claim(
                    claimant=claimant,
                    decision=decision,
                    decided_us=decided_us,
                    since_us=since_us,
                    end=end + shift,
                )
                claims.setdefault(parsed, []).append(claim)
        found = {address: AddressClaims(claims=tuple(part)) for address, part in claims.items()}
        for address, decided_us, end in self._database.execute(
            "SELECT address, decided_us, end FROM veto ORDER BY rowid"
        ):
            if (parsed := _parsed(address)) is not None:
                known = found.get(parsed, AddressClaims())
                found[parsed] = replace(known, veto=Veto(decided_us, end + shift))
        return found

    def save(self, changed: Mapping[Address, AddressClaims], now: ClockReading) -> None:
        """Store what stands of these addresses, and the clocks."""
        with transaction(self._database):
            self._note(now)
            for address, state in changed.items():
                text = str(address)
                self._database.execute("DELETE FROM claim WHERE address = ?", (text,))
                self._database.executemany(
                    "INSERT INTO claim VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        (text, c.claimant, c.decision, c.decided_us, c.since_us, c.end)
                        for c in state.claims
                    ],
                )
                if state.veto is not None:
                    self._database.execute(
                        "INSERT OR REPLACE INTO veto VALUES (?, ?, ?)",
                        (text, state.veto.decided_us, state.veto.end),
                    )

    def rewrite(self, states: Mapping[Address, AddressClaims], now: ClockReading) -> None:
        """Store these states in place of everything, with ends on the clock of this boot."""
        with transaction(self._database):
            self._database.execute("DELETE FROM claim")
            self._database.execute("DELETE FROM veto")
            self.save(states, now)

    def note(self, now: ClockReading) -> None:
        """Note that this much time has passed."""
        with transaction(self._database):
            self._note(now)

    def look(self) -> None:
        """See `agents.base.storage.Database.look`."""
        self._database.look()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _note(self, now: ClockReading) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?)",
            (now.boot, now.steady_s, now.wall_us),
        )


def _parsed(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
