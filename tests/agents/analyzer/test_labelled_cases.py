"""Which labelled connections become cases."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from agents.analyzer.features import FEATURES
from agents.analyzer.labelled_cases import choose_cases, clusters_file, feature_text
from agents.analyzer.training import LabelledConnections
from ontology.clusters_file import parse_clusters


@pytest.fixture
def samples(bench: Any) -> list[tuple[str, LabelledConnections]]:
    def capture(label: str, count: int, size: int) -> LabelledConnections:
        rows = [
            bench.session(at=float(i), dst_port=80, orig_bytes=size + 10 * i) for i in range(count)
        ]
        return LabelledConnections(batches=[bench.batch(rows).connections], label=label)

    return [("big", capture("Normal", 60, 100)), ("small", capture("SqlInjection", 5, 50_000))]


def test_every_label_gets_its_share_and_what_is_left_goes_to_others(
    bench: Any, samples: list[tuple[str, LabelledConnections]]
) -> None:
    model = bench.blank_model("Normal")
    cases = choose_cases(model, samples, most=20)
    assert Counter(c.traffic_class for c in cases) == {"Normal": 15, "SqlInjection": 5}
    assert Counter(c.sample for c in cases) == {"big": 15, "small": 5}
    assert len({(c.sample, c.connection) for c in cases}) == 20
    assert cases == choose_cases(model, samples, most=20)
    own = [c.distance for c in cases if c.sample == "big"]
    every = [c.distance for c in choose_cases(model, samples, most=999) if c.sample == "big"]
    assert (min(own), max(own)) == (min(every), max(every))


@pytest.mark.parametrize("most", [0, 1, 2, 3])
def test_never_more_than_asked_for(
    bench: Any, samples: list[tuple[str, LabelledConnections]], most: int
) -> None:
    assert len(choose_cases(bench.blank_model(), samples, most=most)) == most


def test_equal_connections_are_one_case(bench: Any) -> None:
    batch = bench.batch([bench.session(at=100.0 * i) for i in range(500)]).connections
    twice = [(name, LabelledConnections(batches=[batch], label="Normal")) for name in "ab"]
    cases = choose_cases(bench.blank_model(), twice, most=2000)
    assert {c.sample for c in cases} == {"a"}
    assert len({c.features for c in cases}) == len(cases)


def test_a_file_without_traffic_has_clusters(bench: Any) -> None:
    data, count = clusters_file(bench.blank_model("SynScan"), [])
    assert count == 0
    (cluster,) = parse_clusters(data, "x").clusters
    assert (cluster.cluster_name, cluster.case_count) == ("SynScan (cluster 0)", 0)


def test_features_are_written_short() -> None:
    row = np.zeros(len(FEATURES))
    row[0], row[FEATURES.index("protocol_tcp")] = 0.12345, 1.0
    assert feature_text(row) == f"{FEATURES[0]}=0.123 protocol_tcp"
