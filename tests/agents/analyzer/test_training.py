from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import numpy as np

from agents.analyzer.features import FEATURES
from agents.analyzer.training import LabelledConnections, training_rows


def test_a_victims_replies_do_not_get_the_attackers_label(bench: Any) -> None:
    rows = np.concatenate(
        [bench.connection(), bench.connection(src=bench.victim, dst=bench.attacker)]
    )
    capture = LabelledConnections([rows], "SynScan", (ip_address(bench.attacker),))
    features, labels = training_rows([capture])
    assert features.shape == (1, len(FEATURES))
    assert labels.tolist() == ["SynScan"]


def test_forged_sources_are_known_by_their_victim(bench: Any) -> None:
    rows = np.concatenate(
        [bench.connection(src="10.0.0.1"), bench.connection(src="10.0.0.2"),
         bench.connection(src=bench.victim, dst="10.0.0.1")]
    )  # fmt: skip
    capture = LabelledConnections([rows], "SynFlood", victim=ip_address(bench.victim))
    assert training_rows([capture])[1].tolist() == ["SynFlood"] * 2


def test_all_of_a_normal_capture_is_normal(bench: Any) -> None:
    rows = np.concatenate([bench.session(), bench.session(src="10.0.0.2")])
    assert training_rows([LabelledConnections([rows], "Normal")])[1].tolist() == ["Normal"] * 2


def test_windows_do_not_reach_from_one_capture_into_the_next(bench: Any) -> None:
    capture = LabelledConnections([bench.session()], "Normal")
    features, _ = training_rows([capture, capture])
    assert (features[0] == features[1]).all()
