from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.analyzer.hybrid import ATTACK, NORMAL, UNCERTAIN, HybridModel
from agents.analyzer.hybrid_training import fit
from agents.analyzer.kdd_features import COLUMNS, ENCODING, GROUPS, encode
from agents.analyzer.model_file import ModelError
from datasets.kdd.kdd99 import CLASSES, KddRecords, read_kdd


@pytest.fixture
def training(kdd_file: Callable[..., Path]) -> KddRecords:
    return read_kdd(kdd_file("train", normal=800, neptune=200, smurf=60, satan=60, guess_passwd=30))


@pytest.fixture
def model(training: KddRecords) -> HybridModel:
    return fit(training, seed=3)


@pytest.fixture
def played(kdd_file: Callable[..., Path]) -> KddRecords:
    """Other records of the same kinds, and two kinds that training had not."""
    path = kdd_file("test", seed=9, normal=300, neptune=80, guess_passwd=20, pod=20, rootkit=20)
    return read_kdd(path)


def test_known_and_new_attacks_are_found(model: HybridModel, played: KddRecords) -> None:
    decisions = model.decide(encode(played))
    attack = played.classes != CLASSES[0]
    assert decisions.alarm[attack].mean() > 0.95
    assert decisions.alarm[~attack].mean() < 0.15
    assert decisions.alarm[played.labels == "rootkit"].mean() > 0.9
    kinds = np.array(CLASSES)[decisions.kind]
    assert (kinds[played.labels == "neptune"] == "DoS").mean() > 0.9
    assert (kinds[~decisions.alarm] == CLASSES[0]).all()


def test_three_outcomes_follow_the_thresholds(model: HybridModel, played: KddRecords) -> None:
    features = encode(played)
    score = model.score(features)
    low, alarm, high = (float(np.quantile(score, q)) for q in (0.3, 0.5, 0.7))
    decisions = replace(model, thresholds=(low, alarm, high)).decide(features)
    assert ((decisions.outcome == NORMAL) == (score < low)).all()
    assert ((decisions.outcome == ATTACK) == (score >= high)).all()
    assert (decisions.outcome == UNCERTAIN).any()
    assert (decisions.alarm == (score >= alarm)).all()


def test_a_decision_is_explained(
    model: HybridModel, played: KddRecords, training: KddRecords
) -> None:
    features = encode(played)
    row = int(np.flatnonzero(played.labels == "neptune")[0])
    explanation = model.explain(features[row])
    assert explanation.outcome == "attack"
    assert explanation.kind == "DoS"
    assert [case.label for case in explanation.cases] == ["neptune"] * 3
    for case in explanation.cases:
        assert training.labels[case.line - 1] == case.label
        there = encode(training.take(np.array([case.line - 1])))[0]
        assert np.linalg.norm(there - features[row]) == pytest.approx(case.distance, abs=1e-5)
    distances = [case.distance for case in explanation.cases]
    assert distances == sorted(distances)
    assert sum(value for _, value in explanation.evidence) == pytest.approx(explanation.score)
    assert {name for name, _ in explanation.features} <= set(GROUPS)
    assert all(value > 0 for _, value in explanation.features)
    for part in ("cluster", "radius", "neptune (line", "features that mattered"):
        assert part in str(explanation)


def test_the_feature_that_differs_is_the_one_that_mattered(
    model: HybridModel, training: KddRecords
) -> None:
    normal = int(np.flatnonzero(training.labels == "normal")[0])
    row = encode(training.take(np.array([normal])))[0]
    row[GROUPS.index("num_root")] = 1.0
    row[GROUPS.index("root_shell")] = 1.0
    explanation = model.explain(row)
    assert explanation.outcome != "normal"
    assert {name for name, _ in explanation.features[:2]} == {"num_root", "root_shell"}


def test_on_disk_it_is_the_same_and_holds_no_pickle(
    model: HybridModel, played: KddRecords, tmp_path: Path
) -> None:
    path = tmp_path / "model.npz"
    model.save(path)
    features = encode(played)
    loaded = HybridModel.load(path, ENCODING)
    assert (loaded.score(features) == model.score(features)).all()
    assert str(loaded.explain(features[0])) == str(model.explain(features[0]))
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            assert b"'descr': '|O'" not in archive.read(name)[:200]


def test_no_other_file_is_taken_for_a_model(model: HybridModel, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    with pytest.raises(ModelError, match="No such file"):
        HybridModel.load(path, ENCODING)
    path.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(ModelError, match="not an OntoIDPS hybrid model"):
        HybridModel.load(path, ENCODING)
    np.savez(path, allow_pickle=True, version=np.array([object()], dtype=object))
    with pytest.raises(ModelError, match="not an OntoIDPS hybrid model"):
        HybridModel.load(path, ENCODING)
    model.save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    for name, value, said in (
        ("version", np.array(99), "version 99"),
        ("encoding", np.array("x"), "other features"),
        ("thresholds", np.array([2.0, 1.0, 3.0]), "must ascend"),
        ("thresholds", np.array([2.0, np.nan, 3.0]), "must ascend"),
        ("reference", np.full((3, 2), np.inf), "not finite"),
        ("case_lines", np.zeros(1, np.int64), "every case"),
        ("weights_0_0", np.zeros((COLUMNS, 3), np.float32), "a layer is"),
    ):
        np.savez(path, allow_pickle=False, **arrays | {name: value})
        with pytest.raises(ModelError, match=said):
            HybridModel.load(path, ENCODING)
