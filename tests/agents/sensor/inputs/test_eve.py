"""Suricata's eve.json."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agents.sensor.inputs.log_files import read_lines
from ontology.records import CONNECTION_STATES

DATA = Path(os.environ.get("ONTOIDPS_DATA", "")) / "alerts-cptc2017"


def changed(line: str, **values: Any) -> str:
    event = json.loads(line)
    for name, value in values.items():
        place = event["alert"] if name in ("signature", "category", "source") else event
        place[name] = value
    return json.dumps(event)


def test_alert_gets_class_and_confidence_of_the_table(parse: Any, lines: Any) -> None:
    (alert,) = parse("eve", lines["eve"][0]).alerts
    assert alert.classification == "WebAttack"
    assert (str(alert.source), str(alert.target), alert.target_port) == (
        "192.0.2.66",
        "203.0.113.80",
        80,
    )
    at = datetime.fromisoformat("2026-11-17T12:48:35.198583+00:00").timestamp()
    assert alert.begin_us == alert.end_us == round(at * 1e6)
    assert alert.confidence == 0.6
    assert alert.verified_source  # "stream": 1
    assert "2010937" in alert.explanation


def test_a_honeypot_makes_the_same_alert_worth_more(parse: Any, lines: Any, honeypot: str) -> None:
    (alert,) = parse("eve", changed(lines["eve"][0], dest_ip=honeypot)).alerts
    assert (alert.classification, alert.confidence) == ("WebAttack", 0.8)


def test_noise_is_silent_but_not_at_a_honeypot(parse: Any, lines: Any, honeypot: str) -> None:
    noise = changed(lines["eve"][0], category="Misc activity")
    seen = parse("eve", noise)
    assert (seen.alerts, seen.counters["silent"]) == ([], 1)
    (alert,) = parse("eve", changed(noise, dest_ip=honeypot)).alerts
    assert (alert.classification, alert.confidence) == ("HoneypotContact", 0.4)


def test_the_victims_answer_accuses_the_one_who_asked(parse: Any, lines: Any) -> None:
    message = "GPL ATTACK_RESPONSE id check returned root"
    (alert,) = parse("eve", changed(lines["eve"][0], signature=message)).alerts
    assert (alert.classification, str(alert.source)) == ("RootAccess", "203.0.113.80")
    # A rule with a "target" keyword names both itself.
    named = changed(lines["eve"][0], signature=message, source={"ip": "192.0.2.66", "port": 1})
    (alert,) = parse("eve", named).alerts
    assert str(alert.source) == "192.0.2.66"


def test_one_packet_does_not_verify_a_source(parse: Any, lines: Any) -> None:
    (alert,) = parse("eve", changed(lines["eve"][0], stream=0)).alerts
    assert not alert.verified_source


def test_flow_is_a_connection(parse: Any, lines: Any) -> None:
    (row,) = parse("eve", lines["eve"][1]).rows
    assert CONNECTION_STATES[row["state"]] == "SF"
    assert (row["src_port"], row["dst_port"], row["ip_version"]) == (40000, 22, 6)
    assert row["duration_us"] == 2_500_000
    assert (row["orig_packets"], row["resp_packets"]) == (6, 5)
    assert (row["orig_bytes"], row["resp_bytes"]) == (524 - 6 * 54, 970 - 5 * 54)
    assert row["src"].tobytes() == ip_address("2001:db8::7").packed


@pytest.mark.parametrize(
    ("reason", "values"),
    [
        ("address", {"src_ip": "1.2.3.4.5"}),
        ("address", {"dest_ip": "192.0.2.1%" + "z" * 60}),
        ("port", {"dest_port": 65536}),
        ("port", {"dest_port": True}),
        ("time", {"timestamp": "yesterday, half past nine"}),
        ("time", {"timestamp": "1969-12-31T23:59:59+0000"}),
        ("protocol", {"proto": "TCP\n"}),
        ("shape", {"alert": "x"}),
        ("future", {"timestamp": "2030-01-01T00:00:00+0000"}),
    ],
)
def test_lies_are_refused_and_counted(
    parse: Any, lines: Any, reason: str, values: dict[str, Any]
) -> None:
    seen = parse("eve", changed(lines["eve"][0], **values))
    assert seen.alerts == []
    assert seen.counters[f"refused.{reason}"] == seen.counters["refused"] == 1


@pytest.mark.data
@pytest.mark.parametrize(("team", "known"), [(1, 4274), (2, 2923), (5, 1912)])
def test_cptc_2017(parse: Any, tmp_path: Path, team: int, known: int) -> None:
    """Every alert of three teams of a real exercise is understood."""
    path = DATA / f"NationalTeam{team}.json.gz"
    if not os.environ.get("ONTOIDPS_DATA") or not path.is_file():
        pytest.skip("ONTOIDPS_DATA names no folder with alerts-cptc2017")
    # The files are Splunk's; what Suricata wrote is a string in them.
    text = b"\n".join(line for lines in read_lines(path) for line in lines).decode("utf-8-sig")
    raw = [entry["result"]["_raw"] for entry in json.loads(text)]
    assert len(raw) == known
    seen = parse("eve", *raw)
    assert seen.counters["refused"] == 0
    assert seen.counters["claims"] + seen.counters["silent"] == known
    # Counted apart, by the words of the file alone.
    web = sum(json.loads(line)["alert"]["category"] == "Web Application Attack" for line in raw)
    found: Counter[str] = Counter()
    for alert in seen.alerts:
        found[alert.classification] += alert.count
    attacks = ("WebAttack", "SqlInjection", "CrossSiteScripting", "CommandInjection")
    attacks += ("PathTraversal", "Scan")
    assert sum(found[name] for name in attacks) >= web > 0


@pytest.mark.parametrize(
    ("more", "verified"),
    [
        ({}, True),
        ({"flow": {"src_ip": "192.0.2.66"}, "direction": "to_server"}, True),
        ({"flow": {"src_ip": "203.0.113.80"}}, False),
        ({"direction": "to_client"}, False),
        ({"src_port": 80, "dest_port": 40112}, False),
        ({"src_port": 80, "dest_port": 80}, False),
    ],
)
def test_whoever_was_called_is_not_verified_by_what_he_answers(
    parse: Any, lines: Any, more: dict[str, Any], verified: bool
) -> None:
    """A decoy can be made to fetch anything from anybody."""
    event = json.loads(lines["eve"][0]) | more
    (alert,) = parse("eve", json.dumps(event)).alerts
    assert (str(alert.source), alert.verified_source) == ("192.0.2.66", verified)
