"""Curves as a picture for the docs: both axes logarithmic, one line for each series."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_LEFT, _TOP, _WIDTH, _HEIGHT = 62, 36, 400, 260
_LINE = 13
_COLOURS = ("#b2182b", "#2166ac", "#92c5de", "#5aae61")


def curves(
    title: str, x_label: str, y_label: str, series: Mapping[str, Sequence[tuple[float, float]]]
) -> str:
    """An SVG.

    Args:
        series: name → points (x, y), all above 0.
    """
    xs = sorted({x for points in series.values() for x, _ in points})
    ys = [y for points in series.values() for _, y in points]
    low, high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))

    def across(x: float) -> float:
        first, last = math.log10(xs[0]), math.log10(xs[-1])
        return _LEFT + _WIDTH * (math.log10(x) - first) / (last - first)

    def up(y: float) -> float:
        return _TOP + _HEIGHT * (high - math.log10(y)) / (high - low)

    width, height = _LEFT + _WIDTH + 150, _TOP + _HEIGHT + 46
    body = [
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="20" font-size="14">{escape(title)}</text>',
        f'<text x="{_LEFT + _WIDTH / 2}" y="{height - 8}" text-anchor="middle">'
        f"{escape(x_label)}</text>",
        f'<text transform="translate(14 {_TOP + _HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>",
    ]
    for power in range(low, high + 1):
        y = up(10.0**power)
        body += [
            f'<path d="M{_LEFT} {y:.1f}h{_WIDTH}" stroke="#ddd"/>',
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10**power:,}</text>',
        ]
    below = f'y="{_TOP + _HEIGHT + 16}" text-anchor="middle"'
    body += [f'<text x="{across(x):.1f}" {below}>{x:,.0f}</text>' for x in xs]
    names: list[float] = []
    for (name, points), colour in zip(series.items(), _COLOURS, strict=False):
        line = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
        x, y = across(points[-1][0]), up(points[-1][1])
        while any(abs(y - other) < _LINE for other in names):
            y += _LINE / 2
        names.append(y)
        body += [
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>',
            *(
                f'<circle cx="{across(a):.1f}" cy="{up(b):.1f}" r="3" fill="{colour}"/>'
                for a, b in points
            ),
            f'<text x="{x + 8:.1f}" y="{y + 4:.1f}" fill="{colour}">{escape(name)}</text>',
        ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="11">'
        f"<title>{escape(title)}</title>{''.join(body)}</svg>\n"
    )
