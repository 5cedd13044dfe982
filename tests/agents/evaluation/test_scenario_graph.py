"""Drawn graphs of incidents."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from agents.correlation.outcome import Edge
from agents.evaluation.scenario_graph import MAX_BOXES, scenario_graph
from ontology.records import Alert

FIRST = Alert(
    id="a",
    classification="Scan",
    source=ip_address("192.0.2.1"),
    target=None,
    protocol=6,
    begin_us=1,
    end_us=2,
    confidence=0.5,
    verified_source=True,
    sensor="s",
    analyzer="a",
    explanation="x",
)


def test_boxes_and_what_joins_them() -> None:
    later = replace(FIRST, id="b", classification="Exploit", begin_us=5, end_us=6)
    plot = scenario_graph("a <story>", [later, FIRST], [Edge("a", "b", "R<1>")])
    assert plot.svg.count("<rect") == 2 and plot.svg.count("<path") == 1
    assert "<story>" not in plot.svg and "a &lt;story&gt;" in plot.svg
    assert plot.svg.index("Scan x") < plot.svg.index("Exploit x")
    assert plot.text == "Scan 192.0.2.1 → ? ⇒ Exploit 192.0.2.1 → ?: R<1> x 1"


def test_a_crowd_of_boxes_is_cut_and_said() -> None:
    many = [
        replace(FIRST, id=str(n), source=ip_address("192.0.2.1") + n) for n in range(MAX_BOXES + 3)
    ]
    plot = scenario_graph("t", many, [])
    assert plot.svg.count("<rect") == MAX_BOXES
    assert plot.text == "… and 3 more alerts"
