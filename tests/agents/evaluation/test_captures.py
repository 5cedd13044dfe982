from __future__ import annotations

import uuid
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest

from agents.analyzer.core import load_model
from agents.analyzer.features import FEATURES
from agents.analyzer.training import sixteen
from agents.evaluation.captures import (
    Capture,
    evaluate,
    judge,
    suspicion,
)
from agents.evaluation.truths import Truth, wanted_of
from ontology.records import Alert
from tests.factories import make_alert

ATTACKER, OTHER = "192.0.2.66", "192.0.2.7"


def alert(kind: str, source: str | None = ATTACKER, confidence: float = 0.9) -> Alert:
    return make_alert(
        id=f"urn:uuid:{uuid.uuid4()}",
        classification=kind,
        source=ip_address(source) if source else None,
        target="198.51.100.18",
        begin_us=1,
        end_us=2,
        count=3,
        confidence=confidence,
        verified_source=False,
    )


def played_capture(packets: int, alerts: tuple[Alert, ...] = (), rows: int = 3) -> Capture:
    """``rows`` connections of the attacker in the origin, and one reply of the victim."""
    sources = [sixteen(ip_address(ATTACKER))] * rows + [sixteen(ip_address(OTHER))]
    features = np.zeros((rows + 1, len(FEATURES)))
    return Capture(packets, alerts, features, np.array(sources))


def truth(attack: str, attacker: str | None = ATTACKER) -> Truth:
    wanted = wanted_of(attack)
    assert wanted is not None
    return Truth(Path("x/y.pcap"), attack, wanted, ip_address(attacker) if attacker else None)


def test_right_class_and_right_attacker_are_both_needed() -> None:
    scan = truth("nmap FIN scan")
    assert judge(scan, [alert("FinScan")]).said == "FinScan"
    wrong_class = judge(scan, [alert("SynScan")])
    assert (wrong_class.said, wrong_class.uncertain) == ("SynScan", False)
    wrong_source = judge(scan, [alert("FinScan", OTHER)])
    assert wrong_source.said == "none"
    assert wrong_source.accused == (f"FinScan {OTHER}",)


def test_low_alerts_alone_leave_it_uncertain() -> None:
    scan = truth("nmap FIN scan")
    assert judge(scan, [alert("FinScan", confidence=0.4)]).uncertain
    assert judge(scan, [alert("UnknownAnomaly", confidence=0.9)]).uncertain
    assert not judge(scan, []).uncertain


def test_all_groups_must_be_found() -> None:
    both = truth("SynScan+FtpBruteForce")
    assert judge(both, [alert("SynScan")]).said == "SynScan"
    assert judge(both, [alert("SynScan"), alert("FtpBruteForce")]).said == "SynScan+FtpBruteForce"


def test_a_forged_source_is_nobody() -> None:
    flood = truth("SYN flood, spoofed", None)
    assert judge(flood, [alert("SynFlood", None)]).said == "SynFlood"
    assert judge(flood, [alert("SynFlood", OTHER)]).said == "none"


def test_benign_captures_must_stay_quiet() -> None:
    benign = truth("none (benign)", None)
    assert judge(benign, [alert("SynScan", OTHER, 0.3)]).said == "normal"
    assert judge(benign, [alert("SynScan", OTHER)]).said == "SynScan"


def test_the_report_counts_captures_and_packets() -> None:
    played = {
        "right": (truth("nmap FIN scan"), played_capture(10, (alert("FinScan"),))),
        "missed": (truth("nmap XMAS scan"), played_capture(20)),
        "unsure": (
            truth("SQL injection"),
            played_capture(40, (alert("SqlInjection", confidence=0.3),)),
        ),
        "noisy": (truth("none (benign)", None), played_capture(80, (alert("SynScan"),))),
        "quiet": (truth("none (benign)", None), played_capture(160)),
    }
    by_path = {}
    truths = []
    for name, (row, capture) in played.items():
        named = Truth(Path(name) / "x.pcap", row.attack, row.wanted, row.attacker)
        truths.append(named)
        by_path[named.file] = capture
    report = evaluate(
        truths, ["left.pcap: why"], lambda t: by_path[t.file], load_model(), dataset="captures"
    )
    metrics = report.metrics
    assert metrics.accuracy == pytest.approx(2 / 5)
    assert metrics.detection_rate == pytest.approx(1 / 3)
    assert metrics.false_alarm_rate == pytest.approx(1 / 2)
    assert metrics.uncertain_share == pytest.approx(1 / 5)
    assert metrics.efficiency == pytest.approx(40.0)
    packets = next(t for t in report.tables if t.title.startswith("Table 4")).rows[1]
    assert packets[1:6] == (310, 10, 80, 20, 40)
    assert "1 of 3 attacks with right class and attacker." in report.notes
    assert "Not judged: left.pcap: why" in report.notes
    confusion, roc, projection = report.plots
    assert "uncertain" in confusion.text
    assert "ROC" in roc.title
    assert "Scan" in projection.text
    clusters = next(t for t in report.tables if t.title == "Clusters")
    assert len(clusters.rows) == 25
    # Of attack captures the attacker's connections alone, of benign ones all.
    assert sum(int(row[6] or 0) for row in clusters.rows) == 3 * 3
    assert sum(int(row[4] or 0) for row in clusters.rows) == 2 * 4
    assert "mean purity" in clusters.note


def test_suspicion_of_an_attack_is_of_its_attacker() -> None:
    scan = truth("nmap FIN scan")
    alerts = [alert("FinScan", OTHER, 0.9), alert("FinScan", ATTACKER, 0.4)]
    assert suspicion(scan, alerts) == 0.4
    assert suspicion(truth("none (benign)", None), alerts) == 0.9
    assert suspicion(scan, []) == 0.0
