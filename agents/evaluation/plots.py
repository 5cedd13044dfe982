"""Plots as inline SVG and as text. No script, no font, nothing fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

_COLOURS = ("#3b6ea5", "#c0392b", "#d98c1f", "#7b4fa3", "#2e8b57", "#777777", "#9c6b30")
_MARKS = ".DPRU?*"
_WIDTH, _HEIGHT = 460, 340
_LEFT, _BOTTOM, _TOP, _RIGHT = 56, 44, 12, 16
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


def _svg(width: int, height: int, title: str, body: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" font-family="sans-serif" font-size="11">'
        f"<title>{escape(title)}</title>{''.join(body)}</svg>"
    )


def _axes(x_label: str, y_label: str) -> list[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    return [
        f'<rect x="{_LEFT}" y="{_TOP}" width="{right - _LEFT}" height="{bottom - _TOP}" '
        'fill="none" stroke="#999"/>',
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f"{escape(x_label)}</text>",
        f'<text x="14" y="{(_TOP + bottom) / 2}" text-anchor="middle" '
        f'transform="rotate(-90 14 {(_TOP + bottom) / 2})">{escape(y_label)}</text>',
    ]


def _place(x: float, y: float) -> tuple[float, float]:
    """From [0, 1] to the drawing."""
    return (
        _LEFT + x * (_WIDTH - _RIGHT - _LEFT),
        _HEIGHT - _BOTTOM - y * (_HEIGHT - _BOTTOM - _TOP),
    )


def _canvas(points: Sequence[tuple[float, float, str]]) -> str:
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
    path = " ".join(
        f"{px:.1f},{py:.1f}"
        for px, py in (_place(float(x), float(y)) for x, y in zip(grid, height, strict=True))
    )
    (x0, y0), (x1, y1) = _place(0, 0), _place(1, 1)
    body = _axes("false-alarm rate", "detection rate")
    body.append(
        f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" stroke="#bbb" stroke-dasharray="4 4"/>'
    )
    body.append(f'<polyline points="{path}" fill="none" stroke="{_COLOURS[0]}" stroke-width="2"/>')
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        px, py = _place(tick, tick)
        body.append(
            f'<text x="{px}" y="{_HEIGHT - _BOTTOM + 14}" text-anchor="middle">{tick:g}</text>'
        )
        body.append(f'<text x="{_LEFT - 6}" y="{py + 4}" text-anchor="end">{tick:g}</text>')
    text = _canvas([(float(x), float(np.interp(x, false, caught)), "*") for x in grid])
    return Plot(
        title, _svg(_WIDTH, _HEIGHT, title, body), text + "\n 0  false-alarm rate → 1; up: detected"
    )


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
    body = []
    for j, name in enumerate(columns):
        x = left + (j + 0.5) * cell_width
        how = f'transform="rotate(-60 {x} {top - 6})"' if slanted else 'text-anchor="middle"'
        body.append(f'<text x="{x}" y="{top - 6}" {how}>{escape(name)}</text>')
    for i, name in enumerate(rows):
        y = top + i * cell_height
        body.append(f'<text x="{left - 8}" y="{y + 17}" text-anchor="end">{escape(name)}</text>')
        total = max(int(cells[i].sum()), 1)
        for j in range(len(columns)):
            share = int(cells[i, j]) / total
            x = left + j * cell_width
            ink = "#fff" if share > 0.55 else "#222"
            body.append(
                f'<rect x="{x}" y="{y}" width="{cell_width}" height="{cell_height}" '
                f'fill="{_COLOURS[0]}" fill-opacity="{share:.3f}" stroke="#ccc"/>'
                f'<text x="{x + cell_width / 2}" y="{y + 17}" text-anchor="middle" fill="{ink}">'
                f"{int(cells[i, j])}</text>"
            )
    width = left + cell_width * len(columns) + (round(_LETTER * letters / 2) if slanted else 10)
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
    height = top + cell_height * len(rows) + 10
    return Plot(title, _svg(width, height, title, body), "\n".join(lines))


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
    body = _axes("first component", "second component")
    marks: list[tuple[float, float, str]] = []
    for (x, y), kind in zip(flat, truth[rows], strict=True):
        px, py = _place(float(x), float(y))
        colour = _COLOURS[int(kind) % len(_COLOURS)]
        body.append(
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="2.2" fill="{colour}" fill-opacity="0.5"/>'
        )
        marks.append((float(x), float(y), _MARKS[int(kind) % len(_MARKS)]))
    for number, (x, y) in enumerate(middle):
        px, py = _place(float(x), float(y))
        body.append(
            f'<path d="M{px - 5:.1f} {py:.1f}h10M{px:.1f} {py - 5:.1f}v10" stroke="#000"/>'
            f'<text x="{px + 4:.1f}" y="{py - 3:.1f}" font-size="8">{number}</text>'
        )
        marks.append((float(x), float(y), "+"))
    shown = [(i, clean(name)) for i, name in enumerate(classes) if (truth == i).any()]
    x = _LEFT + 8.0
    for index, name in shown:
        colour = _COLOURS[index % len(_COLOURS)]
        body.append(f'<circle cx="{x}" cy="{_HEIGHT + 8}" r="4" fill="{colour}"/>')
        body.append(f'<text x="{x + 8}" y="{_HEIGHT + 12}">{escape(name)}</text>')
        x += 24 + _LETTER * len(name)
    key = "  ".join(f"{_MARKS[i % len(_MARKS)]} {name}" for i, name in shown)
    return Plot(
        title,
        _svg(_WIDTH, _HEIGHT + 20, title, body),
        f"{_canvas(marks)}\n {key}  + cluster centre",
    )
