"""The blocks that this gateway should have, on disk: a reboot empties the kernel.

The kernel's set knows addresses and ends; which decision each rests on, only this file knows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from ontology.records import Address

_SCHEMA = """
CREATE TABLE IF NOT EXISTS block (
  address TEXT PRIMARY KEY, decision TEXT NOT NULL, since_us INTEGER NOT NULL,
  expires_us INTEGER NOT NULL
) WITHOUT ROWID, STRICT
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBlock:
    """One block that is in force here."""

    address: Address
    decision: str
    """Id of the decision that set its end."""
    since_us: int
    expires_us: int
    """By the wall clock when it was last set; the kernel counts by its own."""


class BlockStore:
    """A small SQLite file; one writer, any thread."""

    def __init__(self, path: Path) -> None:
        """Raises: sqlite3.Error if the file is no such file."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            # The outbox keeps what matters across a power cut; here an fsync would cost more than
            # a lost row: the supervisor sends its blocks again.
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(_SCHEMA)
        except BaseException:
            self._database.close()
            raise

    def load(self) -> list[HeldBlock]:
        """Everything stored, also what has ended since; rows that can't be read are dropped."""
        out = []
        for address, decision, since_us, expires_us in self._database.execute(
            "SELECT address, decision, since_us, expires_us FROM block"
        ):
            try:
                parsed = ip_address(address)
            except ValueError:
                continue
            out.append(
                HeldBlock(
                    address=parsed, decision=decision, since_us=since_us, expires_us=expires_us
                )
            )
        return out

    def put(self, blocks: Iterable[HeldBlock]) -> None:
        """Store or replace."""
        self._write(
            "INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?)",
            [(str(b.address), b.decision, b.since_us, b.expires_us) for b in blocks],
        )

    def remove(self, addresses: Iterable[Address]) -> None:
        """Forget."""
        self._write("DELETE FROM block WHERE address = ?", [(str(a),) for a in addresses])

    def close(self) -> None:
        self._database.close()

    def _write(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        if not rows:
            return
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany(statement, rows)
            self._database.execute("COMMIT")
        except BaseException:
            # A full disk has rolled it back already, and must be what is said.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
