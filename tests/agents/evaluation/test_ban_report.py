from __future__ import annotations

import json

import numpy as np
import pytest

from agents.evaluation.ban_report import evaluate
from agents.evaluation.report import as_html, as_text
from datasets.contacts.contact_log import ContactLog, ContactReader

NAMES = [
    "interval-squared",
    "interval-squared-half",
    "interval-threshold",
    "static-24h",
    "optimised",
    "optimised-5d",
    "optimised-7d",
    "optimised-10d",
    "persistence",
]
DAY = 86_400_000_000


def some_log() -> ContactLog:
    """A fast scan of all four gateways, slow ones, and hosts that keep to one gateway, 20 days."""
    reader = ContactReader()
    rng = np.random.default_rng(3)
    for number in range(4):
        reader.add(DAY + number * 1_000_000, "203.0.113.5", f"g{number}", 445, 6)
    for host in range(40):
        at = int(rng.integers(0, DAY))
        for probe in range(int(rng.integers(1, 30))):
            gateway = f"g{probe % 4 if host < 20 else host % 4}"
            reader.add(at, f"192.0.2.{host + 1}", gateway, 22, 6)
            at += int(rng.exponential(DAY / 2))
    return reader.finish()


def test_the_contract() -> None:
    log = some_log()
    report = evaluate(log, dataset="some.csv", plots=False)
    found = json.loads(json.dumps(report.contract(), allow_nan=False))
    assert list(found["policies"]) == NAMES
    for values in found["policies"].values():
        assert list(values) == ["commands", "rules_mean", "rules_max", "hits_prevented", "bans"]
        assert values["bans"] <= values["commands"] <= 2 * values["bans"]
        assert values["rules_mean"] <= values["rules_max"]
    assert found["dataset"] == "some.csv"
    assert (found["contacts"], found["sources"], found["gateways"]) == (len(log), 41, 4)
    assert report.plots == ()


def test_tables_and_figures_of_the_paper() -> None:
    report = evaluate(some_log(), dataset="some.csv")
    assert [plot.title.partition(":")[0] for plot in report.plots] == [
        f"Figure {number}" for number in range(2, 8)
    ]
    table1 = report.tables[0]
    assert [row[0] for row in table1.rows] == ["first ten days", "whole log"]
    assert table1.rows[1][1] == 41 - table1.rows[1][3]
    assert "203.0.113.5" in report.plots[2].title
    kinds = dict(report.tables[-1].rows)
    assert kinds["fast"] == 1
    text, page = as_text(report), as_html(report)
    assert "open question" in text and "docs/bans.md" in text
    assert page.count("<svg") == 6


def test_only_what_came_since_is_counted() -> None:
    log = some_log()
    middle = int(log.time_us[0]) + 5 * DAY
    whole = evaluate(log, dataset="x", plots=False)
    late = evaluate(log, dataset="x", since_us=middle, plots=False)
    assert late.contacts == len(log.between(middle, None)) < whole.contacts
    early = evaluate(log.between(None, middle), dataset="x", plots=False)
    for part, rest, all_ in zip(early.policies, late.policies, whole.policies, strict=True):
        assert part.hits_prevented + rest.hits_prevented == all_.hits_prevented
        assert part.bans + rest.bans == all_.bans
    with pytest.raises(ValueError, match="--since"):
        evaluate(log, dataset="x", since_us=int(log.time_us[-1]) + 1)


def test_a_log_of_one_contact_is_no_reason_to_fail() -> None:
    reader = ContactReader()
    reader.add(0, "192.0.2.1", "g")
    report = evaluate(reader.finish(), dataset="x")
    assert {result.commands for result in report.policies} == {0}
    assert report.recognised_at is None
