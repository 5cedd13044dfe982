from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agents.analyzer.hybrid_training import BUDGETS, HELD_OUT, _band, deal, fit, validate
from agents.analyzer.kdd_features import encode
from datasets.kdd.kdd99 import read_kdd

KINDS = {"normal": 500, "neptune": 90, "smurf": 40, "satan": 40, "portsweep": 30, "rootkit": 20}


def test_the_same_seed_gives_the_same_model(kdd_file: Callable[..., Path]) -> None:
    records = read_kdd(kdd_file("kdd", **KINDS))
    features = encode(records)
    first, again, other = fit(records, seed=1), fit(records, seed=1), fit(records, seed=2)
    assert (first.score(features) == again.score(features)).all()
    assert first.thresholds == again.thresholds
    assert (first.score(features) != other.score(features)).any()


def test_calibration_records_are_no_cases(kdd_file: Callable[..., Path]) -> None:
    """Else the distance of a held-out normal record to itself, 0, would set the thresholds."""
    records = read_kdd(kdd_file("kdd", **KINDS))
    model = fit(records, seed=1)
    normal = KINDS["normal"]
    held = model.reference.shape[1]
    assert held == pytest.approx(HELD_OUT * normal, rel=0.3)
    cases = int((model.case_labels == "normal").sum())
    assert cases <= normal - held
    assert len(set(model.case_lines.tolist())) == len(model.case_lines)


def test_attack_types_are_dealt_once_and_by_class() -> None:
    labels = np.array(["normal"] * 9 + ["neptune"] * 5 + ["smurf"] * 4 + ["satan"] * 3 + ["perl"])
    assert deal(labels, 2) == [("neptune", "satan"), ("smurf", "perl")]


def test_validation_hides_types_and_chooses_a_budget(kdd_file: Callable[..., Path]) -> None:
    result = validate(read_kdd(kdd_file("kdd", **KINDS)), seed=1)
    assert sorted(name for fold in result.folds for name in fold.hidden) == sorted(
        name for name in KINDS if name != "normal"
    )
    for fold in result.folds:
        assert list(fold.known) == sorted(fold.known)
        assert all(0 <= value <= 1 for value in (*fold.known, *fold.new))
    assert result.alarm == BUDGETS[int(np.argmax(result.worth))]
    assert result.sure <= result.alarm <= result.clear


def test_uncertainty_is_chosen_only_where_it_pays() -> None:
    budgets = len(BUDGETS)
    perfect = [1.0] * budgets
    # Nothing more to catch: certainty at the alarm costs normal records nothing else would save.
    assert _band(perfect, 0) == (0, 0)
    # Between the first and the fourth budget most attacks appear: to call them uncertain is worse.
    steep = [0.2, 0.3, 0.4, 0.9, 0.9, 0.9, 0.9]
    assert _band(steep, 3) == (3, 3)
    # Normal records and attacks mixed alike around the alarm: uncertain on both sides.
    mixed = [0.800, 0.810, 0.820, 0.840, 0.860, 0.890, 0.940]
    assert _band(mixed, 3) == (6, 0)


def test_what_can_not_be_learned_is_refused(kdd_file: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match="0 attacks are too few"):
        fit(read_kdd(kdd_file("one", normal=200)))
    with pytest.raises(ValueError, match="50 normal records"):
        fit(read_kdd(kdd_file("two", normal=50, neptune=20)))
    with pytest.raises(ValueError, match="at least 4 attack types"):
        validate(read_kdd(kdd_file("three", normal=200, neptune=20, pod=9)))
