"""Drawings by Matplotlib as SVG: the same bytes for the same numbers, text as text, no request.

Matplotlib is imported when the first figure is made: it takes half a second and 40 MB, and no agent
draws. `pyplot` with its state is not used; settings hold inside `style` only.
"""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#3b6ea5", "#c0392b", "#d98c1f", "#7b4fa3", "#2e8b57", "#777777", "#9c6b30")
PIXELS_AN_INCH = 72
"""Of an SVG by Matplotlib: widths and heights are whole pixels then."""

_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: searchable, and set in the reader's font
    "svg.hashsalt": "ontoidps",  # names of clip paths don't change from run to run
    "font.family": ["DejaVu Sans"],  # Matplotlib brings it: the same metrics everywhere
    "font.size": 11,
    "axes.edgecolor": "#999999",
    "axes.linewidth": 0.8,
    "axes.titlesize": 14,
    "axes.labelsize": 11,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "axes.titlelocation": "left",
    "xtick.color": "#777777",
    "xtick.labelcolor": "#222222",
    "ytick.color": "#777777",
    "ytick.labelcolor": "#222222",
    "grid.color": "#dddddd",
    "text.color": "#222222",
    "text.parse_math": False,  # labels come from data files: a dollar sign is a dollar sign
    "legend.frameon": False,
}


def new_figure(width: int, height: int) -> Figure:
    """An empty figure of so many pixels; `as_svg` writes it out."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        return Figure(figsize=(width / PIXELS_AN_INCH, height / PIXELS_AN_INCH))


def style() -> Any:
    """A context in which axes and texts of a figure are to be made."""
    from matplotlib import rc_context

    return rc_context(_STYLE)


def as_svg(figure: Figure, title: str) -> str:
    """One ``<svg>`` element, to stand in a page or a file of its own.

    It holds no script, no style sheet for the page around it, and refers to nothing but itself.
    """
    with style():
        file = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=nothing)
    text = file.getvalue()
    text = text[text.index("<svg") :].rstrip()
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r"\s*<style.*?</style>", "", text, flags=re.S)
    # Names that only count (figure_1, axes_1) would be the same in every plot of a page.
    text = re.sub(r' id="[a-zA-Z0-9.]+_\d+"', "", text)
    text = text.replace("'DejaVu Sans'", "'DejaVu Sans', sans-serif")
    text = re.sub(r'^(<svg [^>]*width="[\d.]+)pt(" height="[\d.]+)pt', r"\1\2", text)
    head, _, body = text.partition(">")
    label = f'role="img" stroke-linejoin="round"><title>{escape(title)}</title>'
    return f"{head} {label}{body}"
