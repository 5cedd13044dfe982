"""Firewall and Snort lines in syslog."""

from __future__ import annotations

import os
import re
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agents.analyzer.core import AnalyzerCore, load_model
from ontology.records import CONNECTION_STATES

DATA = Path(os.environ.get("ONTOIDPS_DATA", "")) / "sotm34" / "Original_SotM34_dataset.tar.gz"
APRIL_2005_US = 1_113_000_000_000_000


def microseconds(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[arg-type]


def test_a_firewall_line_is_a_packet(parse: Any, lines: Any) -> None:
    (row,) = parse("syslog", lines["syslog"][0]).rows
    assert row["start_us"] == microseconds(2026, 11, 16, 12, 11, 24)
    assert (row["src_port"], row["dst_port"], row["protocol"]) == (1629, 139, 6)
    assert (row["orig_flags"], row["resp_flags"], row["orig_packets"]) == (2, 0, 1)
    assert CONNECTION_STATES[row["state"]] == "S0"


def test_time_stamps(parse: Any, lines: Any) -> None:
    """The year is guessed backwards; RFC 5424 needs no guess; a zone may be set."""
    old = lines["syslog"][0]
    rest = old[16:]
    december = parse("syslog", "Dec 31 23:00:00 " + rest).rows[0]["start_us"]
    assert december == microseconds(2025, 12, 31, 23)
    leap = parse("syslog", "Feb 29 01:02:03 " + rest).rows[0]["start_us"]
    assert leap == microseconds(2024, 2, 29, 1, 2, 3)
    new = parse("syslog", "<4>1 2026-11-16T12:11:24.5+01:00 " + rest).rows[0]["start_us"]
    assert new == microseconds(2026, 11, 16, 11, 11, 24) + 500_000
    there = parse("syslog", old, timezone=ZoneInfo("America/New_York")).rows[0]["start_us"]
    assert there == microseconds(2026, 11, 16, 17, 11, 24)
    assert parse("syslog", "Foo 16 12:11:24 " + rest).counters["refused.time"] == 1


def test_nftables_prefix_may_touch_and_ipv6_and_icmp(parse: Any) -> None:
    six = (
        "2026-11-16T12:11:24Z gw kernel: [12.5] dropIN=eth0 OUT= MAC=02:00 SRC=2001:db8::7 "
        "DST=2001:db8::8 LEN=60 TC=0 HOPLIMIT=64 FLOWLBL=0 PROTO=UDP SPT=53 DPT=5353 LEN=20"
    )
    error = (
        "2026-11-16T12:11:24Z gw kernel: IN=eth0 OUT= SRC=192.0.2.1 DST=192.0.2.2 LEN=88 PROTO=ICMP"
        " TYPE=3 CODE=1 [SRC=203.0.113.9 DST=192.0.2.1 LEN=60 PROTO=TCP SPT=1 DPT=2 SYN ]"
    )
    udp, icmp = parse("syslog", six, error).rows
    assert (udp["ip_version"], udp["dst_port"]) == (6, 5353)
    assert (icmp["protocol"], icmp["src_port"], icmp["dst_port"]) == (1, 3, 1)
    assert icmp["orig_flags"] == 0  # the cited packet's SYN is not this one's


def test_snort(parse: Any, lines: Any, honeypot: str) -> None:
    (alert,) = parse("syslog", lines["syslog"][1]).alerts
    assert (alert.classification, alert.target_port, alert.protocol) == ("Exploit", 1434, 17)
    assert not alert.verified_source
    there = lines["syslog"][1].replace("203.0.113.89", honeypot)
    assert parse("syslog", there).alerts[0].confidence > alert.confidence


def test_a_scan_in_the_firewall_log_is_found_by_the_analyzer(parse: Any, lines: Any) -> None:
    ports = [lines["syslog"][0].replace("DPT=139", f"DPT={port}") for port in range(20, 60)]
    core = AnalyzerCore(load_model(), analyzer="analyzer")
    alerts = [a for b in parse("syslog", *ports).batches for a in core.on_batch(b)]
    assert "SynScan" in {a.classification for a in alerts}
    assert not any(a.verified_source for a in alerts)


def test_a_line_made_to_search_long_is_quick(parse: Any) -> None:
    hostile = ("IN= " * 1000, "[1:1:1] " * 500 + "{", "snort " + "[1:1:1] x" * 400 + " -> } ")
    seen = parse("syslog", *hostile, "IN=" + " SRC=x" * 40_000)
    assert (len(seen.rows), seen.alerts) == (0, [])
    assert seen.counters["refused.overlong"] == 1


@pytest.fixture(scope="module")
def sotm34(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not os.environ.get("ONTOIDPS_DATA") or not DATA.is_file():
        pytest.skip("ONTOIDPS_DATA names no folder with sotm34")
    out = tmp_path_factory.mktemp("sotm34")
    with tarfile.open(DATA) as tar:
        tar.extractall(out, filter="data")
    return out / "SotM34"


@pytest.mark.data
def test_scan_of_the_month_34_firewall(parse: Any, sotm34: Path) -> None:
    raw = (sotm34 / "iptables" / "iptablesyslog").read_bytes().splitlines()
    assert len(raw) == 179_752
    seen = parse("syslog", *raw, now_us=APRIL_2005_US)
    packets = [line for line in raw if b"PROTO=" in line]
    # Six addresses were mangled when the set was made anonymous (a dot where the space was).
    mangled = [x for x in packets if re.search(rb"SRC=(?:\d+\.){4}", x)]
    assert seen.counters["refused"] == seen.counters["refused.address"] == len(mangled) == 6
    assert len(seen.rows) == len(packets) - 6 == 179_730
    for number, name in ((6, b"TCP"), (17, b"UDP"), (1, b"ICMP")):
        said = sum(b" PROTO=" + name + b" " in line for line in packets if line not in mangled)
        assert (seen.rows["protocol"] == number).sum() == said
    knocks = (seen.rows["dst_port"] == 135) & (seen.rows["protocol"] == 6)
    assert knocks.sum() == sum(
        b"PROTO=TCP" in x and b" DPT=135 " in x for x in packets if x not in mangled
    )
    assert seen.rows["start_us"].min() == microseconds(2005, 2, 25, 12, 11, 24)
    # A slice through the analyzer: sweepers of the honeynet's addresses stand out.
    core = AnalyzerCore(load_model(), analyzer="analyzer")
    alerts = [a for b in seen.batches[:300] for a in core.on_batch(b)]
    assert "TcpSweep" in {a.classification for a in alerts}


@pytest.mark.data
def test_scan_of_the_month_34_snort(parse: Any, sotm34: Path) -> None:
    raw = (sotm34 / "snort" / "snortsyslog").read_bytes().splitlines()
    assert len(raw) == 69_039
    seen = parse("syslog", *raw, now_us=APRIL_2005_US)
    # Seven mangled addresses, one line without its space before the arrow.
    assert (seen.counters["refused.address"], seen.counters["refused.shape"]) == (7, 1)
    assert seen.counters["refused"] == 8
    worm = sum(b" MS-SQL Worm propagation attempt" in x and b".11. ->" not in x for x in raw)
    said = sum(a.count for a in seen.alerts if "MS-SQL Worm" in a.explanation)
    assert said == worm


@pytest.mark.parametrize(
    ("left", "source", "port"),
    [
        ("2001:db8::66:5116", "2001:db8::66", 22),
        ("2001:db8:0:0:0:0:0:66:5116", "2001:db8::66", 22),
        ("[2001:db8::66]:5116", "2001:db8::66", 22),
        ("2001:db8::66:51160", "2001:db8::66", 22),
        ("::ffff:192.0.2.66:5116", "192.0.2.66", 22),
    ],
)
def test_the_last_group_of_an_address_with_a_port_is_the_port(
    parse: Any, left: str, source: str, port: int
) -> None:
    line = (
        "Nov 16 12:23:54 gw snort[1]: [1:1000001:1] SCAN T [Classification: Attempted Information "
        f"Leak] [Priority: 2] {{TCP}} {left} -> {left.replace('66', '18').replace('5116', '22')}"
    )
    if left.endswith("51160"):
        line = line.replace("51160 ->", "51160->", 0).rpartition(" ")[0] + " [2001:db8::18]:22"
    (alert,) = parse("syslog", line).alerts
    assert (str(alert.source), alert.target_port) == (source, port)


@pytest.mark.parametrize("left", ["2001:db8::22", "2001:db8:1::22", "::22"])
def test_two_readings_are_refused(parse: Any, left: str) -> None:
    line = (
        "Nov 16 12:23:54 gw snort[1]: [1:1:1] SCAN T [Classification: Attempted Information Leak] "
        f"[Priority: 2] {{TCP}} {left} -> 2001:db8::18:22"
    )
    assert parse("syslog", line).counters["refused.ambiguous"] == 1
    # Without ports there is one.
    ping = line.replace("{TCP}", "{IPV6-ICMP}").replace("18:22", "18")
    assert str(parse("syslog", ping).alerts[0].source) == left


def test_lines_of_other_programs_are_not_of_this_log(parse: Any) -> None:
    seen = parse("syslog", "Nov 16 12:11:24 gw CRON[7]: (root) CMD (true)", "hello", '{"a": 1}')
    assert (seen.counters["unrelated"], seen.counters["silent"]) == (3, 0)
