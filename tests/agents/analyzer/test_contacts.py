from __future__ import annotations

from typing import Any

import pytest

from agents.analyzer import contacts


@pytest.mark.parametrize(
    ("bit", "kind"),
    list(enumerate(("SqlInjection", "CrossSiteScripting", "PathTraversal", "CommandInjection"))),
)
def test_marked_payloads_are_web_attacks(bench: Any, bit: int, kind: str) -> None:
    [alert] = bench.alerts([bench.session(indicators=1 << bit)])
    assert alert.classification == kind
    assert alert.verified_source
    assert alert.target_port == 80


def test_a_mark_without_a_handshake_verifies_nobody(bench: Any) -> None:
    [alert] = bench.alerts([bench.connection(indicators=1, orig_flags="PA", state="OTH")])
    assert not alert.verified_source


def test_contact_with_a_honeypot(bench: Any) -> None:
    core = bench.core(honeypots=["198.51.100.18", "2001:db8::18"])
    rows = [
        bench.session(src="192.0.2.10"),
        bench.connection(src="2001:db8::66", dst="2001:db8::18"),
        bench.connection(dst="198.51.100.99"),
    ]
    alerts = core.on_batch(bench.batch(rows))
    assert [(str(a.source), a.verified_source) for a in alerts] == [
        ("192.0.2.10", True),
        ("2001:db8::66", False),
    ] or [(str(a.source), a.verified_source) for a in alerts] == [
        ("2001:db8::66", False),
        ("192.0.2.10", True),
    ]
    assert {a.classification for a in alerts} == {"HoneypotContact"}


def test_what_a_honeypot_sends_and_echoes_is_no_contact(bench: Any) -> None:
    core = bench.core(honeypots=["198.51.100.18"])
    rows = [
        bench.connection(src="198.51.100.18", dst="203.0.113.1"),
        bench.connection(orig_flags="R", state="OTH"),
        bench.connection(orig_flags="SA", state="OTH"),
        bench.connection(protocol=1, src_port=3, dst_port=1, orig_flags="", state="OTH"),
        bench.connection(protocol=254, src_port=0, dst_port=0, orig_flags="", state="OTH"),
    ]
    found = core.on_batch(bench.batch(rows))
    # Its own SYN is another matter (tests/agents/analyzer/test_outgoing.py).
    assert [alert.classification for alert in found] == ["OutgoingContact"]


def test_novelty_is_reported_weakly_and_not_too_often(bench: Any) -> None:
    core = bench.core(bench.blank_model(radius=0.0))
    rows = [bench.session(src=f"10.0.0.{i}", dst=f"10.1.0.{i}") for i in range(1, 100)]
    alerts = core.on_batch(bench.batch(rows))
    assert len(alerts) == contacts.NOVELTY_MINUTE
    assert {a.classification for a in alerts} == {"UnknownAnomaly"}
    assert max(a.confidence for a in alerts) < 0.5
    assert core.counters()["novelty_held_back"] == 99 - contacts.NOVELTY_MINUTE
    assert "distance" in alerts[0].explanation
    later = [bench.session(at=120.0, src="10.9.9.9")]
    assert len(core.on_batch(bench.batch(later))) == 1


def test_novelty_is_graded_by_distance_and_never_actionable() -> None:
    grades = [contacts.novelty_confidence(d, 2.0) for d in (0.0, 2.0, 2.5, 3.0, 4.0, 400.0)]
    assert grades == pytest.approx([0.2, 0.2, 0.25, 0.3, 0.4, 0.4])
    assert contacts.novelty_confidence(1.0, 0.0) == pytest.approx(0.4)


def test_forged_novelties_leave_room_for_real_ones(bench: Any) -> None:
    core = bench.core(bench.blank_model(radius=0.0))
    # Single packets that no window detector takes for a flood or a scan.
    forged = [
        bench.connection(src=f"10.0.0.{i}", dst=f"10.1.0.{i}", orig_flags="SA", resp_flags="S")
        for i in range(1, 40)
    ]
    core.on_batch(bench.batch(forged))
    assert core.counters()["novelty_held_back"] > 0
    (real,) = core.on_batch(bench.batch([bench.session(at=1.0, src="10.9.9.9")]))
    assert (real.classification, real.verified_source) == ("UnknownAnomaly", True)


@pytest.mark.parametrize(
    ("row", "verified"),
    [
        # A blind RST with the attack as its payload: no host answers a reset.
        ({"state": "RSTO", "orig_flags": "SAR", "resp_flags": "SA"}, False),
        # A blind ACK and the attack with wrong checksums: dropped without a word.
        ({"state": "S1", "orig_flags": "SAP", "resp_flags": "SA"}, False),
        # A blind ACK that is reset late.
        ({"state": "RSTR", "orig_flags": "SAP", "resp_flags": "SAR"}, False),
        # A program answered, in this report or an earlier one, or hung up.
        ({"state": "S1", "orig_flags": "SAP", "resp_flags": "SA", "resp_bytes": 9}, True),
        ({"state": "S1", "orig_flags": "SAP", "resp_flags": "SAP"}, True),
        ({"state": "SF", "orig_flags": "SAPF", "resp_flags": "SAF"}, True),
    ],
)
def test_only_the_responder_verifies_a_source(
    bench: Any, row: dict[str, Any], verified: bool
) -> None:
    [alert] = bench.alerts([bench.connection(orig_bytes=60, indicators=1 << 2, **row)])
    assert alert.classification == "PathTraversal"
    assert alert.verified_source == verified


def test_forged_visitors_push_out_no_real_one(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs that come back make findings; the one of a real visitor goes on under its id."""
    monkeypatch.setattr(contacts, "MAX_PAIRS", 100)
    monkeypatch.setattr("agents.analyzer.crowds.INDIVIDUALS", 10_000)
    core = bench.core(honeypots=["198.51.100.18"])
    (first,) = core.on_batch(bench.batch([bench.session(src="192.0.2.10")]))
    flood = [bench.connection(src=f"23.0.{n // 250}.{n % 250}", at=1.0) for n in range(1000)]
    core.on_batch(bench.batch(flood))
    again = [bench.session(src="192.0.2.10", at=2.0, src_port=40000 + n) for n in range(5)]
    (grown,) = [
        a for a in core.on_batch(bench.batch(again)) if a.classification == "HoneypotContact"
    ]
    assert (grown.id, grown.count) == (first.id, 6)
    assert core.counters()["contact_evicted"] >= 900
