"""The plots of an evaluation, each as inline SVG (Matplotlib) and as text for a terminal.

The text form is ours: Matplotlib draws no characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agents.evaluation.drawing import COLOURS, as_svg, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKS = ".DPRU?*"
WIDTH, HEIGHT = 460, 340
TEXT_COLUMNS, TEXT_ROWS = 61, 17
_MAX_POINTS = 400
_LETTER = 6.6
"""Width of a letter, about, at the size of all text here."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One figure."""

    title: str
    svg: str
    text: str


def clean(text: object) -> str:
    """Labels and file names come from data files: control characters are shown, not obeyed."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def plain_axes(figure: Figure, x_label: str, y_label: str) -> Axes:
    """One pair of axes that fills the figure."""
    axes = figure.add_axes((0.13, 0.14, 0.84, 0.82))
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    return axes


def canvas(points: Sequence[tuple[float, float, str]]) -> str:
    """Text: points in [0, 1] with a mark each; later ones lie on top."""
    rows = [[" "] * TEXT_COLUMNS for _ in range(TEXT_ROWS)]
    for x, y, mark in points:
        row = TEXT_ROWS - 1 - round(y * (TEXT_ROWS - 1))
        rows[row][round(x * (TEXT_COLUMNS - 1))] = mark
    return "\n".join(["|" + "".join(row).rstrip() for row in rows] + ["+" + "-" * TEXT_COLUMNS])


def roc_plot(false: NDArray[np.float64], caught: NDArray[np.float64], area: float) -> Plot:
    """``false`` and ``caught`` as `agents.evaluation.metrics.roc` gives them."""
    title = f"ROC curve, area {area:.4f}"
    # On an even grid: 100,000 steps of a curve are a page of 5 MB that looks the same.
    grid = np.unique(np.concatenate((np.linspace(0, 1, 201), np.geomspace(1e-4, 1, 100))))
    height = np.interp(grid, false, caught)
    with style():
        figure = new_figure(WIDTH, HEIGHT)
        axes = plain_axes(figure, "false-alarm rate", "detection rate")
        axes.plot([0, 1], [0, 1], color="#bbbbbb", linestyle=(0, (4, 4)), linewidth=1)
        axes.plot(grid, height, color=COLOURS[0], linewidth=2)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    text = canvas([(float(x), float(np.interp(x, false, caught)), "*") for x in grid])
    return Plot(title, as_svg(figure, title), text + "\n 0  false-alarm rate → 1; up: detected")


def confusion_plot(
    rows: Sequence[str], columns: Sequence[str], cells: NDArray[np.int64], title: str
) -> Plot:
    """Rows truth, columns verdict; shade is the share of the row."""
    rows, columns = [clean(name) for name in rows], [clean(name) for name in columns]
    letters = max(map(len, columns))
    slanted = letters * _LETTER > 74  # too long for the width of a cell: written upwards
    cell_width, cell_height = (40 if slanted else 78), 26
    left = round(20 + 1.05 * _LETTER * max(map(len, rows)))
    top = round(20 + 0.87 * _LETTER * letters) if slanted else 40
    width = left + cell_width * len(columns) + (round(_LETTER * letters / 2) if slanted else 10)
    height = top + cell_height * len(rows) + 10
    shares = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
    with style():
        from matplotlib.colors import LinearSegmentedColormap

        figure = new_figure(width, height)
        axes = figure.add_axes(
            (
                left / width,
                10 / height,
                cell_width * len(columns) / width,
                cell_height * len(rows) / height,
            )
        )
        # Cells as polygons, not as an image: as sharp as the text in them, at any size.
        axes.pcolormesh(
            shares,
            cmap=LinearSegmentedColormap.from_list("share", ["#ffffff", COLOURS[0]]),
            vmin=0,
            vmax=1,
            edgecolors="#cccccc",
            linewidth=0.8,
        )
        axes.invert_yaxis()
        axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
        axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
        axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
        if slanted:
            for label in axes.get_xticklabels():
                label.set(rotation=60, ha="left", va="bottom", rotation_mode="anchor")
        for (i, j), share in np.ndenumerate(shares):
            ink = "#ffffff" if share > 0.55 else "#222222"
            axes.text(j + 0.5, i + 0.5, str(int(cells[i, j])), ha="center", va="center", color=ink)
    wide = [
        max(len(name), *(len(str(int(v))) for v in cells[:, j])) for j, name in enumerate(columns)
    ]
    first = max(map(len, rows))
    lines = [
        " " * first + "  " + "  ".join(f"{n:>{w}}" for n, w in zip(columns, wide, strict=True))
    ]
    for i, name in enumerate(rows):
        values = "  ".join(f"{int(v):>{w}}" for v, w in zip(cells[i], wide, strict=True))
        lines.append(f"{name:<{first}}  {values}")
    return Plot(title, as_svg(figure, title), "\n".join(lines))


def projection_plot(
    features: NDArray[np.float32],
    truth: NDArray[np.int64],
    classes: Sequence[str],
    centers: NDArray[np.float64],
    *,
    seed: int,
) -> Plot:
    """Records and cluster centres on their first two principal components.

    ``features``: (n, columns); at most 400 records per class are drawn.
    """
    title = "Records and clusters, first two principal components"
    rng = np.random.default_rng(seed)
    chosen = []
    for index in range(len(classes)):
        own = np.flatnonzero(truth == index)
        chosen.append(rng.permutation(own)[:_MAX_POINTS])
    rows = np.concatenate(chosen)
    points = features[rows].astype(np.float64)
    mean = points.mean(axis=0)
    _, _, axes = np.linalg.svd(points - mean, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2, np.abs(axes[:2]).argmax(axis=1)].diagonal())[:, None]
    flat, middle = (points - mean) @ axes.T, (centers - mean) @ axes.T
    both = np.vstack((flat, middle))
    low, span = both.min(axis=0), np.maximum(np.ptp(both, axis=0), 1e-9)
    flat, middle = (flat - low) / span, (middle - low) / span
    kinds = truth[rows]
    shown = [(i, clean(name)) for i, name in enumerate(classes) if (truth == i).any()]
    with style():
        figure = new_figure(WIDTH, HEIGHT + 24)
        plane = plain_axes(figure, "first component", "second component")
        for index, name in shown:
            own = flat[kinds == index]
            colour = COLOURS[index % len(COLOURS)]
            plane.scatter(
                own[:, 0], own[:, 1], s=16, color=colour, alpha=0.5, linewidths=0, label=name
            )
        plane.scatter(middle[:, 0], middle[:, 1], s=70, marker="+", color="#000000", linewidths=1)
        for number, (x, y) in enumerate(middle):
            plane.annotate(
                str(number), (x, y), (3, 3), textcoords="offset points", fontsize=8, color="#000000"
            )
        plane.set_xticks([])
        plane.set_yticks([])
        figure.legend(
            loc="lower left", ncols=len(shown), handletextpad=0, columnspacing=1, markerscale=2
        )
        plane.set_position((0.07, 0.14, 0.9, 0.83))
    marks = [
        (float(x), float(y), _MARKS[int(kind) % len(_MARKS)])
        for (x, y), kind in zip(flat, kinds, strict=True)
    ]
    marks += [(float(x), float(y), "+") for x, y in middle]
    key = "  ".join(f"{_MARKS[i % len(_MARKS)]} {name}" for i, name in shown)
    return Plot(
        title,
        as_svg(figure, title),
        f"{canvas(marks)}\n {key}  + cluster centre",
    )
