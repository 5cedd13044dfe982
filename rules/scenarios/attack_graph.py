"""The attack graph as a drawing (Figure 4 of the prevention cells paper): steps from left to right.

Solid arrows are correlations, dashed red ones anti-correlations. A layered layout of our own: a
scenario has a dozen steps, and the drawing must come out the same, byte for byte, everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from rules.scenarios.attack_models import Model
from rules.scenarios.compile import AntiLink, Compiled, Link

_LINE, _PAD, _CHAR = 16, 10, 6.7
_GAP_X, _GAP_Y, _MARGIN = 90, 34, 24
_FILL = {"action": "#eef3fb", "objective": "#fff3d6", "countermeasure": "#e7f6ea"}
_EDGE = {"action": "#33557f", "objective": "#a06a00", "countermeasure": "#2f7d43"}


@dataclass(slots=True)
class _Box:
    model: Model
    lines: tuple[str, ...]
    x: float = 0.0
    y: float = 0.0

    @property
    def width(self) -> float:
        return max(len(line) for line in self.lines) * _CHAR + 2 * _PAD

    @property
    def height(self) -> float:
        return len(self.lines) * _LINE + 2 * _PAD


def scenario_svg(compiled: Compiled, scenario: str) -> str:
    """The graph of one scenario.

    Raises: KeyError if there is no such scenario.
    """
    label, comment = compiled.models.scenarios[scenario]
    steps = {
        model.name: model
        for model in compiled.models.of_kind("action", "objective")
        if not model.scenarios or scenario in model.scenarios
    }
    links = [
        link for link in compiled.links if link.earlier.name in steps and link.later.name in steps
    ]
    anti = [
        link
        for link in compiled.anti_links
        if link.step.name in steps
        and link.measure.kind == "countermeasure"
        and (not link.measure.scenarios or scenario in link.measure.scenarios)
    ]
    measures = {link.measure.name: link.measure for link in anti}
    columns = _columns(sorted(steps.values(), key=lambda m: m.name), links)
    boxes = {m.name: _Box(m, _lines(m)) for m in (*steps.values(), *measures.values())}
    width, height = _place(columns, sorted(measures), boxes, links, anti)
    return _svg(f"{label}: {comment}", boxes, links, anti, width, height)


def _lines(model: Model) -> tuple[str, ...]:
    kinds = {"action": "action", "objective": "objective", "countermeasure": "countermeasure"}
    name = "state" if model.kind == "objective" else "pre"
    lines = [f"{kinds[model.kind]} {model.title}"]
    for number, condition in enumerate(model.pre):
        lines.append(f"{name if number == 0 else '':>6}{':' if number == 0 else ' '} {condition}")
    for number, condition in enumerate(model.post):
        lines.append(f"{'post' if number == 0 else '':>6}{':' if number == 0 else ' '} {condition}")
    if model.evidence:
        lines.append(f"alerts: {', '.join(model.evidence)}")
    if model.d3fend:
        lines.append(f"D3FEND: {', '.join(model.d3fend)}")
    return tuple(lines)


def _columns(models: Sequence[Model], links: Sequence[Link]) -> list[list[str]]:
    """Longest path from a start; an arrow that would close a circle does not count."""
    before: dict[str, set[str]] = {model.name: set() for model in models}
    for link in links:
        if not _reaches(before, link.earlier.name, link.later.name):
            before[link.later.name].add(link.earlier.name)
    depth: dict[str, int] = {}

    def deep(name: str) -> int:
        if name not in depth:
            depth[name] = max((deep(other) + 1 for other in before[name]), default=0)
        return depth[name]

    columns: list[list[str]] = [[] for _ in range(max(map(deep, before), default=0) + 1)]
    for name in before:
        columns[depth[name]].append(name)
    return columns


def _reaches(before: dict[str, set[str]], start: str, goal: str) -> bool:
    """Is ``goal`` ``start`` itself or something that comes before it?"""
    waiting, seen = [start], set[str]()
    while waiting:
        name = waiting.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            waiting += before[name]
    return False


def _place(
    columns: list[list[str]],
    measures: list[str],
    boxes: dict[str, _Box],
    links: Sequence[Link],
    anti: Sequence[AntiLink],
) -> tuple[float, float]:
    x, bottom = float(_MARGIN), 0.0
    for column in columns:
        # Below what leads to them, on average: fewer crossings.
        def middle(name: str) -> float:
            ys = [boxes[li.earlier.name].y for li in links if li.later.name == name]
            return sum(ys) / len(ys) if ys else 0.0

        column.sort(key=lambda name: (middle(name), name))
        y = float(_MARGIN + 66)
        for name in column:
            boxes[name].x, boxes[name].y = x, y
            y += boxes[name].height + _GAP_Y
        bottom = max(bottom, y)
        x += max((boxes[name].width for name in column), default=0) + _GAP_X
    right = x - _GAP_X
    # Measures in a row below, under what they prevent.
    wanted = {
        name: min(boxes[li.step.name].x for li in anti if li.measure.name == name)
        for name in measures
    }
    x, y, tall = float(_MARGIN), bottom + 30, 0.0
    for name in sorted(measures, key=lambda n: (wanted[n], n)):
        box = boxes[name]
        box.x, box.y = max(x, wanted[name]), y
        x = box.x + box.width + 30
        tall = max(tall, box.height)
        right = max(right, box.x + box.width)
    return right + _MARGIN, y + tall + _MARGIN


def _svg(
    title: str,
    boxes: dict[str, _Box],
    links: Sequence[Link],
    anti: Sequence[AntiLink],
    width: float,
    height: float,
) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img">',
        f"<title>{escape(title)}</title>",
        "<defs>",
        *(
            f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="{colour}"/></marker>'
            for name, colour in (("to", "#33557f"), ("anti", "#b3261e"))
        ),
        "</defs>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
        f'<text x="{_MARGIN}" y="{_MARGIN + 6}" font-family="sans-serif" font-size="13" '
        f'fill="#222">{escape(title)}</text>',
    ]
    seen: set[tuple[str, str]] = set()
    for link in links:
        pair = (link.earlier.name, link.later.name)
        if pair not in seen:
            seen.add(pair)
            text = "" if not link.through else "by " + ", ".join(link.through)
            lines += _arrow(boxes[pair[0]], boxes[pair[1]], "to", "#33557f", text)
    for denied in anti:
        lines += _arrow(boxes[denied.measure.name], boxes[denied.step.name], "anti", "#b3261e", "")
    for name in sorted(boxes):
        box = boxes[name]
        kind = box.model.kind
        lines.append(
            f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
            f'height="{box.height:.1f}" rx="5" fill="{_FILL[kind]}" stroke="{_EDGE[kind]}"/>'
        )
        for number, line in enumerate(box.lines):
            weight = ' font-weight="bold"' if number == 0 else ""
            y = box.y + _PAD + _LINE * (number + 0.75)
            lines.append(
                f'<text x="{box.x + _PAD:.1f}" y="{y:.1f}" font-family="monospace" font-size="11" '
                f'xml:space="preserve"{weight} fill="#222">{escape(line)}</text>'
            )
    return "\n".join([*lines, "</svg>"]) + "\n"


def _arrow(a: _Box, b: _Box, marker: str, colour: str, text: str) -> list[str]:
    dash = ' stroke-dasharray="6 4"' if marker == "anti" else ""
    if marker == "anti":
        x1, y1 = a.x + a.width / 2, a.y
        x2, y2 = b.x + b.width / 2, b.y + b.height
        path = f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"
    elif a is b:
        x1, y1 = a.x + a.width * 0.7, a.y
        x2, y2 = a.x + a.width * 0.85, a.y
        path = f"M{x1:.1f} {y1:.1f}C{x1:.1f} {y1 - 28:.1f} {x2:.1f} {y2 - 28:.1f} {x2:.1f} {y2:.1f}"
    else:
        forward = a.x < b.x
        if abs(b.x - a.x) > max(a.width, b.width) + 2 * _GAP_X:
            # Over the column in between, not through it.
            x1, y1 = a.x + a.width / 2, a.y
            x2, y2 = b.x + b.width / 2, b.y
            top = min(y1, y2) - 44
            return _path(
                f"M{x1:.1f} {y1:.1f}C{x1:.1f} {top:.1f} {x2:.1f} {top:.1f} {x2:.1f} {y2:.1f}",
                (marker, colour, dash),
                (text, (x1 + x2) / 2, top + 7),
            )
        x1, y1 = (a.x + a.width if forward else a.x), a.y + a.height / 2
        x2, y2 = (b.x if forward else b.x + b.width), b.y + b.height / 2
        bend = (_GAP_X / 2) if forward else -_GAP_X / 2
        path = (
            f"M{x1:.1f} {y1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} "
            f"{x2:.1f} {y2:.1f}"
        )
    middle = ((x1 + x2) / 2, (y1 + y2) / 2 - 5) if a is not b else (x1 + a.width * 0.07, y1 - 24)
    return _path(path, (marker, colour, dash), (text, *middle))


def _path(path: str, style: tuple[str, str, str], label: tuple[str, float, float]) -> list[str]:
    marker, colour, dash = style
    text, x, y = label
    lines = [
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.4"{dash} '
        f'marker-end="url(#{marker})"/>'
    ]
    if text:
        lines.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" '
            f'font-family="sans-serif" font-size="10" fill="#555">{escape(text)}</text>'
        )
    return lines
