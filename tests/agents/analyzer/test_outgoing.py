from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from agents.analyzer.core import AnalyzerCore
from agents.analyzer.outgoing import outgoing_class
from ontology.taxonomy import ATTACK_CLASSES, superclasses

OWN = "192.0.2.66"


def alerts(bench: Any, rows: list[Any], **own: Any) -> list[Any]:
    core = AnalyzerCore(bench.blank_model(), analyzer="a", **own)
    return list(core.on_batch(bench.batch(rows)))


def scan(bench: Any) -> list[Any]:
    return [bench.connection(at=0.01 * i, dst_port=1 + i) for i in range(30)]


def test_a_scan_by_an_own_host_is_outgoing(bench: Any) -> None:
    [alert] = alerts(bench, scan(bench), protected=[ip_address(OWN)])
    assert alert.classification == "OutgoingScan"
    assert str(alert.source) == OWN
    assert "own host 192.0.2.66 is the source of SynScan" in alert.explanation
    [other] = alerts(bench, scan(bench), protected=[ip_address("192.0.2.67")])
    assert other.classification == "SynScan"


def test_a_honeypot_that_opens_a_connection_has_something_to_explain(bench: Any) -> None:
    [alert] = alerts(bench, [bench.session(dst_port=443)], honeypots=[ip_address(OWN)])
    assert (alert.classification, alert.verified_source) == ("OutgoingContact", True)
    assert alert.confidence <= 0.5
    assert "compromised" in alert.explanation


@pytest.mark.parametrize(
    "row",
    [
        {"protocol": 17, "dst_port": 53, "orig_flags": ""},
        {"protocol": 17, "dst_port": 123, "orig_flags": ""},
        {"dst": "224.0.0.251", "protocol": 17, "dst_port": 9999, "orig_flags": ""},
        {"orig_flags": "SA", "state": "OTH"},
        {"orig_flags": "R", "state": "OTH"},
        {"protocol": 254, "orig_flags": "", "dst_port": 0, "src_port": 0},
        {"protocol": 1, "src_port": 3, "dst_port": 3, "orig_flags": ""},
    ],
)
def test_housekeeping_and_answers_are_none(bench: Any, row: dict[str, Any]) -> None:
    assert alerts(bench, [bench.connection(**row)], honeypots=[ip_address(OWN)]) == []


def test_no_attack_of_an_own_host_keeps_a_class_that_rules_block(bench: Any) -> None:
    """Rules about outsiders ask for these; an own host's alert must not be one of them."""
    for kind in ATTACK_CLASSES:
        if {"Scan", "BruteForce", "Exploit", "Flood", "Spoofing"} & {kind, *superclasses(kind)}:
            renamed = outgoing_class(kind)
            assert renamed is not None
            assert "OutgoingAttack" in (renamed, *superclasses(renamed))
    assert outgoing_class("UnknownAnomaly") is None
    # What a signature says of a malicious program is a beacon when a host of ours sends it.
    assert outgoing_class("MalwareContact") == "OutgoingBeacon"
    assert outgoing_class("Tunnelling") == "OutgoingTunnel"
