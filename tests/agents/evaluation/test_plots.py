from __future__ import annotations

import re
from collections import Counter

import numpy as np

from agents.evaluation.drawing import COLOURS
from agents.evaluation.plots import confusion_plot, projection_plot, roc_plot


def tint(share: float) -> str:
    """Between white and the colour of cells, in the 256 steps of Matplotlib's scale."""
    step = min(int(share * 256), 255) / 255
    full = [int(COLOURS[0][place : place + 2], 16) for place in (1, 3, 5)]
    return "#" + "".join(f"{round(255 + step * (part - 255)):02x}" for part in full)


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
    # Three of four and one of four: the shade is the share of the row.
    shades = dict.fromkeys(re.findall(r"fill: (#[0-9a-f]{6})", plot.svg))
    assert {tint(0.75), tint(0.25), tint(1), tint(0)} <= set(shades)
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
    drawn = Counter(re.findall(r'<use [^>]*style="(\w+: #\w+)', first.svg))
    colours = (f"fill: {COLOURS[0]}", f"fill: {COLOURS[1]}", "stroke: #000000")
    assert [drawn[colour] for colour in colours] == [400 + 1, 3 + 1, 2]


def test_long_names_are_slanted_and_fit() -> None:
    long = "IcmpSweep+ConnectScan|SynScan+UdpScan"
    plot = confusion_plot(("normal", long), ("normal", long), np.array([[1, 0], [0, 1]]), "m")
    assert plot.svg.count("rotate(-60") == 2
    assert "rotate(-60" not in confusion_plot(("a",), ("a",), np.array([[1]]), "m").svg
