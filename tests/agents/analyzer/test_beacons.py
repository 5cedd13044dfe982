from __future__ import annotations

import random
from ipaddress import ip_address
from typing import Any

import numpy as np
import pytest

from agents.analyzer import beacons
from agents.analyzer.beacons import CALLS
from agents.analyzer.core import AnalyzerCore

POT, GATEWAY, CONTROLLER = "198.51.100.18", "198.51.100.1", "192.0.2.99"


def calls(
    bench: Any, pause: Any, count: int = CALLS, *, own_ports: bool = True, **row: Any
) -> list[Any]:
    """``pause()`` seconds between one call and the next."""
    at, out = 0.0, []
    values = {"src": POT, "dst": CONTROLLER, "dst_port": 443} | row
    for i in range(count):
        out.append(bench.session(at=at, src_port=40_000 + (i if own_ports else 0), **values))
        at += pause()
    return out


def beacons_of(bench: Any, rows: list[Any]) -> list[Any]:
    core = AnalyzerCore(
        bench.blank_model(),
        analyzer="analyzer",
        honeypots=[ip_address(POT)],
        protected=[ip_address(GATEWAY)],
    )
    joined = np.concatenate(rows)
    found = [a for i in range(len(joined)) for a in core.on_batch(bench.batch(joined[i : i + 1]))]
    return [a for a in found if a.classification == "OutgoingBeacon"]


@pytest.mark.parametrize("pause", [1.0, 60.0, 3600.0])
def test_a_honeypot_that_calls_at_a_steady_pace(bench: Any, pause: float) -> None:
    [alert] = beacons_of(bench, calls(bench, lambda: pause))
    assert (str(alert.source), str(alert.target)) == (POT, CONTROLLER)
    assert (alert.target_port, alert.confidence) == (443, pytest.approx(0.65))
    assert beacons_of(bench, calls(bench, lambda: pause, CALLS - 1)) == []


def test_jitter_hides_no_beacon(bench: Any) -> None:
    dice = random.Random(7)
    assert beacons_of(bench, calls(bench, lambda: 60 * dice.uniform(0.6, 1.0), 40))


@pytest.mark.parametrize("seed", range(5))
def test_calls_at_random_times_are_none(bench: Any, seed: int) -> None:
    dice = random.Random(seed)
    assert beacons_of(bench, calls(bench, lambda: dice.expovariate(1 / 60), 60)) == []


def test_calls_within_one_task_are_none(bench: Any) -> None:
    assert beacons_of(bench, calls(bench, lambda: 0.2, 60)) == []


def test_reports_of_one_long_connection_are_one_call(bench: Any) -> None:
    """Keep-alives of a tunnel through NAT, reported again and again."""
    udp = {"protocol": 17, "dst_port": 51820, "orig_flags": "", "resp_flags": ""}
    assert beacons_of(bench, calls(bench, lambda: 60.0, 60, own_ports=False, **udp)) == []
    assert beacons_of(bench, calls(bench, lambda: 60.0, 60, own_ports=False)) == []
    assert beacons_of(bench, calls(bench, lambda: 60.0, 60, **udp))


def test_time_names_own_hosts_and_strangers_are_left_out(bench: Any) -> None:
    ntp = {"protocol": 17, "dst_port": 123, "orig_flags": "", "resp_flags": ""}
    for row in (ntp, {"dst": GATEWAY}, {"src": "198.51.100.77"}):
        assert beacons_of(bench, calls(bench, lambda: 64.0, 30, **row)) == []


def test_of_other_own_hosts_it_is_low(bench: Any) -> None:
    """Gateways have monitors."""
    [alert] = beacons_of(bench, calls(bench, lambda: 60.0, src=GATEWAY))
    assert alert.confidence < 0.5


def test_callers_are_bounded_and_counted(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beacons, "MAX_PAIRS", 10)
    core = bench.core(honeypots=[POT])
    rows = [bench.session(src=POT, dst=f"192.0.2.{i}") for i in range(30)]
    core.on_batch(bench.batch(rows))
    assert core.counters()["beacon_evicted"] == 20
