"""Ratings on incidents, and a block by risk where the paper's rules are in force."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from agents.correlation.engine import CorrelationEngine
from agents.correlation.outcome import Outcome
from agents.knowledge.load import find_joins, paper_rules
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


@pytest.mark.parametrize("with_table", [True, False])
@pytest.mark.parametrize("verified", [True, False])
def test_a_block_by_risk(paper_worker: PelletWorker, verified: bool, with_table: bool) -> None:
    joins = find_joins(paper_worker.theory) if with_table else None
    core = CorrelationEngine(HOSTS, POLICY, origin="c@test", reasoner=paper_worker, joins=joins)
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


def test_what_no_rule_uses_goes_to_the_reasoner_once_it_is_risky(
    paper_worker: PelletWorker,
) -> None:
    joins = find_joins(paper_worker.theory)
    assert joins is not None and joins.kind("UnknownAnomaly") < 0
    core = CorrelationEngine(HOSTS, POLICY, origin="c@test", reasoner=paper_worker, joins=joins)
    odd = [replace(scan(n, "192.0.2.7"), classification="UnknownAnomaly") for n in (1, 2, 3)]
    assert core.on_alerts(odd, 999 * S) == [] and core.counters["spared"] == 3
    sweep = replace(
        scan(4, "192.0.2.7"),
        classification="UnknownAnomaly",
        target=None,
        targets=(*(POT + n for n in range(40)), PLAIN),
    )
    ((incident, _),) = ((o.incident, o.decisions) for o in core.on_alerts([sweep], 999 * S))
    assert incident.rule == "BlockCandidateByRisk" and core.counters["spared"] == 3
    off = CorrelationEngine(HOSTS, Policy(), origin="c@test", reasoner=paper_worker, joins=joins)
    assert off.on_alerts([*odd, sweep], 999 * S) == [] and off.counters["spared"] == 4


def contact(number: int, gateway: str = "gw1", *, verified: bool = True) -> Alert:
    return replace(
        scan(number, "192.0.2.7", verified=verified),
        classification="HoneypotContact",
        confidence=0.5,
        target=POT + number,
        sensor=f"sensor.{gateway}@honeynet.test",
    )


def probed(
    worker: PelletWorker, *alerts: Alert, told: list[Outcome] | None = None
) -> dict[str, int]:
    """Rule → how many blocks it led to; all that was told goes to ``told``."""
    pots = [
        HostProfile(id=f"urn:{n}", address=POT + n, roles=("Honeypot",), asset_value=1)
        for n in range(30)
    ]
    core = CorrelationEngine(
        pots,
        Policy(),
        origin="c@test",
        reasoner=worker,
        joins=find_joins(worker.theory),
        reads=worker.theory.reads,
    )
    out = [outcome for one in alerts for outcome in core.on_alerts([one], one.end_us)]
    if told is not None:
        told += out
    found: dict[str, int] = {}
    for outcome in out:
        rule = outcome.incident.rule
        found[rule] = found.get(rule, 0) + len(outcome.decisions)
    return found


def test_one_contact_is_an_incident_that_blocks_nobody(worker: PelletWorker) -> None:
    assert probed(worker, contact(1)) == {"HoneypotVisit": 0}
    assert probed(worker, contact(1), contact(2)) == {"HoneypotVisit": 0}
    assert probed(worker, scan(1, "192.0.2.7")) == {}
    proven = replace(scan(1, "192.0.2.7"), target=POT + 1)
    assert probed(worker, proven) == {"HoneypotProbe": 0}


def test_who_is_counted_at_three_honeypots_or_two_gateways_is_told(
    worker: PelletWorker,
) -> None:
    """Visits alone block nobody, however many: an innocent client may have lost its way."""
    three = probed(worker, *map(contact, (1, 2, 3)))
    assert three == {"HoneypotVisit": 0, "MultiHoneypotProbe": 0}
    two = probed(worker, contact(1), contact(2, "gw2"))
    assert two == {"HoneypotVisit": 0, "MultiGatewayProbe": 0}


def test_the_incident_of_a_probe_has_all_that_was_counted(worker: PelletWorker) -> None:
    told: list[Outcome] = []
    probed(worker, *map(contact, (1, 2, 3)), told=told)
    (probe,) = (o for o in told if o.incident.rule == "MultiHoneypotProbe")
    assert probe.incident.targets == tuple(POT + n for n in (1, 2, 3))
    assert len(probe.incident.alerts) == 3
    last = max(probe.alerts, key=lambda a: a.begin_us).id
    assert {edge.later for edge in probe.edges} == {last} and len(probe.edges) == 2


def test_a_name_that_was_forged_everywhere_is_never_counted(worker: PelletWorker) -> None:
    forged = [contact(n, f"gw{n}", verified=False) for n in range(1, 21)]
    assert probed(worker, *forged) == {}
    # Nor do they help one that was proven.
    assert probed(worker, *forged, contact(25)) == {"HoneypotVisit": 0}


def anomaly(number: int, *, verified: bool = True) -> Alert:
    return replace(contact(number, verified=verified), classification="UnknownAnomaly")


def test_who_was_unlike_all_known_traffic_and_comes_again_is_told(worker: PelletWorker) -> None:
    """What K-Means calls novel decides what becomes of the next alert, and blocks nobody."""
    assert probed(worker, contact(2)) == {"HoneypotVisit": 0}
    both = {"HoneypotVisit": 0, "AnomalyThenAttack": 0}
    assert probed(worker, anomaly(1), contact(2)) == both
    # Also where it is a host of ours that was no decoy.
    at_work = replace(contact(3), classification="SshBruteForce", target=PLAIN)
    assert probed(worker, at_work) == {}
    assert probed(worker, anomaly(1), at_work) == {"AnomalyThenAttack": 0}
    assert probed(worker, anomaly(1), scan(2, "192.0.2.8")) == {}
    assert probed(worker, anomaly(1, verified=False), contact(2)) == {"HoneypotVisit": 0}


def near(name: str, distance: float, *, verified: bool = True) -> Alert:
    return replace(
        contact(1, verified=verified),
        cluster_number=12,
        cluster_name=name,
        cluster_distance=distance,
    )


def test_the_cluster_of_a_visit_decides_what_it_is(worker: PelletWorker) -> None:
    guess = {"HoneypotVisit": 0, "GuessLikeVisit": 0}
    assert probed(worker, near("SshBruteForce", 0.4)) == guess
    assert probed(worker, near("SshBruteForce", 1.4)) == {"HoneypotVisit": 0}
    assert probed(worker, near("Normal", 0.4)) == {"HoneypotVisit": 0}
    assert probed(worker, near("SshBruteForce", 0.4, verified=False)) == {}
    # It is learned when the visit goes on: the same alert, with another cluster.
    later = replace(near("SshBruteForce", 0.4), count=5)
    assert probed(worker, near("Normal", 0.4), later) == guess


def test_the_paper_rules_are_off_unless_asked_for() -> None:
    assert paper_rules(Policy()) == ()
    assert [path.name for path in paper_rules(POLICY)] == ["paper.owl"]
