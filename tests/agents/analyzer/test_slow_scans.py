from __future__ import annotations

from typing import Any

import pytest

from agents.analyzer import slow_scans
from agents.analyzer.slow_scans import HOSTS, PORTS, RATIO

FIVE_MINUTES = 300.0


def kinds(alerts: list[Any]) -> set[str]:
    return {alert.classification for alert in alerts}


def ports(bench: Any, count: int, pause: float = FIVE_MINUTES, **more: Any) -> list[Any]:
    """One port each ``pause`` seconds; every report in a batch of its own."""
    return [bench.connection(at=i * pause, dst_port=1 + i, **more) for i in range(count)]


def test_one_port_in_five_minutes_is_seen_in_the_end(bench: Any) -> None:
    found = bench.alerts(ports(bench, PORTS), cut=1)
    [alert] = found
    assert alert.classification == "SlowPortScan"
    assert (str(alert.source), str(alert.target)) == (bench.attacker, bench.victim)
    assert not alert.verified_source
    assert "never 15 in five minutes" in alert.explanation
    assert bench.alerts(ports(bench, PORTS - 1), cut=1) == []


def test_one_host_in_twenty_minutes_is_a_slow_sweep(bench: Any) -> None:
    rows = [
        bench.connection(at=i * 1200, dst=f"198.51.100.{i + 1}", dst_port=22) for i in range(HOSTS)
    ]
    [alert] = bench.alerts(rows, cut=1)
    assert (alert.classification, alert.target_port, alert.target_count) == ("SlowSweep", 22, HOSTS)


def test_udp_and_stealth_probes_count_as_well(bench: Any) -> None:
    udp = {"protocol": 17, "orig_flags": "", "state": "OTH"}
    assert kinds(bench.alerts(ports(bench, PORTS, **udp), cut=1)) == {"SlowPortScan"}
    fin = {"orig_flags": "F", "state": "OTH"}
    assert kinds(bench.alerts(ports(bench, PORTS, **fin), cut=1)) == {"SlowPortScan"}


def pings(bench: Any, silent: int, answering: int) -> list[Any]:
    """One host each ten minutes."""
    return [
        bench.connection(
            at=i * 600, dst=f"198.51.100.{i + 1}", protocol=1, src_port=8, dst_port=0,
            orig_flags="", state="OTH" if i < silent else "SF", resp_packets=int(i >= silent),
        )
        for i in range(silent + answering)
    ]  # fmt: skip


def test_one_ping_in_ten_minutes_is_a_slow_sweep(bench: Any) -> None:
    [alert] = bench.alerts(pings(bench, HOSTS, 5), cut=1)
    assert (alert.classification, alert.protocol, alert.target_port) == ("SlowSweep", 1, None)
    assert alert.target_count == HOSTS and "pinged in vain" in alert.explanation


def test_who_monitors_hosts_that_mostly_live_is_none(bench: Any) -> None:
    day = [pings(bench, 5, 60)[i] for i in range(65)]
    assert bench.alerts(day, cut=1) == []


def test_a_fast_scan_is_not_told_twice(bench: Any) -> None:
    rows = ports(bench, 400, pause=2.0)
    assert kinds(bench.alerts(rows, cut=4)) == {"SynScan"}


def test_what_is_older_than_a_day_is_forgotten(bench: Any) -> None:
    assert bench.alerts(ports(bench, 3 * PORTS, pause=3 * 3600), cut=1) == []


def test_clients_of_many_servers_some_of_them_dead(bench: Any) -> None:
    """A browser's day: of every five web servers one does not answer."""
    rows = []
    for i in range(250):
        make = bench.connection if i % (RATIO + 1) == 0 else bench.session
        rows.append(make(at=i * 240, dst=f"203.0.113.{i + 1}", dst_port=443, src_port=2000 + i))
    assert bench.alerts(rows, cut=5) == []


def test_a_client_with_a_dead_server_is_no_scanner(bench: Any) -> None:
    rows = [bench.connection(at=i * 60, dst_port=443, src_port=2000 + i) for i in range(500)]
    assert bench.alerts(rows, cut=10) == []


def test_passers_by_do_not_push_out_who_comes_back(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two probes of the scanner sixty others try once; only those are forgotten."""
    monkeypatch.setattr(slow_scans, "MAX_FIRST_ATTEMPTS", 40)
    monkeypatch.setattr(slow_scans, "MAX_NEW", 40)
    monkeypatch.setattr(slow_scans, "MAX_KNOWN", 20)
    # The first three probes come before the crowd: what has shown itself is kept.
    rows = ports(bench, 3, pause=20.0)
    for i in range(3, PORTS):
        rows.append(bench.connection(at=i * FIVE_MINUTES, dst_port=1 + i))
        rows += [
            bench.connection(at=i * FIVE_MINUTES + 1 + j, src=f"10.{i}.{j}.7", dst_port=5000 + j)
            for j in range(60)
        ]
    core = bench.core()
    found: list[Any] = []
    rows.sort(key=lambda row: int(row["start_us"][0]))
    for begin in range(0, len(rows), 10):
        found += core.on_batch(bench.batch(rows[begin : begin + 10]))
    assert "SlowPortScan" in kinds(found)
    assert core.counters()["slow_scan_new_evicted"] > 300
    assert core.counters()["slow_scan_evicted"] == 0
