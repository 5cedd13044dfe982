"""Unverified alerts have a budget per class; beyond it their sources are counted in crowds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from typing import Any

import pytest

from agents.analyzer import crowds
from agents.analyzer.core import AnalyzerCore, load_model
from agents.analyzer.crowds import Crowds
from ontology.fragments import decode, encode
from ontology.reasoner.window import build_window
from ontology.records import Alert
from tests.factories import T0, make_alert, record_id

POTS = [f"198.51.100.{n}" for n in range(18, 38)]


def forged(count: int, **changes: Any) -> list[Alert]:
    """Alerts of as many sources, which proved nothing."""
    first = IPv4Address("23.0.0.0")
    return [
        make_alert(**({"id": record_id(n + 1), "source": first + n, "begin_us": T0 + n} | changes))
        for n in range(count)
    ]


def contacts(bench: Any, count: int, kind: str) -> list[Any]:
    """Bare packets of as many forged sources at honeypots, five seconds of them."""
    rows = []
    for n in range(count):
        row = {"at": n * 5.0 / count, "dst": POTS[0], "src_port": 1024 + n % 60000}
        row |= {"src": str(IPv4Address(0x17000000 + n * 2654435761 % 0x1000000))}
        match kind:
            case "bare ACK":
                row |= {"dst_port": 1 + n % 1000, "orig_flags": "A", "state": "OTH"}
                row |= {"orig_bytes": 1}
            case "UDP":
                row |= {"protocol": 17, "dst_port": 1 + n % 1000, "orig_flags": "", "state": "S0"}
            case "ICMP":
                row |= {"protocol": 1, "src_port": 8, "dst_port": 0, "orig_flags": ""}
            case "IPv6 /64":
                row |= {"src": f"2001:db8:0:7::{n:x}", "dst": "2001:db8::18", "dst_port": 22}
            case "SYNs to 20":
                row |= {"dst": POTS[n % 20], "dst_port": 1 + n % 1000}
            case "any protocol":
                row |= {"protocol": 60 + n % 190, "src_port": 0, "dst_port": 0, "orig_flags": ""}
        rows.append(bench.connection(**row))
    return rows


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        ("bare ACK", 1),
        ("UDP", 1),
        ("ICMP", 1),
        ("IPv6 /64", 1),
        ("SYNs to 20", 20),
        ("any protocol", crowds.MAX_TARGETS + 1),
    ],
)
def test_a_flood_of_contacts_is_a_crowd(bench: Any, kind: str, most: int) -> None:
    core = bench.core(honeypots=[*POTS, "2001:db8::18"])
    rows = contacts(bench, 4000, kind)
    alerts = []
    for begin in range(0, len(rows), 80):  # ten batches a second
        alerts += core.on_batch(bench.batch(rows[begin : begin + 80]))
    found = [a for a in alerts if a.classification == "HoneypotContact"]
    alone = [a for a in found if a.source is not None]
    assert len(alone) == crowds.INDIVIDUALS
    latest = {a.id: a for a in found if a.source is None}
    assert 1 <= len(latest) <= most
    # Reported when it begins and at each doubling: not once a batch.
    assert len(found) - len(alone) <= len(latest) * 12
    assert not any(a.verified_source for a in found)
    # Between two reports it may have doubled at most, less one.
    counted = sum(a.source_count for a in latest.values())
    assert (4000 - len(alone)) / 2 <= counted <= 4000 - len(alone)
    assert core.counters()["crowded"] == 4000 - len(alone)
    for alert in latest.values():
        assert 1 <= len(alert.sources) <= min(16, alert.source_count)
        assert alert.begin_us < alert.end_us < T0 + 5_000_000
        assert str(alert.source_count) in alert.explanation
        assert decode(encode([alert])) == (alert,)
        assert build_window([alert], {}).alerts == 1


def test_a_visitor_is_named_amid_a_flood(bench: Any) -> None:
    core = bench.core(honeypots=POTS)
    core.on_batch(bench.batch(contacts(bench, 500, "bare ACK")))
    rows = [*contacts(bench, 500, "UDP"), bench.session(src="192.0.2.10", dst=POTS[0])]
    named = [a for a in core.on_batch(bench.batch(rows)) if a.verified_source]
    assert [(a.classification, str(a.source)) for a in named] == [("HoneypotContact", "192.0.2.10")]


def test_a_flood_of_one_class_leaves_the_others_their_budget() -> None:
    """A scan of forged sources across classes: each has individuals and a crowd."""
    board = Crowds("a")
    kinds = ["SynScan", "UdpScan", "SqlInjection", "SshBruteForce", "UnknownAnomaly"]
    alerts = [
        replace(a, classification=kinds[n % 5], id=record_id(n)) for n, a in enumerate(forged(5000))
    ]
    told = board.take(alerts, T0)
    assert Counter(a.classification for a in told if a.source is not None) == dict.fromkeys(
        kinds, crowds.INDIVIDUALS
    )
    assert sorted(a.classification for a in told if a.source is None) == sorted(kinds)
    # One class is full, another is not.
    more = board.take(forged(1, classification="FtpBruteForce", id=record_id("new")), T0 + 1)
    assert [a.source is None for a in more] == [False]


def test_what_is_verified_passes_whatever_the_crowd() -> None:
    board = Crowds("a")
    told = board.take([*forged(1000), *forged(300, verified_source=True)], T0)
    assert sum(a.verified_source for a in told) == 300


def test_updates_of_who_was_named_are_passed_on() -> None:
    board = Crowds("a")
    first, *_ = board.take(forged(1000), T0)
    again = replace(first, count=7)
    assert board.take([again], T0 + 1) == [again]


def test_the_count_of_a_crowd_is_that_of_its_connections() -> None:
    board = Crowds("a")
    board.take(forged(crowds.INDIVIDUALS + 10), T0)
    grown = [replace(a, count=5) for a in forged(crowds.INDIVIDUALS + 10)[-10:]]
    board.take(grown, T0 + 1)
    (later,) = board.take(
        [replace(a, id=record_id(a.id), source=a.source + 500) for a in grown], T0 + 2
    )
    assert (later.source_count, later.count) == (20, 100)


def test_who_proves_something_leaves_the_crowd_and_what_was_forged_stays_unverified() -> None:
    """A scan before a guessed password is joined to it, also amid a flood of forged scans."""
    board = Crowds("a")
    scan = make_alert(id=record_id("scan"), source="192.0.2.7")
    told = board.take([*forged(200), scan], T0)
    assert scan not in told
    guess = make_alert(
        id=record_id("guess"),
        source="192.0.2.7",
        classification="SshBruteForce",
        verified_source=True,
    )
    assert board.take([guess], T0 + 1) == [scan, guess]
    assert board.counters()["crowd_left"] == 1
    # From now on it is named; but its name is no way around the budget.
    more = [replace(a, id=record_id(a.id)) for a in forged(50, source="192.0.2.7")]
    own = [a for a in board.take(more, T0 + 2) if a.source is not None]
    assert len(own) == crowds.OWN_ALERTS - 1


def test_a_new_period_has_a_new_budget_and_a_clock_set_back_too() -> None:
    board = Crowds("a")
    board.take(forged(1000), T0)
    assert board.full("SynScan", T0 + crowds.PERIOD_US - 1)
    assert not board.full("SynScan", T0 + crowds.PERIOD_US)
    board.take(forged(1000), T0 + crowds.PERIOD_US)
    assert board.full("SynScan", T0)  # late packets
    assert not board.full("SynScan", T0 - 3 * crowds.PERIOD_US)


def test_a_crowd_that_rested_begins_anew() -> None:
    board = Crowds("a")
    first = next(a for a in board.take(forged(100), T0) if a.source is None)
    later = T0 + crowds.IDLE_US + 1_000_000
    told = board.take(forged(100, begin_us=later), later)
    crowd = next(a for a in told if a.source is None)
    assert crowd.id != first.id
    assert (crowd.begin_us, crowd.source_count) == (later, 100 - crowds.INDIVIDUALS)


def test_floods_without_a_source_have_the_budget_as_well() -> None:
    """One alert per flooded port: an attacker has 65,536 of them."""
    board = Crowds("a")
    told = board.take(forged(1000, classification="SynFlood", source=None, source_count=300), T0)
    assert len(told) == crowds.INDIVIDUALS + 1
    assert told[-1].source_count == 300


def test_every_table_is_bounded_and_counted() -> None:
    board = Crowds("a")
    for turn in range(30):
        first = ip_address("2001:db8::") + turn * 1_000_000
        board.take(
            [
                make_alert(
                    id=record_id(turn * 10_000 + n),
                    classification=f"Kind{(turn * 1000 + n) % 400}",
                    source=first + n,
                    target=first + n % 300,
                    verified_source=not n % 10,
                )
                for n in range(4000)
            ],
            T0 + turn,
        )
    assert len(board._alone) <= crowds.MAX_CLASSES
    assert len(board._proven) <= crowds.MAX_PROVEN
    assert len(board._places) <= crowds.MAX_CLASSES
    assert all(len(places) <= crowds.MAX_TARGETS for places in board._places.values())
    assert all(len(held) <= crowds.MAX_HELD for held in board._held.values())
    assert len(board._counted) <= crowds.MAX_COUNTED
    assert len(board._crowds) <= crowds.MAX_CROWDS
    assert board._crowds._total <= crowds.CONTENTS
    counters = board.counters()
    assert counters["crowd_refused"] > 0
    assert counters["crowd_evicted"] > 0


def test_the_network_is_not_asked_about_a_crowd(bench: Any) -> None:
    """A verdict takes a millisecond, an alert that joins a crowd needs none."""
    core = AnalyzerCore(load_model(), analyzer="a", honeypots=[ip_address(p) for p in POTS])
    rows = [bench.connection(src=f"23.0.{n // 250}.{n % 250}", indicators=1) for n in range(500)]
    core.on_batch(bench.batch(rows[:250]))
    asked = core.counters()["network_asked"]
    core.on_batch(bench.batch(rows[250:]))
    assert core.counters()["network_asked"] - asked <= 2  # the flood's own alerts
