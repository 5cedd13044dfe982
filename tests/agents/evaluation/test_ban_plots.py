from __future__ import annotations

import numpy as np

from agents.evaluation.ban_plots import MAX_POINTS, Series, lines_plot, points_plot


def test_lines_have_a_letter_each_and_a_key() -> None:
    x = np.linspace(0, 10, 50)
    plot = lines_plot("t", [Series("low<er", x, x), Series("higher", x, 3 * x)], "x", "y")
    assert "a low<er  b higher" in plot.text
    assert "low&lt;er" in plot.svg
    # The higher line is at the top at the right edge, the lower one at a third.
    assert plot.text.splitlines()[0].endswith("b")
    assert plot.text.splitlines()[11].endswith("a")


def test_what_rises_too_high_leaves_the_drawing() -> None:
    x = np.linspace(0, 10, 50)
    plot = lines_plot("t", [Series("one", x, x), Series("two", x, 100 * x)], "x", "y", y_top=10)
    rows = plot.text.splitlines()
    assert "b" not in rows[0][20:] and rows[0].endswith("a")


def test_many_points_are_thinned_and_labels_stay_words() -> None:
    x = np.arange(50_000, dtype=np.float64)
    plot = points_plot("t", x, x % 9, "data", "gateway")
    # The ticks are drawn the same way.
    assert MAX_POINTS <= plot.svg.count("<use ") < MAX_POINTS + 40
    assert "data" in plot.text and "gateway" in plot.text


def test_nothing_to_draw_is_drawn() -> None:
    none = np.array([])
    assert points_plot("t", none, none, "x", "y").svg.startswith("<svg")
    assert lines_plot("t", [Series("one", none, none)], "x", "y").svg.startswith("<svg")
