from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.evaluation.metrics import Judged, confusion, measure, outcomes, roc

CLASSES = ("normal", "DoS", "Probe")


def judged(*rows: tuple[int, int, bool], new: list[bool] | None = None) -> Judged:
    """Rows of truth, verdict, uncertain."""
    return Judged(
        classes=CLASSES,
        truth=np.array([row[0] for row in rows]),
        verdict=np.array([row[1] for row in rows]),
        uncertain=np.array([row[2] for row in rows]),
        new=None if new is None else np.array(new),
    )


EXAMPLE = judged(
    (0, 0, False),  # passed
    (0, 0, False),
    (0, 1, False),  # false alarm
    (0, 1, True),  # tentative false alarm
    (1, 1, False),  # found
    (1, 2, False),  # found, other class
    (1, 0, False),  # missed
    (2, 2, True),  # tentatively found
    (2, 0, True),  # tentatively missed
    (2, 2, False),
    new=[False] * 7 + [True, True, False],
)


def test_the_rates_by_hand() -> None:
    metrics = measure(EXAMPLE)
    assert metrics.accuracy == pytest.approx(6 / 10)
    assert metrics.detection_rate == pytest.approx(4 / 6)
    assert metrics.false_alarm_rate == pytest.approx(2 / 4)
    assert metrics.uncertain_share == pytest.approx(3 / 10)
    # FP 1, FN 1, U 3 of 10
    assert metrics.efficiency == pytest.approx(50.0)
    dos, probe = metrics.per_class["DoS"], metrics.per_class["Probe"]
    assert (dos.records, dos.recall, dos.classified) == (
        3,
        pytest.approx(2 / 3),
        pytest.approx(1 / 3),
    )
    assert dos.precision == pytest.approx(1 / 3)
    assert (probe.new_records, probe.new_recall, probe.known_recall) == (2, 0.5, 1.0)
    assert metrics.per_class["normal"].recall == 0.5
    assert metrics.per_class["normal"].new_records is None


def test_table_4_partitions_the_records() -> None:
    counted = outcomes(EXAMPLE)
    assert (counted.true_positives, counted.true_negatives) == (3, 2)
    assert (counted.false_positives, counted.false_negatives, counted.uncertain) == (1, 1, 3)
    weighted = outcomes(EXAMPLE, np.arange(10))
    assert weighted.total == 45
    assert weighted.false_negatives == 6


def test_confusion_has_a_column_for_the_uncertain() -> None:
    assert confusion(EXAMPLE).tolist() == [[2, 1, 0, 1], [1, 1, 1, 0], [0, 0, 1, 2]]


def test_one_sided_data_has_no_rate_of_the_other_side() -> None:
    metrics = measure(judged((0, 0, False), (0, 1, False)))
    assert metrics.detection_rate is None
    assert metrics.false_alarm_rate == 0.5
    assert set(metrics.per_class) == {"normal"}
    with pytest.raises(ValueError, match="ROC curve needs"):
        roc(np.zeros(2, bool), np.zeros(2))
    with pytest.raises(ValueError, match="nothing to evaluate"):
        judged()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), min_size=1))
def test_any_partition_adds_up(rows: list[tuple[int, int, bool]]) -> None:
    data = judged(*rows)
    counted, metrics = outcomes(data), measure(data)
    parts = (counted.true_positives, counted.true_negatives, counted.false_positives)
    assert sum((*parts, counted.false_negatives, counted.uncertain)) == counted.total == len(rows)
    right = counted.true_positives + counted.true_negatives
    assert metrics.efficiency == pytest.approx(100 * right / len(rows))
    assert metrics.efficiency / 100 <= metrics.accuracy + 1e-12
    assert confusion(data).sum() == len(rows)
    assert sum(c.records for c in metrics.per_class.values()) == len(rows)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=2))
def test_the_area_is_the_chance_that_an_attack_scores_higher(rows: list[tuple[bool, int]]) -> None:
    attack = np.array([row[0] for row in rows])
    score = np.array([float(row[1]) for row in rows])
    if attack.all() or not attack.any():
        return
    x, y, area = roc(attack, score)
    pairs = score[attack][:, None] - score[~attack][None]
    assert area == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert (np.diff(x) >= 0).all()
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
