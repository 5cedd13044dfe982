"""RealSecure's alerts of LLDOS 1.0 (inside), 922 of them, 40 of the attack: one incident."""

from __future__ import annotations

import csv
import os
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from agents.correlation.engine import CorrelationEngine
from agents.knowledge.load import find_joins
from agents.settings.honeynet import Policy
from ontology.reasoner.client import PelletWorker
from ontology.records import Alert, Incident

FILE = Path(os.environ.get("ONTOIDPS_DATA", "")) / "darpa2000" / "darpa2000_inside1.csv"
S = 1_000_000
CLASSES = {
    # Of the attack.
    "Sadmind_Ping": "RpcProbe",
    "Sadmind_Amslverify_Overflow": "BufferOverflow",
    "Rsh": "MalwareInstallation",
    "Mstream_Zombie": "OutgoingFlood",
    "Stream_DoS": "Flood",
    # Not of it, though some sound like it.
    "Admind": "Scan",
    "Email_Almail_Overflow": "BufferOverflow",
    "HTTP_Shells": "WebAttack",
    "HTTP_Cisco_Catalyst_Exec": "CommandInjection",
    "Port_Scan": "PortScan",
}


def address(text: str) -> IPv4Address:
    return IPv4Address(".".join(str(int(octet)) for octet in text.split(".")))


def read() -> list[tuple[Alert, bool]]:
    found = []
    with FILE.open(newline="", encoding="latin-1") as stream:
        for row in csv.reader(stream):
            begin_us = int(float(row[1])) * S
            alert = Alert(
                id=f"urn:uuid:{int(row[0]):032x}",
                classification=CLASSES.get(row[6], "UnknownAnomaly"),
                source=address(row[4]),
                target=address(row[5]),
                target_port=int(row[10]) if row[10] else None,
                protocol=6,
                begin_us=begin_us,
                end_us=begin_us,
                confidence=0.9,
                verified_source=True,
                sensor="inside",
                analyzer="RealSecure",
                explanation=row[6],
            )
            found.append((alert, row[-1].strip() == "1"))
    return sorted(found, key=lambda pair: (pair[0].begin_us, pair[0].id))


@pytest.mark.data
@pytest.mark.skipif(not FILE.is_file(), reason="ONTOIDPS_DATA names no folder with darpa2000/")
def test_lldos_is_one_incident_with_nearly_all_of_its_alerts(worker: PelletWorker) -> None:
    rows = read()
    core = CorrelationEngine(
        (),
        Policy(minimum_severity=1.0),
        origin="c@test",
        reasoner=worker,
        joins=find_joins(worker.theory),
        reason_timeout_s=60.0,
    )
    found: list[Incident] = []
    for start in range(0, len(rows), 100):
        part = [alert for alert, _ in rows[start : start + 100]]
        out = core.on_alerts(part, part[-1].end_us)
        found += [outcome.incident for outcome in out]
    cases = [i for i in found if i.classification == "ScenarioIncident"]
    assert len({i.id for i in cases if i.explanation.startswith("Scenario LLDOS")}) == 1
    last = cases[-1]
    assert last.explanation.startswith("Scenario LLDOS: ")
    assert last.source == IPv4Address("202.77.162.213")
    told = {(a.classification, a.source, a.target) for i in cases for a in core.alerts_of(i)}
    inside = [(a.classification, a.source, a.target) in told for a, _ in rows]
    truth = [of_attack for _, of_attack in rows]
    hits = sum(i and t for i, t in zip(inside, truth, strict=True))
    print(f"completeness {hits / sum(truth):.3f}, soundness {hits / sum(inside):.3f}")
    # Ning et al. (CCS 2002) on these alerts: 93.18 % and 93.18 %.
    assert hits / sum(truth) >= 0.9318 and hits / sum(inside) >= 0.9318
