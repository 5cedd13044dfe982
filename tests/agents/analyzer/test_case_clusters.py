from __future__ import annotations

import numpy as np
import pytest

from agents.analyzer.case_clusters import (
    NOVEL_SHARE,
    UNNAMED,
    conformal_radii,
    fit_clusters,
    nearest,
)


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


@pytest.mark.parametrize("shape", ["uniform", "normal", "heavy"])
def test_radii_keep_their_promise_whatever_the_distribution(shape: str) -> None:
    """One in a thousand of further distances, on average over many calibrations."""
    dice = np.random.default_rng(3)

    def draw(n: int) -> np.ndarray:  # type: ignore[type-arg]
        values = {"uniform": dice.random, "normal": lambda n: abs(dice.normal(size=n))}
        return np.asarray(values.get(shape, lambda n: dice.pareto(1.5, n))(n))

    beyond = []
    for _ in range(300):
        cluster = np.repeat([0, 1, 2], [1500, 600, 700])
        radius = conformal_radii(cluster, draw(len(cluster)), 3)
        beyond.append([(draw(2000) > radius[i]).mean() for i in range(3)])
    mean = np.mean(beyond, axis=0)
    assert (mean <= 1.25 * NOVEL_SHARE).all()
    assert (mean >= 0.2 * NOVEL_SHARE).all()


def test_small_clusters_share_a_radius_and_large_ones_do_not() -> None:
    cluster = np.repeat([0, 1, 2], [2000, 500, 499])
    distance = np.concatenate([np.linspace(0, 1, 2000), np.full(500, 3.0), np.linspace(2, 5, 499)])
    radius = conformal_radii(cluster, distance, 4)
    assert radius[0] == pytest.approx(1.0, abs=0.002)
    assert radius[1] == radius[2] == radius[3] == 5.0
    # Two clusters with 998 between them know nothing of one in a thousand: all there is counts.
    few = conformal_radii(cluster[1:-1][-998:], distance[1:-1][-998:], 4)
    assert few[1] == few[2]


def test_copies_count_as_records_and_identical_ones_keep_some_radius() -> None:
    cluster, distance = np.array([0, 0, 1, 1]), np.array([0.0, 0.4, 0.0, 0.0])
    radius = conformal_radii(cluster, distance, 2, np.array([900, 99, 5000, 5000]))
    # The first knows its own; the second, all alike, takes the median instead of nothing.
    assert radius.tolist() == [0.4, 0.2]
