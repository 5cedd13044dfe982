from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.analyzer.case_clusters import CLUSTERS
from agents.analyzer.core import load_model
from ontology.records import CONNECTION
from tests.factories import make_batch


def scan(bench: Any) -> list[Any]:
    return [
        bench.connection(at=0.01 * i, dst_port=i, state="REJ", resp_flags="RA") for i in range(100)
    ]


def test_replay_is_repeatable(bench: Any) -> None:
    assert bench.alerts(scan(bench), cut=7) == bench.alerts(scan(bench), cut=7)


def test_ids_tell_findings_and_observers_apart(bench: Any) -> None:
    again = [row.copy() for row in scan(bench)]
    for row in again:
        row["start_us"] += 3_600_000_000
    alerts = bench.alerts(scan(bench) + again, cut=100)
    assert len({alert.id for alert in alerts}) == 2


def test_clusters_move_confidence_both_ways_and_are_named(bench: Any) -> None:
    def confidence(label: str) -> float:
        core = bench.core(bench.blank_model(label, purity=1.0))
        [alert] = core.on_batch(bench.batch(scan(bench)))
        assert f"cluster 0 ({label}, purity 1.00), distance" in alert.explanation
        return float(alert.confidence)

    assert confidence("Normal") < confidence("SynFlood") < confidence("UdpScan")


def test_the_shipped_model_loads() -> None:
    model = load_model()
    assert len(model.labels) == CLUSTERS
    assert "Normal" in model.labels


def test_an_empty_batch_is_nothing(bench: Any) -> None:
    assert bench.core().on_batch(make_batch([])) == []


@settings(deadline=None, max_examples=50)
@given(st.binary(min_size=CONNECTION.itemsize, max_size=CONNECTION.itemsize * 40))
def test_no_record_can_upset_the_core(data: bytes) -> None:
    """Any bytes with a time in range: alerts or none, but well formed ones."""
    from agents.analyzer.core import AnalyzerCore

    rows = np.frombuffer(data[: len(data) // CONNECTION.itemsize * CONNECTION.itemsize], CONNECTION)
    rows = rows.copy()
    rows["start_us"] = np.abs(rows["start_us"] % 2_000_000_000_000_000)
    rows["duration_us"] %= 1_000_000_000
    core = AnalyzerCore(load_model(), analyzer="a", honeypots=[])
    for alert in core.on_batch(make_batch([], connections=rows)):
        assert alert.begin_us <= alert.end_us
