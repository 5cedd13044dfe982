from __future__ import annotations

from typing import Any

import pytest

from agents.analyzer.sequence_prediction import SAMPLES, SILENCING

TRUSTED, TARGET = "192.0.2.20", "192.0.2.90"
TRUST_CHANGE = 1 << 6


def sampling(bench: Any, count: int, pause: float = 0.5, port: int = 514) -> list[Any]:
    return [
        bench.connection(at=i * pause, dst=TARGET, dst_port=port, src_port=1000 - i, state="RSTO",
                         orig_flags="SR", resp_flags="SA", orig_packets=2, resp_packets=1)
        for i in range(count)
    ]  # fmt: skip


def silencing(bench: Any) -> list[Any]:
    return [
        bench.connection(
            at=0.01 * i, src="192.0.2.199", dst=TRUSTED, dst_port=513, src_port=600 + i
        )
        for i in range(SILENCING)
    ]


def shell(bench: Any, at: float = 30.0, **more: Any) -> list[Any]:
    values = {"src": TRUSTED, "dst": TARGET, "src_port": 1023, "dst_port": 514, "resp_bytes": 1}
    return [bench.session(at=at, **(values | more))]


def of(alerts: list[Any], kind: str) -> list[Any]:
    return [alert for alert in alerts if alert.classification == kind]


@pytest.mark.parametrize("pause", [0.1, 0.5, 2.0])
def test_steady_half_open_connections_are_sampling(bench: Any, pause: float) -> None:
    [alert] = bench.alerts(sampling(bench, SAMPLES, pause), cut=2)
    assert alert.classification == "SequencePrediction"
    assert (str(alert.source), str(alert.target), alert.target_port) == (
        bench.attacker, TARGET, 514
    )  # fmt: skip
    assert alert.confidence >= 0.5
    assert not alert.verified_source
    assert of(bench.alerts(sampling(bench, SAMPLES - 1, pause), cut=2), "SequencePrediction") == []


@pytest.mark.parametrize("pause", [0.001, 5.0])
def test_floods_and_health_checks_are_none(bench: Any, pause: float) -> None:
    assert of(bench.alerts(sampling(bench, 90, pause), cut=10), "SequencePrediction") == []


def test_a_scan_that_meets_open_ports_is_none(bench: Any) -> None:
    rows = [row for port in (21, 22, 25) for row in sampling(bench, 8, 0.2, port)]
    assert of(bench.alerts(rows, cut=4), "SequencePrediction") == []


def test_mitnicks_steps(bench: Any) -> None:
    """All three circumstances; the session itself looks perfectly real."""
    rows = silencing(bench) + sampling(bench, 20) + shell(bench, indicators=TRUST_CHANGE)
    [alert] = of(bench.alerts(rows, cut=7), "SpoofedLogin")
    assert (alert.source, str(alert.target), alert.target_port) == (None, TARGET, 514)
    assert [str(a) for a in alert.sources] == [TRUSTED]
    assert not alert.verified_source
    assert alert.confidence >= 0.85
    assert bench.attacker in alert.explanation
    assert "silenced" in alert.explanation


def test_fewer_circumstances_less_confidence(bench: Any) -> None:
    def confidence(*parts: list[Any]) -> list[float]:
        rows = [row for part in parts for row in part]
        return [a.confidence for a in of(bench.alerts(rows), "SpoofedLogin")]

    two = confidence(silencing(bench), sampling(bench, 20), shell(bench))
    one = confidence(sampling(bench, 20), shell(bench))
    assert two and one and max(one) < 0.5 < max(two)
    assert confidence(shell(bench)) == []
    assert confidence(silencing(bench), sampling(bench, 20), shell(bench, at=5000)) == []


def test_the_command_may_be_told_in_another_report(bench: Any) -> None:
    rows = sampling(bench, 20) + shell(bench, at=20, indicators=TRUST_CHANGE) + shell(bench, at=21)
    assert max(a.confidence for a in of(bench.alerts(rows, cut=1), "SpoofedLogin")) >= 0.7
