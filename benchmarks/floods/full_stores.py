"""Stores of a honeynet that has run, filled to their bounds with variants of what is in them."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from agents.base.message_log import NAMES, logs_folder
from agents.clock import read_clocks
from agents.ontology.archive import CAPACITY, Archive
from agents.settings.honeynet import Settings
from agents.supervisor.ledger import Ledger, Retention
from ontology.records import Alert

_ID = re.compile("urn:uuid:[0-9a-f]{8}")
_TOKEN = re.compile("^([mc]-)[0-9a-f]{8}")
"""Names of messages and conversations."""
FIRST_ADDRESS = int(IPv4Address("10.0.0.1"))


def _rows(db: sqlite3.Connection, table: str, keep: str) -> list[dict[str, Any]]:
    found = db.execute(f"SELECT * FROM {table} WHERE {keep} LIMIT 1")  # noqa: S608
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def multiply(
    db: sqlite3.Connection,
    table: str,
    count: int,
    *,
    keep: str = "1",
    source: str = "",
    changes: dict[str, Any] | None = None,
) -> int:
    """Until the table has ``count`` rows that ``keep``: its first one again and again.

    In every text of a copy each id becomes another one, the same in all tables, and the value of
    ``source`` another address. Returns how many rows there are.
    """
    [have] = db.execute(f"SELECT count(*) FROM {table} WHERE {keep}").fetchone()  # noqa: S608
    for row in _rows(db, table, keep):
        row |= changes or {}
        for number in ("seq", "id"):
            if isinstance(row.get(number), int):
                del row[number]  # SQLite's own
        was = str(row[source]) if source else ""

        def copy(number: int, row: dict[str, Any] = row, was: str = was) -> Iterator[object]:
            address = str(IPv4Address(FIRST_ADDRESS + number))
            for value in row.values():
                if isinstance(value, str):
                    value = _ID.sub(f"urn:uuid:{number:08x}", value)
                    value = _TOKEN.sub(rf"\g<1>{number:08x}", value)
                    value = value.replace(was, address) if was else value
                yield value

        places = ", ".join("?" * len(row))
        sql = f"INSERT OR IGNORE INTO {table} ({', '.join(row)}) VALUES ({places})"  # noqa: S608
        db.executemany(sql, (tuple(copy(number)) for number in range(count - have)))
        db.commit()
    [have] = db.execute(f"SELECT count(*) FROM {table} WHERE {keep}").fetchone()  # noqa: S608
    return int(have)


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path)


def _fill_ledger(path: Path, until_us: int, active: int, gateways: list[str]) -> dict[str, int]:
    limits = Retention()
    ledger = Ledger(path)
    with ledger.transaction():
        for _ in range(limits.audit):
            ledger.audit("user:bench", "noted", "the bench", "to fill the trail", until_us)
    ledger.close()
    db = _open(path)
    filled = {
        "ledger alerts": multiply(db, "alert", limits.alerts),
        "ledger incidents": multiply(db, "incident", limits.incidents),
        "ledger decisions": multiply(db, "decision", limits.decisions),
        "ledger ended": multiply(
            db, "entry", limits.entries, keep="state <> 'active'", source="source"
        ),
        "ledger active": multiply(
            db, "entry", active, keep="state = 'active'", source="source",
            changes={"expires_us": until_us},
        ),
    }  # fmt: skip
    for gateway in gateways:
        filled[f"ledger on {gateway}"] = multiply(
            db, "gateway", active, keep=f"gateway = '{gateway}' AND state = 'active'"
        )
    db.close()
    return filled


def _fill_page(path: Path, active: int) -> dict[str, int]:
    limits = Retention()
    db = _open(path)
    ended, runs = "state <> 'active'", "state = 'active'"
    filled = {
        "page alerts": multiply(db, "alert", limits.alerts),
        "page incidents": multiply(db, "incident", limits.incidents, source="source"),
        "page rulings": multiply(db, "ruling", limits.decisions),
        "page ended": multiply(db, "ban", limits.entries, keep=ended, source="source"),
        "page active": multiply(db, "ban", active, keep=runs, source="source"),
    }
    db.close()
    return filled


def _fill_log(folder: Path, half: int) -> int:
    path, older = (folder / name for name in NAMES)
    if not path.is_file() or not (entries := path.read_bytes()):
        return 0
    whole = entries * (half // len(entries))
    older.write_bytes(whole)
    path.write_bytes(whole)
    return 2 * len(whole)


def fill(
    settings: Settings, control: str, gateways: list[str], now_us: int, active: int
) -> dict[str, int]:
    """Every store of these nodes to its bound, but for blocks in force, which are ``active``;
    answers rows by store (and bytes of the logs of messages)."""
    until_us = now_us + settings.policy.maximum_duration * 1_000_000
    until_s = read_clocks().steady_s + settings.policy.maximum_duration
    state, end = settings.state_dir, f"@{settings.domain}"
    homes = {
        path.name.removesuffix(end): path for path in state.iterdir() if path.name.endswith(end)
    }
    journal = _open(homes[f"correlation.{control}"] / "alerts.sqlite3")
    filled = {
        "journal": multiply(journal, "alert", 50_000, keep="verified", changes={"done": 1}),
        "conclusions": multiply(journal, "conclusion", 50_000, source=""),
    }
    journal.close()
    filled |= _fill_ledger(
        homes[f"supervisor.{control}"] / "ledger.sqlite3", until_us, active, gateways
    )
    filled |= _fill_page(homes[f"console.{control}"] / "store.sqlite3", active)
    for gateway in gateways:
        claims = _open(homes[f"reaction.{gateway}"] / "blocks.sqlite3")
        filled[f"claims {gateway}"] = multiply(
            claims, "claim", active, source="address", changes={"end": until_s}
        )
        claims.close()
    for name, home in homes.items():
        mail = _open(home / "mail.sqlite3")
        filled[f"handled {name}"] = multiply(mail, "seen", 101_000)
        mail.close()
    archive = Archive(homes[f"ontology.{control}"] / "archive")
    one = next(r for r in map(archive.get, list(archive._order)) if isinstance(r, Alert))
    for begin in range(0, CAPACITY, 500):
        archive.add(
            [replace(one, id=f"urn:uuid:{n:08x}-0000-4000-8000-00000000a2c8")
             for n in range(begin, begin + 500)]
        )  # fmt: skip
    filled["archive"] = len(archive)
    archive.close()
    folders = [path for path in logs_folder(state).iterdir() if path.is_dir()]
    half = (settings.message_log_mib << 20) // 2
    filled["logs of messages, bytes"] = sum(_fill_log(f, half) for f in folders)
    return filled
