"""Tables and graphs of a correlation."""

from __future__ import annotations

from ipaddress import ip_address

from agents.correlation.outcome import Edge
from agents.evaluation.alert_sets import AlertSet
from agents.evaluation.correlation import Correlated, CorrelationMetrics, Told
from agents.evaluation.correlation_report import correlation_report
from agents.evaluation.report import as_html, as_text
from datasets.alert_sets.labelled import LabelledAlert
from datasets.alert_sets.scan34_logs import Described
from ontology.records import Alert, Incident

SOURCE, TARGET = ip_address("192.0.2.1"), ip_address("203.0.113.5")


def alert(name: str, class_: str, at: int) -> Alert:
    return Alert(
        id=name,
        classification=class_,
        source=SOURCE,
        target=TARGET,
        protocol=6,
        begin_us=at,
        end_us=at,
        confidence=0.9,
        verified_source=True,
        sensor="snort",
        analyzer="a",
        explanation="x",
    )


def test_the_report_shows_incidents_phases_and_graphs() -> None:
    scan, exploit = alert("a", "SynScan", 1), alert("b", "BufferOverflow", 2)
    incident = Incident(
        id="i",
        classification="ScanThenExploitIncident",
        source=SOURCE,
        targets=(TARGET,),
        alerts=("a", "b"),
        rule="ScanThenExploit",
        begin_us=1,
        end_us=2,
        severity=0.9,
        verified_source=True,
        explanation="x",
    )
    told = Told(
        incident,
        ("SynScan", "BufferOverflow"),
        {"a": scan, "b": exploit},
        {Edge("a", "b", "ScanThenExploit"): None},
        {"n1", "n2"},
        {"n1", "n2"},
    )
    metrics = CorrelationMetrics(
        alerts=2,
        junior=2,
        fused=2,
        incidents=1,
        decisions=0,
        completeness=1.0,
        soundness=None,
        false_alert_rate=None,
        reduction=0.5,
    )
    given = (LabelledAlert(scan, "n1", True, "probe"), LabelledAlert(exploit, "n2", None))
    described = (Described("A1", "x", frozenset((SOURCE,)), frozenset(("web", "snort"))),)
    report = correlation_report(
        "set",
        AlertSet(given, described=described),
        Correlated(metrics, (told,), lambda alert_id: f"first of {alert_id}", 1.5),
    )
    assert set(report.contract()) == {"dataset", "metrics", "incidents", "seconds"}
    edges = report.contract()["incidents"][0]["edges"]
    assert edges == [{"from": "first of a", "to": "first of b", "rule": "ScanThenExploit"}]
    tables = {table.title: table.rows for table in report.tables}
    assert tables["Phases of the truth, in order"] == (("probe", 1, 1, 1),)
    assert tables["Table 2 of the paper: alerts by sensor"] == (("snort", 2, 2, 2),)
    assert tables["Incidents that people described"][1][1:] == (1, 1, 1, 1)
    page, text = as_html(report), as_text(report)
    assert page.count("<svg") == 1 and "ScanThenExploit x 1" in text
    assert "SynScan → BufferOverflow" in text
