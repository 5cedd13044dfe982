from __future__ import annotations

import numpy as np

from agents.evaluation.plots import confusion_plot, projection_plot, roc_plot


def test_the_curve_of_a_perfect_detector_is_at_the_top() -> None:
    plot = roc_plot(np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0]), 1.0)
    assert "area 1.0000" in plot.title
    assert plot.text.splitlines()[0].count("*") > 50


def test_long_curves_stay_small() -> None:
    x = np.linspace(0, 1, 200_000)
    assert len(roc_plot(x, np.sqrt(x), 2 / 3).svg) < 20_000


def test_cells_carry_their_counts() -> None:
    plot = confusion_plot(("a", "b"), ("a", "b"), np.array([[3, 1], [0, 1234]]), "m")
    assert ">1234</text>" in plot.svg
    assert 'fill-opacity="0.750"' in plot.svg
    assert plot.text.splitlines()[2].split() == ["b", "0", "1234"]


def test_projection_draws_a_bounded_seeded_sample_of_every_class() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([0] * 5000 + [1] * 3)
    features = rng.normal(truth[:, None] * 5.0, 1.0, (5003, 6)).astype(np.float32)
    centers = np.array([[0.0] * 6, [5.0] * 6])
    first = projection_plot(features, truth, ("normal", "DoS"), centers, seed=1)
    assert first == projection_plot(features, truth, ("normal", "DoS"), centers, seed=1)
    assert first != projection_plot(features, truth, ("normal", "DoS"), centers, seed=2)
    # 400 of the many, all three of the few, two in the key; two crosses.
    assert first.svg.count("<circle") == 400 + 3 + 2
    assert first.svg.count("<path") == 2


def test_long_names_are_slanted_and_fit() -> None:
    long = "IcmpSweep+ConnectScan|SynScan+UdpScan"
    plot = confusion_plot(("normal", long), ("normal", long), np.array([[1, 0], [0, 1]]), "m")
    assert plot.svg.count("rotate(-60") == 2
    assert "rotate" not in confusion_plot(("a",), ("a",), np.array([[1]]), "m").svg
