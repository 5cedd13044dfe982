from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, ip_address

from agents.correlation.narrative import (
    MAX_ALERTS,
    describe_alert,
    describe_incident,
    describe_kinds,
    describe_role,
)
from ontology.reasoner.inferences import Explanation, Fact
from ontology.records import Alert
from ontology.vocabulary import IDPS, NAMESPACE

ALERT = Alert(
    id="urn:uuid:1",
    classification="SynScan",
    source=ip_address("192.0.2.7"),
    target=IPv6Address("2001:db8::5"),
    protocol=6,
    begin_us=1_790_000_000_123_456,
    end_us=1_790_000_001_000_000,
    count=1000,
    confidence=0.9,
    verified_source=False,
    sensor="s",
    analyzer="a",
    explanation="text that quotes an attacker",
)


def test_an_alert_in_words() -> None:
    assert describe_alert(ALERT) == (
        "SynScan from 192.0.2.7 on 2001:db8::5 at 2026-09-21 14:13:20 UTC "
        "(1000 connections, confidence 0.90, source not verified)"
    )
    flood = replace(ALERT, source=None, source_count=40, count=1, target_port=80)
    assert describe_alert(flood).startswith("SynScan from 40 hosts on 2001:db8::5")
    assert "(1 connection, port 80, " in describe_alert(flood)


def test_facts_that_alerts_do_not_say_themselves() -> None:
    pot = Fact("type", ("urn:ontoidps:host:2001:db8::5", IDPS.Honeypot))
    assert describe_role(pot) == "2001:db8::5 is a Honeypot"
    assert describe_role(Fact("prop", (IDPS.hasSource, "urn:uuid:1", "x"))) == ""
    worth = Fact("prop", (IDPS.assetValue, "urn:ontoidps:host:198.51.100.1", "5"))
    assert describe_role(worth) == "assetValue of 198.51.100.1 is 5"
    named = Fact("prop", (IDPS.clusterName, "urn:uuid:1", "own scanner"))
    assert describe_role(named) == "clusterName of an alert is own scanner"


def test_kinds_are_told_up_to_the_class_that_the_rule_names() -> None:
    facts = [
        Fact("subClassOf", (NAMESPACE + "PortScan", IDPS.Scan)),
        Fact("subClassOf", (IDPS.SynScan, NAMESPACE + "PortScan")),
        Fact("subClassOf", (IDPS.FtpBruteForce, IDPS.BruteForce)),
    ]
    assert describe_kinds("SynScan", facts) == "SynScan is a kind of PortScan, and that of Scan"
    assert describe_kinds("FtpBruteForce", facts) == "FtpBruteForce is a kind of BruteForce"
    assert describe_kinds("UdpScan", facts) == ""
    circle = [Fact("subClassOf", ("A", "B")), Fact("subClassOf", ("B", "A"))]
    assert describe_kinds("A", circle) == "A is a kind of B, and that of A"


def test_a_long_story_is_cut_in_the_middle() -> None:
    alerts = [replace(ALERT, target_port=port) for port in range(50)]
    why = Explanation("R", "why", ("R",), ())
    lines = describe_incident("R", "why", alerts, [why]).splitlines()
    assert lines[0] == "Rule R: why" and len(lines) == 1 + MAX_ALERTS + 1
    assert "port 0," in lines[1] and "port 49," in lines[-1]
    assert lines[1 + MAX_ALERTS // 2] == f"({50 - MAX_ALERTS} more alerts)"
    assert ALERT.explanation not in "\n".join(lines)
