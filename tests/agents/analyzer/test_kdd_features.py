from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from agents.analyzer.kdd_features import (
    COLUMN_GROUP,
    COLUMNS,
    FLAGS,
    GROUPS,
    PROTOCOLS,
    SERVICES,
    WITHOUT_SERVICE,
    encode,
)
from datasets.kdd.kdd99 import FEATURES, read_kdd


def test_every_feature_has_its_columns() -> None:
    assert set(GROUPS) == set(FEATURES)
    assert len(SERVICES) == len(set(SERVICES))
    counts = np.bincount(COLUMN_GROUP)
    assert [counts[GROUPS.index(n)] for n in ("protocol_type", "flag", "service")] == [
        len(PROTOCOLS),
        len(FLAGS),
        len(SERVICES),
    ]
    assert (COLUMN_GROUP[WITHOUT_SERVICE:] == GROUPS.index("service")).all()


def test_all_in_the_unit_interval_and_one_column_per_category(
    kdd_file: Callable[..., Path],
) -> None:
    features = encode(read_kdd(kdd_file("kdd", normal=20, neptune=20, smurf=5, rootkit=5)))
    assert features.shape == (50, COLUMNS)
    assert features.min() >= 0
    assert features.max() <= 1
    for name in ("protocol_type", "flag", "service"):
        assert (features[:, GROUPS.index(name) == COLUMN_GROUP].sum(axis=1) == 1).all()


def test_more_is_more_and_the_unknown_service_is_none(kdd_file: Callable[..., Path]) -> None:
    records = read_kdd(kdd_file("kdd", normal=3))
    numbers = records.numbers.copy()
    numbers[:, 1] = (0, 100, 1e12)
    odd = replace(records, numbers=numbers, service=np.array(["http", "teapot", "zzz"]))
    features = encode(odd)
    assert features[0, 1] == 0
    assert 0 < features[1, 1] < features[2, 1] == 1
    assert list(features[:, WITHOUT_SERVICE:].sum(axis=1)) == [1, 0, 0]
