"""Cowrie's JSON log, through the analyzer's own detectors."""

from __future__ import annotations

import json
import os
from collections import Counter
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agents.analyzer.core import AnalyzerCore, load_model
from agents.sensor.inputs.events import Options
from agents.sensor.inputs.log_files import read_lines
from agents.sensor.inputs.registry import make_parser
from ontology.records import Alert

DATA = Path(os.environ.get("ONTOIDPS_DATA", "")) / "cowrie" / "cowrie-first-20000.json.gz"


def test_a_session_from_contact_to_command(parse: Any, lines: Any) -> None:
    seen = parse("cowrie", *lines["cowrie"])
    assert seen.counters["refused"] == 0
    assert seen.rows["failed_logins"].sum() == 1
    assert seen.rows["login_attempts"].sum() == 2
    assert set(seen.rows["dst_port"].tolist()) == {22}
    assert set(seen.rows["src_port"].tolist()) == {52577}
    (alert,) = seen.alerts
    assert (alert.classification, alert.count, alert.confidence) == ("RootAccess", 2, 0.9)
    assert alert.verified_source
    assert "\x1b" not in alert.explanation  # the attacker's terminal codes are shown, not obeyed
    assert "wget http://x/" in alert.explanation


def test_the_public_address_of_the_decoy_counts(parse: Any, lines: Any, honeypot: str) -> None:
    seen = parse("cowrie", *lines["cowrie"], address=ip_address(honeypot))
    assert str(seen.alerts[0].target) == honeypot
    assert str(parse("cowrie", *lines["cowrie"]).alerts[0].target) == "172.17.0.3"


def test_an_ordinary_user_is_no_root(parse: Any, lines: Any) -> None:
    other = [line.replace('"root"', '"pi"') for line in lines["cowrie"]]
    assert parse("cowrie", *other).alerts[0].classification == "Exploit"


def test_open_sessions_are_remembered_with_the_place(lines: Any) -> None:
    first, second = (make_parser("cowrie", Options()) for _ in range(2))
    raw = [line.encode() for line in lines["cowrie"]]
    expected = []
    for number, line in enumerate(raw):
        found = list(first.on_line(line))
        if number == 2:
            second.remember(first.memory())
        elif number > 2:
            expected += found
    assert [s for line in raw[3:] for s in second.on_line(line)] == expected


def test_sessions_are_bounded(lines: Any) -> None:
    parser = make_parser("cowrie", Options())
    connect = json.loads(lines["cowrie"][0])
    for number in range(5000):
        parser.on_line(json.dumps(connect | {"session": f"{number:064}"}).encode())
    assert len(parser.memory()) < 65_536


def test_an_event_of_an_unknown_session_without_any_target_is_refused(
    parse: Any, lines: Any
) -> None:
    assert parse("cowrie", lines["cowrie"][1]).counters["refused.session"] == 1


@pytest.mark.data
def test_twenty_thousand_real_events(parse: Any) -> None:
    """Counts against a look at the file with ``json`` alone; guessing as fail2ban would see it."""
    if not os.environ.get("ONTOIDPS_DATA") or not DATA.is_file():
        pytest.skip("ONTOIDPS_DATA names no folder with cowrie")
    raw = [line for lines in read_lines(DATA) for line in lines]
    events = [json.loads(line) for line in raw]
    kinds = Counter(event["eventid"] for event in events)
    assert (len(raw), kinds["cowrie.session.connect"]) == (20_000, 4596)
    pot = ip_address("172.17.0.3")
    seen = parse("cowrie", *raw, honeypots=frozenset({pot}))
    assert seen.counters["refused"] == 0
    assert seen.rows["failed_logins"].sum() == kinds["cowrie.login.failed"] == 3284
    attempts = kinds["cowrie.login.failed"] + kinds["cowrie.login.success"]
    assert seen.rows["login_attempts"].sum() == attempts
    # The analyzer takes a minute for all of them.
    seen, events = parse("cowrie", *raw[:6000], honeypots=frozenset({pot})), events[:6000]
    core = AnalyzerCore(load_model(), analyzer="analyzer", honeypots=[pot])
    alerts: list[Alert] = [alert for batch in seen.batches for alert in core.on_batch(batch)]
    guessing = {str(a.source) for a in alerts if a.classification == "SshBruteForce"}
    failures: dict[str, list[int]] = {}
    for batch in seen.batches:
        failed = batch.connections[batch.connections["failed_logins"] > 0]
        for row in failed:
            failures.setdefault(row["src"].tobytes().hex(), []).append(int(row["start_us"]))
    expected = set()
    for source, times in failures.items():
        windows = zip(times, times[4:], strict=False)
        if any(last - first <= 600_000_000 for first, last in windows):
            expected.add(str(ip_address(bytes.fromhex(source)[12:])))
    assert guessing == expected and len(guessing) > 3
    visited = {str(a.source) for a in alerts if a.classification == "HoneypotContact"}
    assert visited == {e["src_ip"] for e in events if e["eventid"] == "cowrie.session.connect"}
    inside = {e["src_ip"] for e in events if e["eventid"] == "cowrie.login.success"}
    assert {str(a.source) for a in seen.alerts} >= inside
    assert {a.classification for a in seen.alerts} <= {"RootAccess", "Exploit"}


def test_whom_the_decoy_was_asked_to_call_is_never_accused(parse: Any, lines: Any) -> None:
    event = json.loads(lines["cowrie"][3]) | {
        "eventid": "cowrie.direct-tcpip.request",
        "dst_ip": "192.0.2.80",
        "dst_port": 80,
    }
    seen = parse("cowrie", *lines["cowrie"][:3], json.dumps(event))
    assert {str(alert.source) for alert in seen.alerts} == {"192.0.2.66"}
    assert "192.0.2.80" not in {str(alert.target) for alert in seen.alerts}
