from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.analyzer import clustering
from agents.analyzer.case_clusters import CLUSTERS
from agents.analyzer.clustering import FAMILY, ClusterModel, fit
from agents.analyzer.features import FEATURES
from agents.analyzer.model_file import ModelError


@pytest.fixture(scope="module")
def sample() -> tuple[Any, Any]:
    """30 well separated groups of 40 rows, in three labels."""
    dice = np.random.default_rng(1)
    centers = dice.random((30, len(FEATURES)))
    rows = (centers[:, None, :] + dice.normal(0, 0.01, (30, 40, len(FEATURES)))).reshape(
        -1, len(FEATURES)
    )
    labels = np.repeat(np.array(["Normal", "SynScan", "SynFlood"] * 10), 40)
    return rows, labels


@pytest.fixture(scope="module")
def model(sample: tuple[Any, Any]) -> ClusterModel:
    return fit(*sample)


def test_there_are_25_named_clusters(model: ClusterModel) -> None:
    assert len(model.labels) == CLUSTERS == 25
    assert set(model.labels) == {"Normal", "SynScan", "SynFlood"}
    assert model.sizes.sum() == 1200
    assert ((model.purity > 0.3) & (model.purity <= 1)).all()


def test_fit_is_repeatable(model: ClusterModel, sample: tuple[Any, Any]) -> None:
    again = fit(*sample)
    assert np.allclose(again.centers, model.centers)
    assert again.labels == model.labels


def test_assignment_is_the_nearest_centre(model: ClusterModel, sample: tuple[Any, Any]) -> None:
    rows = sample[0]
    far = ((rows[:, None, :] - model.centers[None]) ** 2).sum(axis=2)
    got = model.assign(rows)
    assert (got.cluster == far.argmin(axis=1)).all()
    assert np.allclose(got.distance, np.sqrt(far.min(axis=1)), atol=1e-6)
    assert got.novel.mean() < 0.01
    assert model.assign(rows + 3.0).novel.all()


def test_rare_labels_get_clusters_of_their_own() -> None:
    dice = np.random.default_rng(2)
    flood = dice.normal(0, 0.3, (5_000, len(FEATURES)))
    login = dice.normal(1.0, 0.01, (15, len(FEATURES)))
    labels = np.array(["SynFlood"] * 5_000 + ["SshBruteForce"] * 15)
    assert "SshBruteForce" in fit(np.concatenate([flood, login]), labels).labels


def test_too_little_traffic_is_refused() -> None:
    with pytest.raises(ValueError, match="1 distinct connections can't fill 25 clusters"):
        fit(np.ones((100, len(FEATURES))), np.array(["Normal"] * 100))


def test_agreement_has_the_sign_of_the_clusters(bench: Any) -> None:
    counts = np.array([5])
    assert bench.blank_model("SynFlood", purity=0.9).agreement("UdpFlood", counts) == 0.9
    assert bench.blank_model("Normal", purity=0.9).agreement("UdpFlood", counts) == -0.9
    assert bench.blank_model("SynScan", purity=0.9).agreement("UdpFlood", counts) == 0.0
    assert bench.blank_model("SynScan").agreement("HoneypotContact", counts) == 0.0


def test_a_saved_model_comes_back(model: ClusterModel, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    model.save(path)
    back = ClusterModel.load(path)
    assert back.labels == model.labels
    for name in ("centers", "purity", "radius", "sizes"):
        assert (getattr(back, name) == getattr(model, name)).all()


def _bad(kind: str, path: Path, good: Path) -> None:
    with np.load(good) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if kind == "text":
        path.write_text("not a model")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut":
        path.write_bytes(good.read_bytes()[:-200])
    elif kind == "pickle":
        np.savez(path, **(arrays | {"centers": np.array([{}], dtype=object)}))
    elif kind == "version":
        np.savez(path, **(arrays | {"version": np.array(99)}))
    elif kind == "features":
        np.savez(path, **(arrays | {"features": np.array("other")}))
    elif kind == "label":
        np.savez(path, **(arrays | {"labels": np.array(["Nonsense"] * CLUSTERS)}))
    elif kind == "nan":
        np.savez(path, **(arrays | {"centers": arrays["centers"] * np.nan}))
    elif kind == "shape":
        np.savez(path, **(arrays | {"radius": np.zeros(3)}))
    elif kind == "missing":
        del arrays["radius"]
        np.savez(path, **arrays)


@pytest.mark.parametrize(
    "kind",
    [
        *("absent", "text", "empty", "cut", "pickle", "version", "features", "label", "nan"),
        *("shape", "missing"),
    ],
)
def test_anything_else_is_refused_in_one_line(
    kind: str, model: ClusterModel, tmp_path: Path
) -> None:
    good, path = tmp_path / "good.npz", tmp_path / "bad.npz"
    model.save(good)
    _bad(kind, path, good)
    with pytest.raises(ModelError) as caught:
        ClusterModel.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_families_are_superclasses_of_the_contract() -> None:
    assert set(FAMILY.values()) == {"Scan", "BruteForce", "Flood", "Exploit", "Spoofing"}
    assert clustering.NORMAL not in FAMILY
