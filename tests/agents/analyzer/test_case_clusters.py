from __future__ import annotations

import numpy as np
import pytest

from agents.analyzer.case_clusters import UNNAMED, fit_clusters, nearest


def blobs(*centers: float, each: int = 60) -> np.ndarray:  # type: ignore[type-arg]
    rng = np.random.default_rng(5)
    return np.concatenate([rng.normal(c, 0.01, (each, 3)) for c in centers]).astype(np.float32)


def test_nearest_agrees_with_the_plain_way() -> None:
    rng = np.random.default_rng(1)
    rows, points = rng.random((9000, 4), np.float32), rng.random((30, 4), np.float32)
    index, distance = nearest(rows, points)
    plain = np.sqrt(((rows[:, None, :].astype(float) - points[None]) ** 2).sum(axis=2))
    assert np.allclose(distance, plain.min(axis=1), atol=1e-6)
    assert (index == plain.argmin(axis=1)).mean() > 0.999


def test_clusters_take_the_name_of_their_cases() -> None:
    features = blobs(0.0, 0.5, 1.0)
    clusters = fit_clusters(features, seed=1, k=3)
    assert clusters.names == (UNNAMED,) * 3
    assert list(clusters.sizes) == [60, 60, 60]
    cases = np.array([0, 1, 2, 60, 61])
    named = clusters.named_by(features[cases], np.array(["normal", "normal", "pod", "pod", "pod"]))
    # Centres are in ascending order; nobody labelled anything in the third.
    assert named.names == ("normal", "pod", UNNAMED)
    assert named.purity == pytest.approx([2 / 3, 1.0, 0.0])


def test_renaming_by_an_analyst_is_followed() -> None:
    features = blobs(0.0, 1.0)
    clusters = fit_clusters(features, seed=1, k=2)
    before = clusters.named_by(features[:1], np.array(["normal"]))
    after = clusters.named_by(features[:1], np.array(["smurf"]))
    assert (before.names[0], after.names[0]) == ("normal", "smurf")
    assert (before.centers == after.centers).all()


def test_copies_weigh_as_the_records_would() -> None:
    features = blobs(0.0, 0.4, 1.0, each=10)
    copies = np.ones(30, np.int64)
    copies[:10] = 1000
    weighted = fit_clusters(features, seed=2, k=2, copies=copies)
    repeated = fit_clusters(np.repeat(features, copies, axis=0), seed=2, k=2)
    assert weighted.centers == pytest.approx(repeated.centers, abs=1e-4)
    assert list(weighted.sizes) == list(repeated.sizes)


def test_what_is_far_off_lies_beyond_the_radius() -> None:
    features = blobs(0.0, 1.0)
    clusters = fit_clusters(features, seed=1, k=2)
    member, distance = clusters.assign(np.array([[3.0, 3.0, 3.0], [1.0, 1.0, 1.0]], np.float32))
    assert list(distance > clusters.radius[member]) == [True, False]


def test_too_few_records_are_refused() -> None:
    with pytest.raises(ValueError, match="2 distinct records can't fill 25 clusters"):
        fit_clusters(np.repeat(blobs(0.0, each=2), 50, axis=0), seed=1)
