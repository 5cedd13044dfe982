"""The reaction rule decides whether, how long and why a source is blocked."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from agents.correlation.engine import CorrelationEngine
from agents.correlation.response import block_seconds, choose_reaction
from agents.settings.honeynet import Policy
from ontology.reasoner.client import PelletWorker
from ontology.records import Alert, Decision, HostProfile, Incident
from rules.reactions.policy_tables import ReactionRule, Response, read_tables
from rules.reactions.reaction_rules import Reactions, shipped_reactions
from rules.shipped_files import models_path

S = 1_000_000
T0 = 1_790_000_000 * S
ATTACKER, VITAL, POT = "192.0.2.7", "203.0.113.20", "198.51.100.5"
HOSTS = [
    HostProfile(id="urn:a", address=ip_address(VITAL), roles=("ProtectedHost",), asset_value=5),
    HostProfile(id="urn:b", address=ip_address(POT), roles=("Honeypot",), asset_value=2),
]


def alert(classification: str, at_s: int, target: str, port: int | None = None) -> Alert:
    return Alert(
        id=f"urn:uuid:{at_s:032x}",
        classification=classification,
        source=ip_address(ATTACKER),
        target=ip_address(target),
        target_port=port,
        protocol=6,
        begin_us=T0 + at_s * S,
        end_us=T0 + at_s * S,
        confidence=0.9,
        verified_source=True,
        sensor="gw1",
        analyzer="gw1",
        explanation="because",
    )


def run(
    worker: PelletWorker, alerts: list[Alert], reactions: Reactions | None = None, **policy: object
) -> list[Incident | Decision]:
    core = CorrelationEngine(
        HOSTS,
        Policy.model_validate({"block_duration": 100, **policy}),
        origin="c@test",
        reasoner=worker,
        reactions=reactions,
    )
    out = core.on_alerts(alerts, T0 + 3600 * S)
    return [record for o in out for record in (o.incident, *o.decisions)]


def test_a_vital_host_is_defended_longer_and_the_decision_says_why(worker: PelletWorker) -> None:
    guess = [alert("SynScan", 0, VITAL), alert("SshBruteForce", 60, VITAL, 22)]
    _, decision = run(worker, guess)
    assert isinstance(decision, Decision) and decision.duration_s == 600
    (line,) = [x for x in decision.reason.splitlines() if x.startswith("Reaction rule ")]
    assert line.startswith(
        "Reaction rule SshBruteForce_ssh_vital-server (SshBruteForce on ssh, vital-server): "
        "block for 6 times the configured time, D3-ITF. A shell on a vital host"
    )
    assert line.endswith("Advice: Allow keys only, and only from known networks.")
    out = run(worker, [alert("SynScan", 0, POT), alert("SshBruteForce", 60, POT, 22)])
    assert [r.duration_s for r in out if isinstance(r, Decision)] == [100]


def test_a_length_from_the_contacts_times_the_factor(worker: PelletWorker) -> None:
    guess = [alert("SynScan", 0, VITAL), alert("SshBruteForce", 60, VITAL, 22)]
    _, decision = run(worker, guess, ban_length="interval-threshold")
    # One in 60 s: 60 * 11 + 100 = 760 s; factor 6.
    assert isinstance(decision, Decision) and decision.duration_s == 4560
    (line,) = [x for x in decision.reason.splitlines() if x.startswith("Length: ")]
    assert line == (
        "Length: 760 s (interval-threshold; 2 contacts, one in 60 s). "
        "With the rule's factor: 4560 s, at most 604800."
    )


def test_contacts_from_before_a_restart_count() -> None:
    core = CorrelationEngine(
        HOSTS,
        Policy.model_validate({"ban_length": "interval-threshold"}),
        origin="c@test",
        reasoner=lambda *_: pytest.fail("nothing is to be concluded"),
    )
    core.restore([alert("SynScan", 0, VITAL), alert("SynScan", 300, VITAL)], T0)
    assert core.rhythms.length(ip_address(ATTACKER))[0] == 300 * 11 + 100


def test_no_rule_makes_a_block_longer_than_the_policy_allows(worker: PelletWorker) -> None:
    guess = [alert("SynScan", 0, VITAL), alert("SshBruteForce", 60, VITAL, 22)]
    _, decision = run(worker, guess, maximum_duration=300)
    assert isinstance(decision, Decision) and decision.duration_s == 300


def test_observe_reports_and_explains_but_never_blocks(worker: PelletWorker) -> None:
    shipped = shipped_reactions()
    watch = Response("observe", shipped.rules[0].response.factor * 0, "D3-NTA", "We want to see.")
    tables = read_tables(models_path().parent)
    reactions = Reactions(
        [ReactionRule("Attack", "any", asset, watch) for asset in tables.assets],
        tables.services.values(),
        tables.assets.values(),
    )
    out = run(
        worker, [alert("SynScan", 0, VITAL), alert("SshBruteForce", 60, VITAL, 22)], reactions
    )
    (incident,) = out
    assert isinstance(incident, Incident)
    assert incident.explanation.splitlines()[-1] == (
        "Reaction rule Attack_any_vital-server (SshBruteForce on ssh, vital-server): observe, "
        "D3-NTA. We want to see."
    )


def test_the_strongest_rule_of_several_alerts_is_taken() -> None:
    hosts = {host.address: host for host in HOSTS}
    alerts = [alert("HoneypotContact", 0, POT), alert("SqlInjection", 1, VITAL, 80)]
    chosen = choose_reaction(alerts, hosts, shipped_reactions())
    assert chosen.rule.name == "SqlInjection_http_vital-server"
    assert choose_reaction(alerts[:1], hosts, shipped_reactions()).asset == "honeypot"


@pytest.mark.parametrize(("duration", "maximum", "seconds"), [(100, 900, 400), (1, 1, 1)])
def test_length_of_a_block(duration: int, maximum: int, seconds: int) -> None:
    chosen = choose_reaction([alert("RootAccess", 0, POT)], {}, shipped_reactions())
    assert block_seconds(chosen, duration, maximum) == seconds
