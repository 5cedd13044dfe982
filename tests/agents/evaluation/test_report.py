from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from agents.evaluation.metrics import Judged, confusion, measure, roc
from agents.evaluation.plots import confusion_plot, projection_plot, roc_plot
from agents.evaluation.report import Report, Table, as_html, as_text, summary

EVIL = "</td><script src=//evil.example/x.js></script>\x1b[2J"


@pytest.fixture
def report() -> Report:
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 3, 300)
    score = truth + rng.normal(0, 0.5, 300)
    judged = Judged(
        classes=("normal", "DoS", EVIL),
        truth=truth,
        verdict=np.clip(np.round(score), 0, 2).astype(np.int64),
        uncertain=rng.random(300) < 0.1,
        score=score,
    )
    features = rng.normal(truth[:, None], 0.3, (300, 5)).astype(np.float32)
    metrics = measure(judged)
    columns = (*judged.classes, "uncertain")
    return Report(
        dataset="test",
        metrics=metrics,
        seconds=1.5,
        tables=(*summary(metrics), Table("Odd", ("file", "rate"), ((EVIL, None), ("b", 0.25)))),
        plots=(
            confusion_plot(judged.classes, columns, confusion(judged), "Confusion"),
            roc_plot(*roc(truth != 0, score)),
            projection_plot(
                features, truth, judged.classes, np.array([[0.0] * 5, [2.0] * 5]), seed=1
            ),
        ),
        notes=(EVIL,),
    )


def test_the_contract_has_these_keys_and_no_others(report: Report) -> None:
    plain = json.loads(json.dumps(report.contract(), allow_nan=False))
    assert list(plain) == ["dataset", "metrics", "seconds"]
    assert list(plain["metrics"]) == [
        "accuracy",
        "detection_rate",
        "false_alarm_rate",
        "uncertain_share",
        "efficiency",
        "per_class",
    ]
    assert plain["metrics"]["per_class"]["DoS"]["records"] > 0
    details = json.loads(json.dumps(report.details(), allow_nan=False))
    assert details["metrics"] == plain["metrics"]
    assert {table["title"] for table in details["tables"]} == {"Result", "Classes", "Odd"}


class Elements(HTMLParser):
    """Collects element names and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs


def test_the_page_needs_nobody_and_runs_nothing(report: Report) -> None:
    page = as_html(report)
    found = Elements(page)
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(found.names)
    assert found.names.count("svg") == 3
    names = {name for name, _ in found.attributes}
    assert not {name for name in names if name.startswith("on")}
    assert not {"src", "href"} & names
    # What a drawing uses again stands in the drawing.
    assert {value[:1] for name, value in found.attributes if name == "xlink:href"} == {"#"}
    assert "default-src 'none'" in page
    assert "&lt;script src=//evil.example" in page
    assert "\x1b" not in page
    without_namespace = re.sub(r"http://www.w3.org/(2000/svg|1999/xlink)", "", page)
    assert not re.search(r"https?://|url\((?!#)|@import", without_namespace)


def test_every_plot_is_well_formed_and_has_a_text_form(report: Report) -> None:
    for plot in report.plots:
        # Our own output, made a line above: nothing hostile for the parser but the names in it.
        root = ElementTree.fromstring(plot.svg)  # noqa: S314
        assert root.tag.endswith("svg")
        for element in root.iter():
            for name in ("x", "y"):
                assert np.isfinite(float(element.get(name, "0")))
        assert len(plot.text.splitlines()) >= 3


def test_the_text_shows_all_tables_and_obeys_no_control_character(report: Report) -> None:
    text = as_text(report)
    for part in ("accuracy", "Confusion", "ROC curve", "cluster centre", "0.2500", "Odd"):
        assert part in text
    assert "\\x1b[2J" in text
    table = text[text.index("\nOdd\n") :].split("\n")
    assert table[3].rstrip().endswith("-")
