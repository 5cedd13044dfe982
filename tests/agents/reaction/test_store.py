"""Claims on disk: ends on the clock of a boot, and what is left of them after another."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

import pytest

from agents.clock import ClockReading
from agents.reaction.claims import AddressClaims, Claim, Veto
from agents.reaction.store import ClaimStore

ONE, TWO = ip_address("203.0.113.5"), ip_address("2001:db8::5")
NOW = ClockReading("one", 1000.0, 1_800_000_000_000_000)


def claim(end: float, by: str = "supervisor.gw1@x", decision: str = "urn:x:1") -> Claim:
    return Claim(claimant=by, decision=decision, decided_us=7, since_us=8, end=end)


STATES = {
    ONE: AddressClaims(claims=(claim(1060.0), claim(1300.0, "correlation.gw1@x"))),
    TWO: AddressClaims(veto=Veto(9, 1060.0)),
}


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "blocks.sqlite3"
    with closing(ClaimStore(path)) as store:
        store.save(STATES, NOW)
    with closing(ClaimStore(path)) as store:
        found = store.load(ClockReading("one", 1500.0, 0))
        assert set(found[ONE].claims) == set(STATES[ONE].claims)
        assert found[TWO] == STATES[TWO]
        store.save({ONE: AddressClaims(claims=(claim(1060.0),))}, NOW)
        assert store.load(NOW)[ONE].claims == (claim(1060.0),)
        store.rewrite({}, NOW)
        assert store.load(NOW) == {}


@pytest.mark.parametrize(
    ("wall_s", "left"), [(90, 10.0), (-86400, 79.0), (30 * 86400, 100.0 - 30 * 86400)]
)
def test_after_a_reboot_less_is_left_and_never_more(
    tmp_path: Path, wall_s: int, left: float
) -> None:
    with closing(ClaimStore(tmp_path / "blocks.sqlite3")) as store:
        store.save({ONE: AddressClaims(claims=(claim(1200.0),))}, NOW)
        store.note(ClockReading("one", 1100.0, NOW.wall_us))
        again = ClockReading("two", 21.0, NOW.wall_us + wall_s * 1_000_000)
        (found,) = store.load(again)[ONE].claims
        assert found.end - again.steady_s == pytest.approx(left)


def test_rows_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "blocks.sqlite3"
    with closing(ClaimStore(path)) as store:
        store.save(STATES, NOW)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        bad = "1.2.3.4 }; flush ruleset"
        database.execute("INSERT INTO claim VALUES (?, 's', 'd', 1, 2, 3.0)", (bad,))
        database.execute("INSERT INTO veto VALUES (?, 1, 2.0)", (bad,))
    with closing(ClaimStore(path)) as store:
        assert store.load(NOW).keys() == STATES.keys()


def test_a_file_of_before_is_taken_over_empty(tmp_path: Path) -> None:
    """Its ends were by a wall clock that may have been set; the supervisor sends its blocks."""
    path = tmp_path / "blocks.sqlite3"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE block (address TEXT PRIMARY KEY, expires_us INTEGER)")
    with closing(ClaimStore(path)) as store:
        assert store.load(NOW) == {}


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "blocks.sqlite3"
    path.write_text("this is no database, and longer than a header" * 9)
    with closing(ClaimStore(path)) as store:
        assert store.load(NOW) == {}
    assert len(list(tmp_path.glob("blocks.sqlite3.damaged-*"))) == 1
