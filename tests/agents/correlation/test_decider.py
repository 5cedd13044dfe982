"""Recommendations from findings and cases, without a reasoner: its word is given."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from agents.base.protected import Protected
from agents.correlation.cases import Case
from agents.correlation.decider import REPEAT_US, Decider
from agents.correlation.inference_findings import Finding
from agents.correlation.reports import make_incident
from agents.settings.honeynet import Policy
from ontology.records import Address, Alert, HostProfile
from ontology.rule_outcomes import Outcome
from rules.reactions.reaction_rules import shipped_reactions

ATTACKER, VICTIM = ip_address("192.0.2.7"), ip_address("203.0.113.20")
NOW_US = 1_790_000_000_000_000


def alert(number: int, source: Address = ATTACKER, target: Address = VICTIM) -> Alert:
    return Alert(
        id=f"urn:uuid:{number:032x}",
        classification="SqlInjection",
        source=source,
        target=target,
        target_port=80,
        protocol=6,
        begin_us=NOW_US + number,
        end_us=NOW_US + number,
        confidence=0.9,
        verified_source=True,
        sensor="s",
        analyzer="a",
        explanation="",
    )


def finding(source: Address = ATTACKER) -> Finding:
    one = alert(1, source)
    found = Finding("HoneypotExploit", "Why.", source, VICTIM, block_candidate=True)
    found.by_id = found.later_by_id = {one.id: one}
    return found


def case(*alerts: Alert) -> Case:
    return Case("c", "s", "Web", alerts, (), "rule", (), (), 0.8, victims=frozenset({VICTIM}))


def decider(*hosts: HostProfile, **policy: object) -> tuple[Decider, Counter[str]]:
    counters = Counter[str]()
    made = Decider(
        {host.address: host for host in hosts},
        Policy.model_validate({"block_duration": 100, **policy}),
        Protected([ip_network("198.51.100.0/24")]),
        shipped_reactions(),
        origin="correlation@test",
        counters=counters,
        capacity=10,
    )
    return made, counters


def call(alert: Alert) -> tuple[str, str]:
    return "SomeRule", "It says so."


def test_what_the_reasoner_wants_blocked_becomes_a_decision() -> None:
    made, counters = decider()
    _, advice = made.judge_finding(finding(), 0.9, NOW_US, fresh=True)
    assert advice is not None and advice.first
    incident = make_incident(finding(), "HoneypotExploitIncident", 0.9)
    decision = made.decide(incident, advice, NOW_US)
    assert (decision.source, decision.target, decision.incident) == (ATTACKER, VICTIM, incident.id)
    assert decision.origin == "correlation@test" and counters["decisions"] == 1
    lines = decision.reason.splitlines()
    assert lines[-1].startswith("The reaction rules call for a block. Severity 0.90")
    assert any(line.startswith("Reaction rule SqlInjection_http") for line in lines)


def test_the_ontology_says_whether_a_rule_may_block_and_for_how_long() -> None:
    made, _ = decider()
    never = Outcome("FloodIncident", 0.9, may_block=False)
    assert made.judge_finding(finding(), 0.9, NOW_US, fresh=True, outcome=never)[1] is None
    for wanted, seconds in ((90, 90), (10**7, Policy().maximum_duration)):
        own = Outcome("FloodIncident", 0.9, block_s=wanted)
        made, _ = decider()
        _, advice = made.judge_finding(finding(), 0.9, NOW_US, fresh=True, outcome=own)
        assert advice is not None
        incident = make_incident(finding(), own.classification, 0.9)
        order = made.decide(incident, advice, NOW_US)
        assert order.duration_s == seconds
        assert f"says itself for how long: {seconds} s (blocksFor)." in order.reason


def test_a_rule_that_says_how_long_blocks_where_the_reaction_rule_only_looks_on() -> None:
    contact = finding()
    one = replace(alert(1), classification="HoneypotContact")
    contact.by_id = contact.later_by_id = {one.id: one}
    made, _ = decider()
    plain = Outcome("MultiGatewayProbeIncident", 0.9)
    assert made.judge_finding(contact, 0.9, NOW_US, fresh=True, outcome=plain)[1] is None
    own = Outcome("MultiGatewayProbeIncident", 0.9, block_s=600)
    assert made.judge_finding(contact, 0.9, NOW_US, fresh=True, outcome=own)[1] is not None


def test_without_the_reasoners_word_or_below_the_limit_there_is_none() -> None:
    made, _ = decider(minimum_severity=0.8)
    assert made.judge_finding(finding(), 0.79, NOW_US, fresh=True)[1] is None
    silent = finding()
    silent.block_candidate = False
    assert made.judge_finding(silent, 1.0, NOW_US, fresh=True)[1] is None
    assert made.judge_case(case(alert(1)), 1.0, NOW_US, lambda one: None) == []


@pytest.mark.parametrize(
    "source", ["198.51.100.9", "::ffff:198.51.100.9", "127.0.0.1", "224.0.0.5", "240.0.0.1"]
)
def test_who_is_protected_is_never_recommended(source: str) -> None:
    made, counters = decider()
    address = ip_address(source)
    assert made.judge_finding(finding(address), 1.0, NOW_US, fresh=True)[1] is None
    assert made.judge_case(case(alert(1, address)), 1.0, NOW_US, call) == []
    assert counters["protected"] == 2


def test_nor_is_a_host_that_is_known() -> None:
    host = HostProfile(id="urn:h", address=ATTACKER, roles=("ProtectedHost",))
    made, _ = decider(host)
    assert made.judge_finding(finding(), 1.0, NOW_US, fresh=True)[1] is None
    made.set_hosts({})
    assert made.judge_finding(finding(), 1.0, NOW_US, fresh=True)[1] is not None
    made.set_protected(Protected([], {ATTACKER: "a honeypot"}))
    assert made.judge_finding(finding(), 1.0, NOW_US, fresh=True)[1] is None


def test_every_attacker_of_a_case_and_no_victim() -> None:
    made, _ = decider()
    other = ip_address("192.0.2.8")
    # The victim attacks on, in the attacker's hands.
    steps = case(alert(1), alert(2, other), alert(3, VICTIM, ip_address("203.0.113.21")))
    advice = made.judge_case(steps, 0.9, NOW_US, call)
    assert [one.source for one in advice] == [ATTACKER, other]
    assert advice[0].why.startswith("Rule SomeRule: It says so. The scenario is Web. Severity 0.90")


def test_repeats_need_fresh_evidence_and_time() -> None:
    made, _ = decider()
    incident = make_incident(finding(), "HoneypotExploitIncident", 0.9)
    _, advice = made.judge_finding(finding(), 0.9, NOW_US, fresh=True)
    assert advice is not None
    made.decide(incident, advice, NOW_US)
    later = NOW_US + REPEAT_US
    assert made.judge_finding(finding(), 0.9, later - 1, fresh=True)[1] is None
    assert made.judge_finding(finding(), 0.9, later, fresh=False)[1] is None
    assert made.judge_case(case(alert(1)), 0.9, later - 1, call) == []
    _, again = made.judge_finding(finding(), 0.9, later, fresh=True)
    assert again == replace(advice, first=False)
    # What it does after a measure has ended is as if nothing had been said.
    made.forget(ATTACKER)
    _, anew = made.judge_finding(finding(), 0.9, NOW_US, fresh=False)
    assert anew == advice
