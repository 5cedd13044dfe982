"""The shell without a bus: what it sends, which rules it takes. The bus has tests of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agents.clock import now_us
from agents.knowledge.files import FileSet, shipped_files
from agents.knowledge.pieces import split
from agents.knowledge.receiver import KnowledgeReceiver
from agents.messages.acl import AclMessage
from agents.settings.honeynet import Policy
from ontology.fragments import FragmentError
from ontology.records import (
    Alert,
    Block,
    Decision,
    GatewayAddresses,
    Incident,
    OntologyChanged,
    Record,
    Subscription,
)
from tests.agents.correlation.probe import (
    KNOWLEDGE,
    MESSAGE,
    Probe,
    alert,
    decisions,
    running,
    step,
    until,
)
from tests.ontology.checking.rule_texts import rule

pytestmark = pytest.mark.usefixtures("reasoner_stays")


async def test_alerts_become_a_request_with_everything_it_rests_on(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await until(lambda: len(agent.sent) == 3)
        assert [(to, how, getattr(r, "topic", "")) for to, how, (r,) in agent.sent] == [
            ("analyzer", "subscribe", "Alert"),
            ("ontology", "subscribe", "HostProfile"),
            ("ontology", "subscribe", "OntologyChanged"),
        ]
        await agent.on_message(MESSAGE, (alert(1, "SynScan", 9), alert(2, "FtpBruteForce", 5)))
        await until(lambda: len(decisions(agent, "ontology")) == 1)
        (decision,) = decisions(agent, "supervisor")
        request = next(
            records for to, performative, records in agent.sent if performative == "request"
        )
        incident = next(r for r in request if isinstance(r, Incident))
        assert request[0] == decision and decision.incident == incident.id
        assert {a.id for a in request if isinstance(a, Alert)} == set(incident.alerts)


async def test_a_source_on_the_operators_lists_is_ordered_for_less_long(tmp_path: Path) -> None:
    carrier = {"kind": "SharedAddress", "name": "carrier NAT", "networks": ["192.0.2.0/29"]}
    stranger = ip_address("192.0.2.77")
    both = (alert(1, "SynScan", 9), alert(2, "FtpBruteForce", 5))
    others = tuple(replace(a, id=a.id[:-2] + "9" + a.id[-1], source=stranger) for a in both)
    async with running(tmp_path, sources=[carrier]) as agent:
        await agent.on_message(MESSAGE, (*both, *others))
        await until(lambda: {d.source for d in decisions(agent, "supervisor")} > {stranger})
        for decision in decisions(agent, "supervisor"):
            known = decision.source != stranger
            assert (decision.duration_s <= 900) == known
            line = "192.0.2.7 is a SharedAddress (carrier NAT): no block lasts longer than 900 s"
            assert (line in decision.reason) == known


async def test_what_the_kernel_of_the_gateway_has_is_shown_and_not_ordered(tmp_path: Path) -> None:
    scan, brute = alert(1, "SynScan", 9), alert(2, "FtpBruteForce", 5)
    assert scan.source is not None
    kernel = GatewayAddresses(id="urn:uuid:1", node="gw1", routers=(scan.source,))
    async with running(tmp_path) as agent:
        await agent.on_message(MESSAGE, (kernel,))
        await agent.on_message(MESSAGE, (scan, brute))
        await until(lambda: any(isinstance(r, Incident) for _, _, rs in agent.sent for r in rs))
        await until(lambda: agent.running.idle)
        assert decisions(agent, "supervisor") == []
        assert agent.counters["protected"] > 0


async def test_two_attackers_of_one_victim_are_two_cases_and_both_ordered(tmp_path: Path) -> None:
    trusted, target = "203.0.113.10", "203.0.113.20"
    attack = (
        step(1, "SynFlood", 90, None, trusted),
        step(2, "SequencePrediction", 60, "192.0.2.7", target),
        step(3, "SequencePrediction", 60, "192.0.2.8", target),
        replace(step(4, "SpoofedLogin", 30, trusted, target), verified_source=False),
    )
    async with running(tmp_path) as agent:
        await agent.on_message(MESSAGE, attack)
        await until(lambda: not agent.running.journal.read(done=False))
        ordered = [d.source for d in decisions(agent, "supervisor")]
        assert sorted(ordered) == [ip_address("192.0.2.7"), ip_address("192.0.2.8")]
        # One case each: what one of them does is no step of the other's.
        requests = [rs for to, how, rs in agent.sent if (to, how) == ("supervisor", "request")]
        assert len(requests) == 2
        for request in requests:
            (incident,) = [r for r in request if isinstance(r, Incident)]
            assert incident.classification == "ScenarioIncident"
            (decision,) = [r for r in request if isinstance(r, Decision)]
            assert (decision.incident, decision.source) == (incident.id, incident.source)


async def test_a_case_goes_on_after_a_restart(tmp_path: Path) -> None:
    attacker, victim = "192.0.2.7", "203.0.113.20"
    kinds = ("IcmpSweep", "RpcProbe", "BufferOverflow", "MalwareInstallation")
    attack = [
        step(n, kind, 400 - 90 * n, attacker, victim) for n, kind in enumerate(kinds, start=1)
    ]

    def cases(agent: Probe) -> list[Incident]:
        sent = (r for to, _, rs in agent.sent if to == "ontology" for r in rs)
        return [
            r for r in sent if isinstance(r, Incident) and r.classification == "ScenarioIncident"
        ]

    async with running(tmp_path) as agent:
        await agent.on_message(MESSAGE, tuple(attack[:3]))
        await until(lambda: bool(cases(agent)) and not agent.running.journal.read(done=False))
        before = cases(agent)[-1]
        assert before.explanation.startswith("Scenario LLDOS: 3 steps")
    async with running(tmp_path) as agent:
        await agent.on_message(MESSAGE, (attack[3],))
        await until(lambda: not agent.running.journal.read(done=False))
        (after,) = cases(agent)
        assert after.id == before.id and after.explanation.startswith("Scenario LLDOS: 4 steps")


async def test_what_is_in_force_changes_what_a_case_expects(tmp_path: Path) -> None:
    attacker, victim = "192.0.2.7", "203.0.113.20"
    kinds = ("IcmpSweep", "RpcProbe", "BufferOverflow")
    attack = [
        step(n, kind, 400 - 90 * n, attacker, victim) for n, kind in enumerate(kinds, start=1)
    ]
    async with running(tmp_path) as agent:
        await agent.on_message(MESSAGE, tuple(attack))
        await until(lambda: bool(decisions(agent, "supervisor")))
        agent.sent.clear()
        block = Block(
            id="urn:b",
            decision="urn:d",
            gateway="gw1",
            source=ip_address(attacker),
            state="active",
            since_us=now_us(),
            expires_us=now_us() + 3600 * 1_000_000,
        )
        await agent.on_message(MESSAGE, (block,))
        await until(lambda: bool(agent.sent))
        to, how, records = agent.sent[0]
        incident = records[0]
        assert (to, how) == ("supervisor", "inform") and isinstance(incident, Incident)
        assert "No longer expected: install-mstream, since block-source" in incident.explanation


async def test_an_incident_that_can_not_be_sent_does_not_hold_up_the_order(tmp_path: Path) -> None:
    class Narrow(Probe):
        async def send_many(
            self,
            receivers: Sequence[str],
            performative: str,
            records: Sequence[Record],
            **more: Any,
        ) -> tuple[AclMessage, ...]:
            if any(isinstance(r, Incident) for r in records):
                raise FragmentError("too large")
            return await super().send_many(receivers, performative, records, **more)

    async with running(tmp_path, Narrow) as agent:
        await agent.on_message(MESSAGE, (alert(1, "SynScan", 9), alert(2, "FtpBruteForce", 5)))
        await until(lambda: agent.counters["incidents_unsendable"] == 3)
        assert len(decisions(agent, "supervisor")) == 1
        await until(lambda: not agent.running.journal.read(done=False))


def announced(edit: Callable[[dict[str, bytes]], None]) -> tuple[Record, ...]:
    """The shipped files after an edit, as the ontology agent sends them."""
    contents = dict(shipped_files(Policy()).contents)
    edit(contents)
    files = FileSet(contents)
    version = f"1.0.0+{files.digest[:12]}"
    change = OntologyChanged(id="urn:uuid:1", version=version, changed_us=now_us())
    change, pieces = split(change, files)
    return change, *pieces


def add_rule(contents: dict[str, bytes]) -> None:
    """As in Protégé: a class for the conclusion, and a rule like one that is there."""
    finding = "https://w3id.org/ontoidps#HoneypotScanFinding"
    declared = (
        f'<owl:Class rdf:about="{finding}"><rdfs:subClassOf rdf:resource='
        '"https://w3id.org/ontoidps#Finding"/></owl:Class></rdf:RDF>'
    )
    words = contents["ontoidps.owl"]
    contents["ontoidps.owl"] = words.replace(b"</rdf:RDF>", declared.encode())
    text = contents["correlation.owl"].decode("utf-8")
    copied = next(r for r in text.split("<swrl:Imp>") if "<rdfs:label>HoneypotBruteForce<" in r)
    copied = copied.partition("</swrl:Imp>")[0]
    for old, new in (
        ("https://w3id.org/ontoidps#HoneypotBruteForceFinding", finding),
        ("ontoidps#BruteForce", "ontoidps#Scan"),
        (">HoneypotBruteForce<", ">HoneypotScan<"),
    ):
        assert old in copied
        copied = copied.replace(old, new)
    added = f"<swrl:Imp>{copied}</swrl:Imp></rdf:RDF>"
    contents["correlation.owl"] = text.replace("</rdf:RDF>", added).encode()


def join_five(contents: dict[str, bytes]) -> None:
    """Pellet takes it and answers plain windows, which have no such alert; forty are too much."""
    five = ", ".join(f"CommandInjection(?{v}), involvesTarget(?{v}, ?h)" for v in "abcde")
    bad = rule(f"{five} -> multiHoneypotScan(?a, ?e)", "Five")
    names = "".join(f'<swrl:Variable rdf:about="urn:swrl:var#{v}"/>' for v in "abcdeh")
    whole = contents["correlation.owl"].decode()
    contents["correlation.owl"] = whole.replace("</rdf:RDF>", f"{names}{bad}</rdf:RDF>").encode()


def contradict(contents: dict[str, bytes]) -> None:
    """Somebody who is a host and a record: nothing that an agent reads in the files, but Pellet
    finds no window sound with it."""
    words = contents["ontoidps.owl"]
    types = "".join(
        f'<rdf:type rdf:resource="https://w3id.org/ontoidps#{name}"/>'
        for name in ("Host", "Record")
    )
    both = f'<owl:NamedIndividual rdf:about="urn:x">{types}</owl:NamedIndividual></rdf:RDF>'
    contents["ontoidps.owl"] = words.replace(b"</rdf:RDF>", both.encode())


def reports(agent: Probe) -> list[tuple[str, OntologyChanged]]:
    return [
        (how, record)
        for to, how, records in agent.sent
        if to == "ontology"
        for record in records
        if isinstance(record, OntologyChanged)
    ]


async def test_a_rule_that_arrives_blocks_without_a_restart_and_after_one(
    tmp_path: Path,
) -> None:  # slow: Pellet, about 10 s
    async with running(tmp_path) as agent:
        await agent.on_message(MESSAGE, (alert(1, "ConnectScan", 60),))
        await until(lambda: agent.counters["alerts"] == 1)
        assert decisions(agent, "supervisor") == []
        records = announced(add_rule)
        await agent.on_message(KNOWLEDGE, records)
        await until(lambda: bool(reports(agent)))
        ((how, report),) = reports(agent)
        assert (how, report.digest) == ("inform", records[0].digest)  # type: ignore[union-attr]
        assert agent.describe().ontology_version == report.version
        await agent.on_message(MESSAGE, (alert(2, "FinScan", 5),))
        await until(lambda: bool(decisions(agent, "supervisor")))
        (decision,) = decisions(agent, "supervisor")
        assert decision.classification == "HoneypotBruteForceIncident"  # as the copied rule says
        assert decision.reason.startswith("Rule HoneypotScan: ")
        assert "\nRule BlockCandidateFinding: " in decision.reason
    async with running(tmp_path) as agent:
        assert agent.describe().ontology_version == report.version
        await agent.on_message(
            MESSAGE, (replace(alert(3, "XmasScan", 2), source=ip_address("192.0.2.9")),)
        )
        await until(
            lambda: any(d.source == ip_address("192.0.2.9") for d in decisions(agent, "supervisor"))
        )
        wishes = [r for _, how, rs in agent.sent if how == "subscribe" for r in rs]
        digests = [r.digest for r in wishes if isinstance(r, Subscription)]
        assert report.digest in digests, "it says what it has"


async def test_what_its_pellet_refuses_is_refused_and_it_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        version = agent.describe().ontology_version
        await agent.on_message(KNOWLEDGE, announced(contradict))
        await until(lambda: bool(reports(agent)))
        ((how, report),) = reports(agent)
        assert how == "refuse" and report.detail.startswith("Pellet: inconsistent: ")
        assert "urn:x" in report.detail
        assert agent.counters["rules_refused"] == 1
        assert agent.describe().ontology_version == version
        await agent.on_message(MESSAGE, (alert(1, "SynScan", 9), alert(2, "FtpBruteForce", 5)))
        await until(lambda: len(decisions(agent, "supervisor")) == 1)


@pytest.mark.timeout(400)
async def test_rules_that_fail_in_use_are_taken_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody need do anything, and no alert is lost."""
    bad = announced(join_five)
    attackers = tuple(
        replace(alert(n, "CommandInjection", 9), source=ip_address("192.0.2.7") + n)
        for n in range(40)
    )
    async with running(tmp_path) as agent:
        await until(lambda: agent.running.worker.pid is not None)
        before = agent.ontology_version
        await agent.on_message(KNOWLEDGE, bad)
        await until(lambda: agent.counters["rules_loaded"] == 1)
        assert agent.ontology_version != before
        await agent.on_message(MESSAGE, attackers)
        # Pellet is killed twice and starts three times.
        await until(lambda: agent.counters["rules_taken_back"] == 1, 250)
        await until(lambda: len({d.source for d in decisions(agent, "supervisor")}) == 40)
        assert agent.ontology_version == before and agent.counters["quarantined"] == 0
        held = agent.conditions.of("rules")
        assert held is not None and held.level == "degraded"
        assert f"{before} is in force again: 2 windows in a row failed" in held.reason
        assert any(r.levelname == "ERROR" and held.reason in r.getMessage() for r in caplog.records)
        await until(lambda: reports(agent)[-1][0] == "failure")
        # It is not taken again, however often it comes, nor after a restart.
        await agent.on_message(KNOWLEDGE, (replace(bad[0], changed_us=now_us()),))
        assert [how for how, _ in reports(agent)] == ["inform", "failure", "failure"]
        restarted = KnowledgeReceiver(
            agent.context.state_dir / "rules",
            follows=KNOWLEDGE.sender,
            policy=Policy(),
            counters=agent.counters,
        )
        restarted.start()
        assert restarted.version == before
        report = restarted.hear(
            KNOWLEDGE.sender, "c", [replace(bad[0], changed_us=now_us() + 1_000_000)]
        )
        assert report is not None and report.performative == "failure"
