from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from agents.analyzer import reflections
from agents.analyzer.reflections import REFLECTORS


def answers(bench: Any, count: int = 300, *, hosts: int = 40, seconds: float = 1.0) -> list[Any]:
    """As the flow table reports them: the victim's RST and the service's SYN-ACK."""
    return [
        bench.connection(
            at=seconds * i / count, src=bench.victim, src_port=2000 + i,
            dst=f"203.0.113.{i % hosts + 1}", dst_port=443, state="OTH",
            orig_flags="R", resp_flags="SA", resp_packets=1,
        )
        for i in range(count)
    ]  # fmt: skip


def test_reflected_syn_acks_accuse_neither_service_nor_victim(bench: Any) -> None:
    [alert] = bench.alerts(answers(bench))
    assert alert.classification == "AmplificationFlood"
    assert (alert.source, alert.target) == (None, ip_address(bench.victim))
    assert (alert.source_count, alert.verified_source) == (40, False)
    assert "ports 443" in alert.explanation


def test_few_slow_or_those_of_one_host_are_none(bench: Any) -> None:
    assert bench.alerts(answers(bench, 90)) == []
    assert bench.alerts(answers(bench, 300, seconds=60.0), cut=10) == []
    found = bench.alerts(answers(bench, hosts=REFLECTORS - 1))
    assert not any(a.classification == "AmplificationFlood" for a in found)


def test_answers_to_what_was_asked_are_none(bench: Any) -> None:
    rows = [
        bench.session(at=i / 300, dst=f"203.0.113.{i % 40 + 1}", src_port=2000 + i, dst_port=443)
        for i in range(300)
    ]
    assert bench.alerts(rows) == []


def test_where_the_forged_syns_pass_too_it_looks_like_a_sweep_and_proves_nothing(
    bench: Any,
) -> None:
    rows = answers(bench)
    for row in rows:
        row["orig_flags"], row["orig_packets"] = 2 | 4, 2
    found = bench.alerts(rows)
    assert "TcpSweep" in {a.classification for a in found}
    assert not any(a.verified_source for a in found)


def test_downloads_of_which_one_direction_is_seen_are_none(bench: Any) -> None:
    rows = answers(bench)
    for row in rows:
        row["orig_flags"], row["orig_packets"] = 0, 0
        row["resp_flags"] |= 8
        row["resp_bytes"] = 900
    found = {a.classification for a in bench.alerts(rows)}
    assert "AmplificationFlood" not in found


def test_victims_are_bounded_and_counted(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflections, "MAX_VICTIMS", 10)
    core = bench.core()
    rows = answers(bench, 30)
    for number, row in enumerate(rows):
        row["src"][0, 15] = number
    core.on_batch(bench.batch(rows))
    assert core.counters()["reflection_evicted"] == 20
