"""The graph of an incident: its alerts by kind, what joined them, in the order of time.

Alerts of one class between the same hosts are one box, so that a hundred of them can be looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from agents.correlation.outcome import Edge
from agents.evaluation.plots import Plot, clean
from ontology.records import Alert

MAX_BOXES = 40
"""Boxes drawn; the later ones are told in a line."""
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 190, 46, 70, 14
_EDGE = 20


@dataclass(slots=True)
class _Box:
    column: int
    row: int
    alerts: int = 0


def scenario_graph(title: str, alerts: Sequence[Alert], edges: Iterable[Edge]) -> Plot:
    """Columns are classes in the order of their first alert, boxes the hosts of one class."""
    title = clean(title)
    ordered = sorted(alerts, key=lambda a: (a.begin_us, a.id))
    boxes: dict[tuple[str, str], _Box] = {}
    columns: dict[str, int] = {}
    rows: dict[int, int] = {}
    of: dict[str, tuple[str, str]] = {}
    left_out = 0
    for alert in ordered:
        key = (alert.classification, f"{_hosts(alert.source)} → {_hosts(alert.target)}")
        if key not in boxes:
            if len(boxes) == MAX_BOXES:
                left_out += 1
                continue
            column = columns.setdefault(key[0], len(columns))
            rows[column] = rows.get(column, -1) + 1
            boxes[key] = _Box(column, rows[column])
        boxes[key].alerts += alert.count
        of[alert.id] = key
    joined: dict[tuple[tuple[str, str], tuple[str, str]], dict[str, int]] = {}
    for edge in edges:
        if edge.earlier in of and edge.later in of:
            by_rule = joined.setdefault((of[edge.earlier], of[edge.later]), {})
            by_rule[edge.rule] = by_rule.get(edge.rule, 0) + 1
    lines = [
        f"{a[0]} {a[1]} ⇒ {b[0]} {b[1]}: {rule} x {count}"
        for (a, b), rules in joined.items()
        for rule, count in rules.items()
    ]
    if left_out:
        lines.append(f"… and {left_out} more alerts")
    return Plot(title, _svg(title, boxes, joined), "\n".join(map(clean, lines)))


def _svg(
    title: str,
    boxes: Mapping[tuple[str, str], _Box],
    joined: Mapping[tuple[tuple[str, str], tuple[str, str]], Mapping[str, int]],
) -> str:
    width = 2 * _EDGE + (1 + max((b.column for b in boxes.values()), default=0)) * (_WIDTH + _GAP_X)
    height = 2 * _EDGE + (1 + max((b.row for b in boxes.values()), default=0)) * (_HEIGHT + _GAP_Y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">'
        f"<title>{escape(title)}</title>"
    ]
    for (a, b), rules in joined.items():
        one, other = boxes[a], boxes[b]
        x1, y1 = _corner(one)[0] + _WIDTH, _corner(one)[1] + _HEIGHT / 2
        x2, y2 = _corner(other)[0], _corner(other)[1] + _HEIGHT / 2
        if other.column <= one.column:
            x1, x2 = _corner(one)[0] + _WIDTH, _corner(other)[0] + _WIDTH
        bend = _GAP_X / 2
        end = x2 - bend if other.column > one.column else x2 + bend
        said = ", ".join(f"{rule} x {count}" for rule, count in rules.items())
        parts.append(
            f'<path d="M{x1},{y1} C{x1 + bend},{y1} {end},{y2} {x2},{y2}" fill="none" '
            f'stroke="#3b6ea5"><title>{escape(clean(said))}</title></path>'
            f'<circle cx="{x2}" cy="{y2}" r="3" fill="#3b6ea5"/>'
        )
    for (name, who), box in boxes.items():
        x, y = _corner(box)
        parts.append(
            f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="4" fill="#f0f3f7" '
            f'stroke="#777777"/><text x="{x + 8}" y="{y + 18}" font-weight="bold">'
            f"{escape(clean(name))} x {box.alerts}</text>"
            f'<text x="{x + 8}" y="{y + 35}">{escape(clean(who))}</text>'
        )
    return "".join(parts) + "</svg>"


def _corner(box: _Box) -> tuple[int, int]:
    return _EDGE + box.column * (_WIDTH + _GAP_X), _EDGE + box.row * (_HEIGHT + _GAP_Y)


def _hosts(host: object) -> str:
    return "?" if host is None else str(host)
