"""Tables and findings of an ablation."""

from __future__ import annotations

from agents.evaluation.ablation import Source, Told
from agents.evaluation.ablation_report import ablation_report
from agents.evaluation.report import as_html, as_text


def test_what_changes_nothing_is_told() -> None:
    base, less = Told(recall=1.0, seconds=2.0), Told(recall=0.5, seconds=1.0)
    for run in (base, less):
        run.incidents["x", ("A", "r", None, ())] = 1
    base.decisions["x", ("block", None, 60)] = 1
    first = Source("rules", "left out", lambda k: k)
    second = Source("names <b>", "none", lambda k: k)
    page = ablation_report({"set": base}, {"set": [(first, less), (second, base)]}, 3.5)
    result = page.contract()
    assert set(result) == {
        *("dataset", "whole", "ablations", "nothing", "severities_only", "seconds")
    }
    assert result["dataset"] == "ablation" and result["whole"][0]["recall"] == 1.0
    assert [one["decisions_lost"] for one in result["ablations"]] == [1, 0]
    assert result["nothing"] == ["names <b>"] and result["severities_only"] == []
    text = as_text(page)
    assert "Without names <b> no incident, decision or severity changes." in text
    rows = page.tables[0].rows
    assert [row[0] for row in rows] == ["(nothing)", "rules", "names <b>"]
    assert [row[1] for row in rows] == [1.0, 0.5, 1.0]
    html = as_html(page)
    assert "names &lt;b&gt;" in html and "How each is switched off" in html


def test_where_all_change_something_it_says_so() -> None:
    base = Told()
    base.decisions["x", ("block", None, 60)] = 1
    page = ablation_report({"set": base}, {"set": [(Source("a", "", lambda k: k), Told())]}, 1.0)
    assert page.notes == ("Every source changes incidents or decisions.",)
