"""Curves as a picture for the docs: both axes logarithmic, one line for each series."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from agents.evaluation.drawing import as_svg, new_figure, style

_WIDTH, _HEIGHT = 680, 350
_COLOURS = ("#b2182b", "#2166ac", "#92c5de", "#5aae61")


def curves(
    title: str, x_label: str, y_label: str, series: Mapping[str, Sequence[tuple[float, float]]]
) -> str:
    """An SVG.

    Args:
        series: name → points (x, y), all above 0.
    """
    with style():
        from matplotlib.ticker import NullLocator, StrMethodFormatter

        figure = new_figure(_WIDTH, _HEIGHT)
        figure.patch.set_facecolor("#ffffff")
        axes = figure.add_axes((0.09, 0.14, 0.62, 0.75))
        axes.set(xscale="log", yscale="log", title=title, xlabel=x_label, ylabel=y_label)
        for (name, points), colour in zip(series.items(), _COLOURS, strict=False):
            axes.plot(*zip(*points, strict=True), color=colour, marker="o", label=name)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.set_xticks(sorted({x for points in series.values() for x, _ in points}))
        heights = [math.log10(y) for points in series.values() for _, y in points]
        axes.set_ylim(10 ** math.floor(min(heights)), 10 ** math.ceil(max(heights)))
        axes.grid(axis="y")
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), labelcolor="linecolor")
    return as_svg(figure, title) + "\n"
