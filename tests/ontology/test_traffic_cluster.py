"""Clusters as records: names that can stand in a line, numbers that can be true."""

from typing import Any

import pytest

from ontology.traffic_cluster import MAX_CLUSTER_NAME, TrafficCluster, check_cluster_name

GOOD: dict[str, Any] = {
    "id": "urn:uuid:1",
    "model_digest": "ab",
    "cluster_number": 0,
    "cluster_name": "Port scans",
    "traffic_class": "SynScan",
    "purity": 1.0,
    "radius": 0.0,
    "member_count": 0,
    "case_count": 0,
}


def test_a_good_one() -> None:
    assert TrafficCluster(**GOOD).detail == ""
    TrafficCluster(**GOOD | {"traffic_class": "Normal"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cluster_number": -1}, "cluster_number must not be negative"),
        ({"member_count": -1}, "member_count"),
        ({"purity": 1.1}, "purity must lie"),
        ({"purity": float("nan")}, "purity must lie"),
        ({"radius": float("inf")}, "radius must be finite"),
        ({"traffic_class": "SynScan "}, "unknown class"),
        ({"traffic_class": "Incident"}, "unknown class"),
        ({"cluster_name": ""}, "one line"),
    ],
)
def test_a_bad_one_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrafficCluster(**GOOD | change)


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a\nb", "a\x1b[31m", "\u202eabc", "x" * (MAX_CLUSTER_NAME + 1)]
)
def test_names_that_would_spoil_a_line(name: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        check_cluster_name(name)
