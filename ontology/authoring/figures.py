"""Pictures for the documents, as plain SVG: the class tree, and a rule as a graph.

Drawn from the files by `ontoidps ontology document --figures`, so that they do not drift. Equal
files give equal bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

from ontology.swrl import CLASS, OBJECT, Atom, Rule, Variable, local_name

_ROW, _INDENT, _LETTER = 18, 22, 6.7
_STYLE = (
    "<style>text{font:12px 'DejaVu Sans',Verdana,sans-serif;fill:#1c2733;"
    "paint-order:stroke;stroke:#fff;stroke-width:4px}"
    ".line{stroke:#9aa7b4;fill:none}.dot{fill:#d9a520;stroke:#7a5c00}"
    ".var{fill:#eef3f8;stroke:#46617c}.edge{stroke:#46617c;fill:none}"
    ".head{stroke:#b3261e;stroke-width:2.5}.said{fill:#46617c}.new{fill:#b3261e}"
    "rect.page{fill:#ffffff}</style>"
)


def class_tree(below: Mapping[str, Sequence[str]], root: str) -> str:
    """The classes under ``root``, indented as in Protégé's class hierarchy.

    Args:
        below: Local name → local names of its direct subclasses.
        root: Where to begin.
    """
    rows: list[tuple[str, int, int]] = []
    """(name, depth, row of the parent)."""

    def walk(name: str, depth: int, parent: int) -> None:
        place = len(rows)
        rows.append((name, depth, parent))
        for child in sorted(below.get(name, ())):
            walk(child, depth + 1, place)

    walk(root, 0, 0)
    parts = []
    for place, (name, depth, parent) in enumerate(rows):
        x, y = 14 + depth * _INDENT, 16 + place * _ROW
        if depth:
            above = 16 + parent * _ROW + 6
            parts.append(f'<path class="line" d="M{x - _INDENT} {above}V{y}H{x - 6}"/>')
        parts.append(f'<circle class="dot" cx="{x}" cy="{y}" r="5"/>')
        parts.append(f'<text x="{x + 11}" y="{y + 4}">{escape(name)}</text>')
    width = max(25 + d * _INDENT + len(n) * _LETTER + 20 for n, d, _ in rows)
    return _page(parts, width, 16 + len(rows) * _ROW, f"Classes under {root}")


def rule_graph(rule: Rule) -> str:
    """A rule: individuals as nodes, relations as arrows, what it concludes in red."""
    variables = _individuals(rule)
    radius = 60 + 34 * len(variables)
    centre = (radius + 110, radius + 40)
    places = {
        variable: (
            centre[0] + radius * math.sin(2 * math.pi * n / len(variables)),
            centre[1] - radius * math.cos(2 * math.pi * n / len(variables)),
        )
        for n, variable in enumerate(variables)
    }
    parts = [
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="context-stroke"/>'
        "</marker></defs>"
    ]
    for atom in rule.body:
        parts += _arrow(atom, places, "edge", "said")
    for atom in rule.head:
        parts += _arrow(atom, places, "edge head", "new")
    for variable, (x, y) in places.items():
        parts.append(f'<circle class="var" cx="{x:.1f}" cy="{y:.1f}" r="20"/>')
        parts.append(_text(variable.name, x, y + 4))
        for row, (name, style) in enumerate(_classes(rule, variable)):
            parts.append(_text(name, x, y + 36 + row * 15, style))
    height = 2 * radius + 130.0
    for atom in rule.body:
        if atom.kind not in (CLASS, OBJECT):
            parts.append(f'<text x="20" y="{height:.0f}">{escape(str(atom))}</text>')
            height += 17
    return _page(parts, 2 * centre[0], height, f"Rule {rule.label}")


def _individuals(rule: Rule) -> list[Variable]:
    """In order of appearance."""
    found: dict[Variable, None] = {}
    for atom in (*rule.body, *rule.head):
        if atom.kind in (CLASS, OBJECT):
            found |= dict.fromkeys(atom.variables)
    return list(found)


def _classes(rule: Rule, variable: Variable) -> Iterator[tuple[str, str]]:
    for atoms, style in ((rule.body, "said"), (rule.head, "new")):
        for atom in atoms:
            if atom.kind == CLASS and atom.variables == (variable,):
                yield local_name(atom.iri), style


def _arrow(
    atom: Atom, places: Mapping[Variable, tuple[float, float]], line: str, text: str
) -> Iterator[str]:
    if atom.kind != OBJECT or len(atom.variables) != 2:
        return
    (x1, y1), (x2, y2) = (places[v] for v in atom.variables)
    length = math.hypot(x2 - x1, y2 - y1) or 1.0
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    x1, y1, x2, y2 = x1 + dx * 21, y1 + dy * 21, x2 - dx * 22, y2 - dy * 22
    # Conclusions bend outwards, so that they don't lie over what they rest on.
    bend = 34.0 if "head" in line else 0.0
    mx, my = (x1 + x2) / 2 + dy * bend, (y1 + y2) / 2 - dx * bend
    yield (
        f'<path class="{line}" marker-end="url(#tip)" '
        f'd="M{x1:.1f} {y1:.1f}Q{mx:.1f} {my:.1f} {x2:.1f} {y2:.1f}"/>'
    )
    # A third of the way: crossing arrows carry their names apart.
    share = 0.36 if not bend else 0.5
    x, y = x1 + (x2 - x1) * share + dy * bend / 2, y1 + (y2 - y1) * share - dx * bend / 2
    yield _text(local_name(atom.iri), x, y - 5, text)


def _text(text: str, x: float, y: float, style: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(text)}</text>'


def _page(parts: Sequence[str], width: float, height: float, title: str) -> str:
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
            f"<title>{escape(title)}</title>",
            _STYLE,
            f'<rect class="page" width="{width:.0f}" height="{height:.0f}"/>',
            *parts,
            "</svg>",
            "",
        )
    )
