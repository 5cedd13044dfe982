"""Citations on disk, at the sensor that saw the packets: bounded, and looked up by an alert.

An alert is looked up by what it says (ends, port, time, signature), not by its name: correlation
fuses alerts and gives them other names. Every method may block and be called from any thread.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

from agents.base.storage import Faults, open_store, transaction
from agents.base.store_limits import Limits, TableLimit
from agents.sensor.evidence.citations import Citation, Ends, is_about
from ontology.records import Address, Alert

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS citation (
    number INTEGER PRIMARY KEY AUTOINCREMENT, proven INTEGER NOT NULL, protocol INTEGER NOT NULL,
    one BLOB NOT NULL, one_port INTEGER NOT NULL, other BLOB NOT NULL, other_port INTEGER NOT NULL,
    signature TEXT NOT NULL, time_us INTEGER NOT NULL, packets INTEGER NOT NULL,
    cited INTEGER NOT NULL, omitted INTEGER NOT NULL, link_type INTEGER NOT NULL,
    frame BLOB NOT NULL, capture BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS citation_worth ON citation (proven, number);
CREATE INDEX IF NOT EXISTS citation_one ON citation (one, number);
CREATE INDEX IF NOT EXISTS citation_other ON citation (other, number);
CREATE INDEX IF NOT EXISTS citation_time ON citation (time_us);
"""
_VERSION: Final = 1
MAX_PROVEN: Final = 8_000
MAX_UNPROVEN: Final = 2_000
"""Citations kept; the oldest go first."""
MAX_PER_HOST: Final = 200
"""Of one source."""
SIZE_BYTES: Final = 128 << 20
NEAR_US: Final = 120_000_000
"""An alert that repeats an earlier one may cite what was kept for that one, so long before."""
_LOOKED_AT: Final = 2_000
"""Rows that one question looks at, the newest."""


def limits(size_bytes: int = SIZE_BYTES) -> Limits:
    """When bytes run out, what proves nothing goes first."""
    return Limits(
        size_bytes=size_bytes,
        tables=tuple(
            TableLimit(table="citation", rows=rows, worst_first="number", key="number", only=only)
            for rows, only in ((MAX_UNPROVEN, "proven = 0"), (MAX_PROVEN, "proven = 1"))
        ),
        reserve_pages=256,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept for an alert."""

    packets: int
    cited: int
    omitted: int
    link_type: int
    frame: bytes
    """The cited packet."""
    capture: bytes
    """A pcap file."""
    signature: str


class EvidenceStore:
    """See the module. Raises: StoreError if the file can't be used."""

    def __init__(
        self, path: Path, faults: Faults | None = None, size_bytes: int = SIZE_BYTES
    ) -> None:
        self._db = open_store(
            path, schema=_SCHEMA, version=_VERSION, limits=limits(size_bytes), faults=faults
        )

    @property
    def dropped(self) -> int:
        """Citations that had to make room since the start."""
        return self._db.dropped

    def look(self) -> None:
        """See `agents.base.storage.Database.look`."""
        self._db.look()

    def close(self) -> None:
        """Close the file; it can't be used afterwards."""
        self._db.close()

    def __len__(self) -> int:
        row = self._db.execute("SELECT count(*) FROM citation").fetchone()
        return int(row[0]) if row else 0

    def add(self, citations: Sequence[Citation]) -> None:
        """Keep them."""
        for citation in citations:
            ends = citation.ends
            with transaction(self._db):
                self._db.execute(
                    "INSERT INTO citation (proven, protocol, one, one_port, other, other_port,"
                    " signature, time_us, packets, cited, omitted, link_type, frame, capture)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        citation.proven,
                        ends.protocol,
                        ends.one,
                        ends.one_port,
                        ends.other,
                        ends.other_port,
                        citation.signature,
                        citation.cited.time_us,
                        citation.packets,
                        citation.number,
                        citation.omitted,
                        citation.link_type,
                        zlib.compress(citation.cited.data, 1),
                        zlib.compress(citation.capture, 1),
                    ),
                )
                self._db.execute(
                    "DELETE FROM citation WHERE number IN (SELECT number FROM citation"
                    " WHERE one = ? ORDER BY number DESC LIMIT -1 OFFSET ?)",
                    (ends.one, MAX_PER_HOST),
                )

    def find(self, alert: Alert) -> Kept | None:
        """What is kept for an alert: in its time, else what was kept shortly before."""
        where, values = _host(alert)
        rows = self._db.execute(
            "SELECT number, protocol, one, one_port, other, other_port, signature, time_us,"  # noqa: S608
            f" proven FROM citation WHERE {where} AND time_us BETWEEN ? AND ?"
            " ORDER BY number DESC LIMIT ?",
            (*values, alert.begin_us - NEAR_US, alert.end_us + 1_000_000, _LOOKED_AT),
        )
        best: tuple[tuple[bool, bool, int], int] | None = None
        for number, protocol, one, one_port, other, other_port, signature, time_us, proven in rows:
            ends = Ends(protocol, one, one_port, other, other_port)
            wanted = signature in alert.signatures if alert.signatures else not signature
            if not wanted or not is_about(ends, alert):
                continue
            # In its own time the first that proves something, before that the last.
            within = time_us >= alert.begin_us
            worth = (within, bool(proven), -time_us if within else time_us)
            if best is None or worth > best[0]:
                best = worth, number
        if best is None:
            return None
        row = self._db.execute(
            "SELECT packets, cited, omitted, link_type, frame, capture, signature FROM citation"
            " WHERE number = ?",
            (best[1],),
        ).fetchone()
        if row is None:
            return None
        packets, cited, omitted, link_type, frame, capture, signature = row
        return Kept(
            packets=packets,
            cited=cited,
            omitted=omitted,
            link_type=link_type,
            frame=zlib.decompress(frame),
            capture=zlib.decompress(capture),
            signature=signature,
        )


def _host(alert: Alert) -> tuple[str, tuple[bytes, ...]]:
    """A host of the alert's, by which rows are found; an alert of many has none."""
    address = alert.source or alert.target
    if address is None:
        return "1", ()
    raw = _raw(address)
    return "(one = ? OR other = ?)", (raw, raw)


def _raw(address: Address) -> bytes:
    mapped = b"" if address.version == 6 else bytes(10) + b"\xff\xff"
    return IPv6Address(mapped + address.packed).packed
