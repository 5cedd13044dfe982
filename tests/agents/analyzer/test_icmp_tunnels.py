from __future__ import annotations

from typing import Any

import pytest

from agents.analyzer import icmp_tunnels
from agents.analyzer.icmp_tunnels import REPLIES


def echo(bench: Any, requests: int, asked: int, replies: int, answered: int, **row: Any) -> Any:
    """Bytes in all."""
    return bench.connection(
        **({"protocol": 1, "src_port": 8, "dst_port": 0, "orig_flags": "", "state": "SF"} | row),
        orig_packets=requests, orig_bytes=asked, resp_packets=replies, resp_bytes=answered,
    )  # fmt: skip


def test_longer_replies_and_more_of_them_are_a_tunnel(bench: Any) -> None:
    for row in (echo(bench, 40, 4000, 40, 40_000), echo(bench, 20, 2000, 60, 6000)):
        [alert] = bench.alerts([row])
        assert (alert.classification, str(alert.source)) == ("Tunnelling", bench.attacker)
        assert (str(alert.target), alert.verified_source) == (bench.victim, False)
    assert bench.alerts([echo(bench, 19, 1900, REPLIES - 1, 19_000)]) == []


def test_it_adds_up_over_reports_and_is_forgotten_after_a_pause(bench: Any) -> None:
    parts = [echo(bench, 5, 300, 5, 2000, at=i * 10) for i in range(4)]
    assert bench.alerts(parts, cut=1)
    apart = [echo(bench, 5, 300, 5, 2000, at=i * 1000) for i in range(4)]
    assert bench.alerts(apart, cut=1) == []


def test_pings_of_any_length_lost_doubled_or_cut_are_none(bench: Any) -> None:
    for row in (
        echo(bench, 600, 600 * 1400, 600, 600 * 1400),
        echo(bench, 600, 600 * 1400, 300, 300 * 1400),
        # Of a path's sizes only the small ones come back.
        echo(bench, 40, 20 * 1472 + 20 * 56, 20, 20 * 56),
        # A reply in ten comes twice.
        echo(bench, 600, 600 * 56, 660, 660 * 56),
        # Many answer for a group.
        echo(bench, 20, 1200, 400, 24_000, dst="224.0.0.1"),
    ):
        assert bench.alerts([row]) == []


def test_pairs_are_bounded_and_counted(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(icmp_tunnels, "MAX_PAIRS", 10)
    core = bench.core()
    core.on_batch(bench.batch([echo(bench, 1, 56, 1, 56, dst=f"192.0.2.{i}") for i in range(30)]))
    assert core.counters()["icmp_tunnel_evicted"] == 20
