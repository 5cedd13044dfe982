"""Drawings: equal bytes, text as text, nothing that a page would fetch or run."""

import re
import subprocess
import sys
from xml.etree import ElementTree

from agents.evaluation.drawing import as_svg, new_figure, style


def drawing(label: str = "x") -> str:
    with style():
        figure = new_figure(200, 100)
        axes = figure.add_axes((0.1, 0.1, 0.8, 0.8))
        axes.plot([0, 1], [0, 1], marker="o")
        axes.set_xlabel(label)
    return as_svg(figure, "a < b")


def test_equal_figures_are_equal_bytes() -> None:
    assert drawing() == drawing()


def test_it_is_one_element_of_the_size_asked_for() -> None:
    root = ElementTree.fromstring(drawing())  # noqa: S314 (our own, made a line above)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert (root.get("width"), root.get("height")) == ("200", "100")
    assert root[0].text == "a < b"


def test_labels_are_text_and_obey_nothing() -> None:
    """A class of a data file is called what it likes: no mathematics, no markup."""
    svg = drawing("$\\frac{1}{2}$ <script>")
    assert ">$\\frac{1}{2}$ &lt;script&gt;</text>" in svg


def test_it_refers_to_nothing_but_itself() -> None:
    svg = drawing()
    assert set(re.findall(r'href="(.)', svg)) == {"#"}
    assert set(re.findall(r"url\((.)", svg)) <= {"#"}
    assert "<style" not in svg
    assert re.findall(r"https?://[^\"]*", svg) == [
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/2000/svg",
    ]


def test_two_drawings_of_a_page_share_no_counted_name() -> None:
    names = re.findall(r' id="([^"]+)"', drawing())
    assert not [name for name in names if re.fullmatch(r"[a-zA-Z.]+_?\d{1,3}", name)]


def test_nobody_loads_matplotlib_before_something_is_drawn() -> None:
    code = (
        "import sys, agents.evaluation.captures, agents.main; sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
