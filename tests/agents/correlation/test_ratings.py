"""Ratings on incidents, and a block by risk where the paper's rules are in force."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from agents.correlation.engine import CorrelationEngine
from agents.knowledge.load import paper_rules
from agents.settings.honeynet import Policy
from ontology.reasoner.client import PelletWorker
from ontology.records import Alert, HostProfile

S = 1_000_000
POT, PLAIN = ip_address("198.51.100.5"), ip_address("203.0.113.80")
HOSTS = [HostProfile(id="urn:p", address=PLAIN, roles=("ProtectedHost",), asset_value=5)]
POLICY = Policy(paper_rules=True, sensor_priority={"gw1": 4}, minimum_risk=2.0)


def scan(number: int, source: str, *, verified: bool = True) -> Alert:
    return Alert(
        id=f"urn:uuid:{number:032x}",
        classification="SynScan",
        source=ip_address(source),
        # Hosts of their own, so that fusion leaves the alerts apart.
        target=PLAIN + number if number % 4 else PLAIN,
        protocol=6,
        begin_us=number * 100 * S,
        end_us=number * 100 * S + S,
        confidence=0.9,
        verified_source=verified,
        sensor="sensor.gw1@honeynet.test",
        analyzer="a",
        explanation="",
    )


@pytest.mark.parametrize("verified", [True, False])
def test_a_block_by_risk(paper_worker: PelletWorker, verified: bool) -> None:
    core = CorrelationEngine(HOSTS, POLICY, origin="c@test", reasoner=paper_worker)
    for number in (1, 2, 3):
        assert core.on_alerts([scan(number, "192.0.2.7", verified=verified)], 999 * S) == []
    out = core.on_alerts([scan(4, "192.0.2.7", verified=verified)], 999 * S)
    # 10 * 4 / (4 + 10), and that * 5 * 4 / 25.
    ((incident, decided),) = ((o.incident, o.decisions) for o in out)
    assert incident.rule == "BlockCandidateByRisk"
    assert incident.explanation.endswith("\nreliability 2.9, risk 2.3 (VA 5, PS 4)")
    # Who could be forged is not blocked, however risky the alert.
    assert len(decided) == verified
    assert all("reliability 2.9, risk 2.3 (VA 5, PS 4)" in d.reason for d in decided)


def test_the_paper_rules_are_off_unless_asked_for() -> None:
    assert paper_rules(Policy()) == ()
    assert [path.name for path in paper_rules(POLICY)] == ["paper.owl"]
