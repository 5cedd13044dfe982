"""The attack graphs of the documents: every step, and no two boxes over each other."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from rules.shipped_files import shipped_models

FIGURES = Path(__file__).parents[3] / "docs" / "figures"


@pytest.mark.parametrize("name", sorted(shipped_models().models.scenarios))
def test_figures_are_svg_with_every_step(name: str) -> None:
    path = FIGURES / f"attack-graph-{name}.svg"
    root = ElementTree.parse(path).getroot()  # noqa: S314  (our own file)
    texts = {e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}text")}
    compiled = shipped_models()
    for model in compiled.models.models:
        if name in model.scenarios:
            assert f"{model.kind} {model.title}" in texts
    boxes = [e for e in root.iter("{http://www.w3.org/2000/svg}rect")][1:]
    spans = [tuple(float(e.get(k, "")) for k in ("x", "y", "width", "height")) for e in boxes]
    for number, (x, y, w, h) in enumerate(spans):
        for x2, y2, w2, h2 in spans[:number]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y, "boxes overlap"
