from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agents.analyzer.hybrid_training import BUDGETS, fit, validate
from agents.evaluation.nsl_kdd import evaluate
from agents.evaluation.report import Report, Table, as_text
from datasets.kdd.nsl_kdd import read_nsl_kdd

DATA = Path(os.environ.get("ONTOIDPS_DATA", "")) / "nsl-kdd"


def table(report: Report, title: str) -> Table:
    return next(t for t in report.tables if t.title.startswith(title))


def test_new_attacks_are_told_apart_and_counted(kdd_file: Callable[..., Path]) -> None:
    train = read_nsl_kdd(
        kdd_file("train", normal=600, neptune=100, smurf=50, satan=40, portsweep=30)
    )
    test = read_nsl_kdd(kdd_file("test", seed=2, normal=200, neptune=60, pod=30, rootkit=10))
    report = evaluate(
        train,
        test,
        fit(train, seed=1),
        dataset="nsl-kdd",
        seed=1,
        train_seconds=1.0,
        validation=validate(train, seed=1),
    )
    dos, u2r = report.metrics.per_class["DoS"], report.metrics.per_class["U2R"]
    assert (dos.records, dos.new_records, u2r.new_records) == (90, 30, 10)
    beside = {str(row[0]): row for row in table(report, "Beside the accuracy").rows}
    new = beside["recall of attack types that training had not"]
    assert new[1] == 40
    assert new[2] == pytest.approx(
        (30 * (dos.new_recall or 0) + 10 * (u2r.new_recall or 0)) / 40, abs=1e-9
    )
    assert len(table(report, "Validation").rows) == len(BUDGETS)
    explained = table(report, "Decisions explained")
    assert explained.rows
    for line, truth, words in explained.rows:
        assert isinstance(line, int)
        assert test.labels[line - 1] == truth
        assert "nearest cases" in str(words)
    weak = table(report, "Where it is weak")
    assert {row[0] for row in weak.rows} == {"neptune", "pod", "rootkit"}
    assert all(isinstance(row[-1], float) and row[-1] > 0 for row in weak.rows)
    hybrid = table(report, "Table 4").rows[-1]
    assert hybrid[0] == "hybrid"
    assert hybrid[-1] == round(report.metrics.efficiency, 2)
    assert "Validation on the training file" in as_text(report)


@pytest.mark.data
def test_the_hybrid_on_the_published_test_file() -> None:
    """Required with all of KDDTrain+ to learn from: 85 %. Here a fifth of it must already do.

    The first 25,192 lines are the file published as KDDTrain+_20Percent.
    """
    if not DATA.is_dir():
        pytest.skip("ONTOIDPS_DATA names no folder with nsl-kdd")
    train = read_nsl_kdd(DATA / "KDDTrain+.txt.gz").take(np.arange(25_192))
    test = read_nsl_kdd(DATA / "KDDTest+.txt.gz")
    report = evaluate(None, test, fit(train), dataset="nsl-kdd", seed=1, train_seconds=0.0)
    assert report.metrics.accuracy >= 0.85
    assert report.metrics.uncertain_share <= 0.15
    new = table(report, "Beside the accuracy").rows[-1]
    assert new[1] >= 3_750
    assert isinstance(new[2], float)
    assert new[2] >= 0.7
