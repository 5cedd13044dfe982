"""The drawings of the ban evaluation: lines and points, as inline SVG and as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.evaluation.drawing import COLOURS, as_svg, new_figure, style
from agents.evaluation.plots import HEIGHT, WIDTH, Plot, canvas, clean, plain_axes

_MARKS = "abcdefghijklmnop"
_DASHES = ("-", "--", ":", "-.")
_LEGEND_ROW = 16
MAX_POINTS = 1000
"""Points of one drawing; of more, evenly many are left out."""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One line, or one set of points."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def _unit(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    return (values - low) / max(high - low, 1e-12)


def _text(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    x_top: float,
    y_top: float,
    letters: str = _MARKS,
) -> str:
    marks: list[tuple[float, float, str]] = []
    for letter, one in zip(letters, series, strict=False):
        shown = (one.x <= x_top) & (one.y <= y_top)
        x, y = _unit(one.x[shown], 0, x_top), _unit(one.y[shown], 0, y_top)
        marks += [(a, b, letter) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    key = "  ".join(
        f"{letter} {clean(one.name)}" for letter, one in zip(letters, series, strict=False)
    )
    ends = f" 0  {x_label} → {x_top:g}; up: {y_label} → {y_top:g}"
    return f"{canvas(marks)}\n{ends}" + (f"\n {key}" if len(series) > 1 else "")


def lines_plot(
    title: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    y_top: float | None = None,
) -> Plot:
    """Lines from the origin; what rises above ``y_top`` leaves the drawing."""
    x_top = max((float(one.x.max()) for one in series if len(one.x)), default=0.0) or 1.0
    if y_top is None:
        y_top = max((float(one.y.max()) for one in series if len(one.y)), default=0.0)
    y_top = y_top or 1.0
    rows = (len(series) + 1) // 2 if len(series) > 1 else 0
    height = HEIGHT + _LEGEND_ROW * rows
    with style():
        figure = new_figure(WIDTH, height)
        axes = plain_axes(figure, x_label, y_label)
        low = 0.14 + _LEGEND_ROW * rows / height
        axes.set_position((0.15, low, 0.82, 0.96 - low))
        for number, one in enumerate(series):
            axes.plot(
                one.x,
                one.y,
                color=COLOURS[number % len(COLOURS)],
                linestyle=_DASHES[number // len(COLOURS) % len(_DASHES)],
                linewidth=1.6,
                label=clean(one.name),
            )
        axes.set(xlim=(0, x_top), ylim=(0, y_top))
        if rows:
            figure.legend(loc="lower left", ncols=2, fontsize=9, labelspacing=0.2)
    return Plot(title, as_svg(figure, title), _text(series, x_label, y_label, x_top, y_top))


def points_plot(
    title: str, x: NDArray[np.float64], y: NDArray[np.float64], x_label: str, y_label: str
) -> Plot:
    """Points from the origin; at most `MAX_POINTS` of them."""
    if len(x) > MAX_POINTS:
        chosen = np.linspace(0, len(x) - 1, MAX_POINTS).astype(np.int64)
        x, y = x[chosen], y[chosen]
    x_top = float(x.max()) if len(x) and x.max() > 0 else 1.0
    y_top = float(y.max()) if len(y) and y.max() > 0 else 1.0
    with style():
        figure = new_figure(WIDTH, HEIGHT)
        axes = plain_axes(figure, x_label, y_label)
        axes.scatter(x, y, s=5 if len(x) > 200 else 24, color=COLOURS[0], alpha=0.6, linewidths=0)
        axes.set(xlim=(0, x_top * 1.02), ylim=(-0.03 * y_top, y_top * 1.03))
    text = _text([Series("", x, y)], x_label, y_label, x_top, y_top, ".")
    return Plot(title, as_svg(figure, title), text)
