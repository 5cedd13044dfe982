"""The shell without a bus: what it stores, sends and survives. The bus has tests of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil
import pytest

from agents.base import AgentContext
from agents.clock import now_us
from agents.correlation.agent import CorrelationAgent
from agents.correlation.cooperation import Publication
from agents.correlation.outcome import Outcome
from agents.correlation.pipeline import (
    MAX_PUBLICATIONS,
    MAX_QUEUE,
    MAX_UNVERIFIED_BATCH,
    MAX_UNVERIFIED_QUEUE,
)
from agents.knowledge.files import FileSet, shipped_files
from agents.knowledge.pieces import split
from agents.knowledge.receiver import KnowledgeReceiver
from agents.messages.acl import AclMessage
from agents.settings.honeynet import Policy, Settings
from agents.trust.identity import Refused
from ontology.fragments import FragmentError
from ontology.records import (
    Alert,
    Block,
    Decision,
    GatewayAddresses,
    HostProfile,
    Incident,
    OntologyChanged,
    Record,
    Subscription,
)
from tests.ontology.checking.rule_texts import rule

ANALYZER = "analyzer.gw1@honeynet.localdomain"


class Probe(CorrelationAgent):
    """Keeps what it would put into the outbox."""

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self.sent: list[tuple[str, str, tuple[Record, ...]]] = []

    @property
    def age_s(self) -> float:
        """Of a message that has just been said."""
        return 0.0

    async def send_many(
        self,
        receivers: Sequence[str],
        performative: str,
        records: Sequence[Record],
        *,
        protocol: str,
        conversation_id: str | None = None,
        in_reply_to: str | None = None,
        within_s: float | None = None,
    ) -> tuple[AclMessage, ...]:
        for receiver in receivers:
            self.sent.append((receiver.partition(".")[0], performative, tuple(records)))
        return (MESSAGE,) * len(receivers)

    async def reply(
        self, message: AclMessage, performative: str, records: Sequence[Record]
    ) -> AclMessage:
        self.sent.append((message.sender.partition(".")[0], performative, tuple(records)))
        return MESSAGE


MESSAGE = AclMessage(
    performative="inform",
    sender=ANALYZER,
    receivers=("correlation.gw1@honeynet.localdomain",),
)


CENTRE = (
    {"name": "gw1", "agents": ["sensor", "analyzer", "ontology", "correlation", "supervisor"]},
)
CELLS = (
    {"name": "gw1", "agents": ["sensor", "analyzer", "ontology", "correlation", "reaction"]},
    {"name": "gw2", "agents": ["sensor", "analyzer", "correlation", "reaction"]},
    {"name": "gw3", "agents": ["sensor", "analyzer", "reaction"]},
)
KNOWLEDGE = replace(MESSAGE, sender="ontology.gw1@honeynet.localdomain", conversation_id="rules")


@asynccontextmanager
async def running(
    state: Path, kind: type[Probe] = Probe, nodes: Sequence[dict[str, Any]] = CENTRE
) -> AsyncIterator[Probe]:
    settings = Settings.model_validate(
        {
            "state_dir": state,
            "node": [{**node, "interfaces": ["eth0"]} for node in nodes],
            "honeypot": [{"address": "198.51.100.5", "node": "gw1"}],
        }
    )
    agent = kind(AgentContext(settings=settings, role="correlation", node="gw1"))
    try:
        await agent.begin()
        yield agent
    finally:
        await agent._at_end.aclose()
        await agent._tasks.end()


async def until(condition: Callable[[], bool], limit_s: float = 90) -> None:
    async with asyncio.timeout(limit_s):  # Pellet's start on a busy machine
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the agent offers no event for this


def alert(number: int, classification: str, ago_s: int) -> Alert:
    begin_us = now_us() - ago_s * 1_000_000
    return Alert(
        id=f"urn:uuid:00000000-0000-4000-8000-{number:012x}",
        classification=classification,
        source=ip_address("192.0.2.7"),
        target=ip_address("198.51.100.5"),
        protocol=6,
        begin_us=begin_us,
        end_us=begin_us + 1,
        confidence=0.9,
        verified_source=True,
        sensor="sensor.gw1@honeynet.localdomain",
        analyzer=ANALYZER,
        explanation="because",
    )


def decisions(agent: Probe, receiver: str) -> list[Decision]:
    return [r for to, _, rs in agent.sent if to == receiver for r in rs if isinstance(r, Decision)]


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


async def test_a_restart_remembers_the_scan_and_repeats_nothing(tmp_path: Path) -> None:
    scan = alert(1, "SynScan", 9)
    async with running(tmp_path) as agent:
        await agent.on_message(MESSAGE, (scan,))
        await until(lambda: agent.counters["senior"] == 1)
        await until(lambda: agent.running.journal.read(done=True) == [scan])
    async with running(tmp_path) as agent:
        # At-least-once delivery: the same message may come again.
        await agent.on_message(MESSAGE, (scan,))
        await agent.on_message(MESSAGE, (alert(2, "FtpBruteForce", 5),))
        await until(lambda: len(decisions(agent, "ontology")) == 1)
        rules = {r.rule for _, _, rs in agent.sent for r in rs if isinstance(r, Incident)}
        assert "ScanThenBruteForce" in rules and agent.counters["alerts_received"] == 1


async def test_what_was_acknowledged_but_not_reasoned_about_is_done_after_a_crash(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as agent:
        # As if killed between the acknowledgement and the tick.
        agent.running.journal.add([alert(1, "SynScan", 9), alert(2, "FtpBruteForce", 5)])
    async with running(tmp_path) as agent:
        await until(lambda: len(decisions(agent, "supervisor")) == 1)


async def test_what_a_slip_of_ours_interrupts_is_done_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slip(*_: object) -> None:
        raise KeyError("not thought of")

    async with running(tmp_path) as agent:
        with monkeypatch.context() as patch:
            patch.setattr(agent.running.engine, "on_alerts", slip)
            await agent.on_message(MESSAGE, (alert(1, "SynScan", 9), alert(2, "FtpBruteForce", 5)))
            await until(lambda: agent.counters["alerts_put_off"] == 2)
        # Another one is dealt with, and doesn't take the two along.
        await agent.on_message(MESSAGE, (replace(alert(3, "SynScan", 4), source=None),))
        await until(lambda: agent.running.idle)
        assert decisions(agent, "supervisor") == []
    async with running(tmp_path) as agent:
        await until(lambda: len(decisions(agent, "supervisor")) == 1)


async def test_a_killed_reasoner_loses_no_alert(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await until(lambda: agent.running.worker.pid is not None)
        assert agent.running.worker.pid is not None
        psutil.Process(agent.running.worker.pid).kill()
        await agent.on_message(MESSAGE, (alert(1, "SynScan", 9), alert(2, "FtpBruteForce", 5)))
        await until(lambda: len(decisions(agent, "supervisor")) == 1)
        assert not agent.running.journal.read(done=False)


def step(number: int, classification: str, ago_s: int, source: str | None, target: str) -> Alert:
    return replace(
        alert(number, classification, ago_s),
        source=None if source is None else ip_address(source),
        target=ip_address(target),
        verified_source=source is not None,
    )


async def test_two_attackers_of_one_case_are_both_ordered(tmp_path: Path) -> None:
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
        (request,) = [rs for to, how, rs in agent.sent if (to, how) == ("supervisor", "request")]
        incident = next(r for r in request if isinstance(r, Incident))
        assert incident.classification == "ScenarioIncident"
        assert {r.incident for r in request if isinstance(r, Decision)} == {incident.id}


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


OTHER_CELL = "correlation.gw2@honeynet.localdomain"


def from_cell(performative: str) -> AclMessage:
    return AclMessage(performative=performative, sender=OTHER_CELL, receivers=MESSAGE.receivers)


async def test_a_cell_asks_its_own_analyzers_and_the_other_cells(tmp_path: Path) -> None:
    async with running(tmp_path, nodes=CELLS) as agent:
        await until(lambda: len(agent.sent) == 6)
        assert sorted((to, how, getattr(r, "topic", "")) for to, how, (r,) in agent.sent) == [
            ("analyzer", "cancel", "Alert"),  # of gw2, which has a cell of its own
            ("analyzer", "subscribe", "Alert"),
            ("analyzer", "subscribe", "Alert"),  # of gw3, which has none
            ("correlation", "subscribe", "Cooperation"),
            ("ontology", "subscribe", "HostProfile"),
            ("ontology", "subscribe", "OntologyChanged"),
        ]


async def test_a_cell_orders_its_own_gateway_first_and_publishes_to_subscribers(
    tmp_path: Path,
) -> None:
    wish = Subscription(id="urn:s", topic="Cooperation")
    async with running(tmp_path, nodes=CELLS) as agent:
        await agent.on_message(from_cell("subscribe"), (wish,))
        assert agent.sent[-1] == ("correlation", "agree", (wish,))
        with pytest.raises(ValueError, match="Cooperation only"):
            await agent.on_message(
                from_cell("subscribe"), (Subscription(id="urn:s", topic="Alert"),)
            )
    # A restart keeps the subscriber.
    async with running(tmp_path, nodes=CELLS) as agent:
        await agent.on_message(MESSAGE, (alert(1, "SynScan", 9), alert(2, "FtpBruteForce", 5)))
        await until(lambda: len(decisions(agent, "ontology")) == 1)
        sent = [(to, how, rs) for to, how, rs in agent.sent if how in ("request", "inform")]
        (decision,) = decisions(agent, "ontology")
        assert sent[0] == ("reaction", "request", (decision,)) and decision.scope == "own"
        assert [(to, how) for to, how, _ in sent[1:3]] == [
            ("correlation", "inform"),
            ("ontology", "inform"),
        ]
        published = sent[1][2]
        assert any(isinstance(r, Incident) for r in published)
        assert sum(isinstance(r, Alert) for r in published) == 2
        await agent.on_message(from_cell("cancel"), (wish,))
        assert agent._subscribers.to("Cooperation") == ()


def published(cell: str, number: int, severity: float = 0.9) -> Publication:
    evidence = alert(number, "FtpBruteForce", 5)
    incident = Incident(
        id=f"urn:i:{cell}:{number}",
        classification="HoneypotBruteForceIncident",
        source=evidence.source,
        targets=(),
        alerts=(evidence.id,),
        rule="HoneypotBruteForce",
        begin_us=evidence.begin_us,
        end_us=evidence.end_us,
        severity=severity,
        verified_source=True,
        explanation="",
    )
    decision = Decision(
        id=f"urn:d:{cell}:{number}",
        action="block",
        source=ip_address("192.0.2.7"),
        classification=incident.classification,
        incident=incident.id,
        origin=cell,
        decided_us=now_us(),
        duration_s=3600,
        reason="",
    )
    return Publication(cell, decision, incident, (evidence,))


async def test_what_another_cell_publishes_is_judged_by_the_own_rules(tmp_path: Path) -> None:
    publication = published(OTHER_CELL, 1)
    decision, incident, (attack,) = (
        publication.decision,
        publication.incident,
        publication.alerts,
    )
    assert incident is not None
    async with running(tmp_path, nodes=CELLS) as agent:
        harmless = replace(attack, classification="HoneypotContact")
        await agent.on_message(from_cell("inform"), (decision, incident, harmless))
        await until(lambda: agent.counters["cooperation_not_convinced"] == 1)
        assert decisions(agent, "reaction") == []
        await agent.on_message(from_cell("inform"), (decision, incident, attack))
        await until(lambda: bool(decisions(agent, "reaction")))
        (order,) = decisions(agent, "reaction")
        assert (order.scope, order.duration_s) == ("cooperative", 60)
        # Evidence of others is no alert of ours, and nothing is reported of it.
        assert agent.counters["alerts"] == 0 and decisions(agent, "ontology") == []
        # The supervisor rules on the same decision: the word counts in full.
        ruling = Block(
            id="urn:b",
            decision=decision.id,
            gateway="*",
            source=order.source,
            state="active",
            since_us=now_us(),
            expires_us=now_us() + 3600 * 1_000_000,
        )
        agent.running.rule([ruling], "supervisor.gw9@honeynet.localdomain")
        await until(lambda: len(decisions(agent, "reaction")) == 2)
        assert decisions(agent, "reaction")[1].duration_s > 3500


async def test_alerts_of_a_node_that_another_cell_serves_are_no_evidence_of_our_own(
    tmp_path: Path,
) -> None:
    foreign = replace(MESSAGE, sender="analyzer.gw2@honeynet.localdomain")
    async with running(tmp_path, nodes=CELLS) as agent:
        with pytest.raises(Refused, match="another cell") as refused:
            await agent.on_message(foreign, (alert(1, "FtpBruteForce", 5),))
        assert refused.value.reason == "role"
        assert not agent.running.engine.has_seen(ip_address("192.0.2.7"))
        # Node gw3 has no correlation agent, so that the first one serves it.
        served = replace(MESSAGE, sender="analyzer.gw3@honeynet.localdomain")
        await agent.on_message(served, (alert(1, "FtpBruteForce", 5),))
        await until(lambda: agent.running.engine.has_seen(ip_address("192.0.2.7")))


async def test_a_cell_that_floods_us_loses_its_own_words_only(tmp_path: Path) -> None:
    honest, liar = OTHER_CELL, "correlation.gw3@honeynet.localdomain"
    nodes = (*CELLS[:2], {**CELLS[2], "agents": [*CELLS[2]["agents"], "correlation"]})
    async with running(tmp_path, nodes=nodes) as agent:
        agent.running.hear([published(honest, 1)])
        agent.running.hear([published(liar, n, severity=0.0) for n in range(2, 1202)])
        await until(lambda: bool(decisions(agent, "reaction")))
        (order,) = decisions(agent, "reaction")
        assert honest in order.reason
        await until(lambda: agent.running.idle)
        counters = agent.counters
        assert counters["publications_refused"] == MAX_PUBLICATIONS
        assert counters["publications_dropped"] == 1200 - MAX_PUBLICATIONS


async def test_a_host_that_was_asserted_to_be_ours_is_not_blocked_on_others_word(
    tmp_path: Path,
) -> None:
    asserted = HostProfile(id="urn:h", address=ip_address("192.0.2.7"), roles=("Honeypot",))
    news = OntologyChanged(id="urn:c", kind="facts", version="1", changed_us=1)
    async with running(tmp_path, nodes=CELLS) as agent:
        await agent.on_message(KNOWLEDGE, (news, asserted))
        await until(lambda: agent.counters["hosts_taken"] == 1)
        agent.running.hear([published(OTHER_CELL, 1)])
        await until(lambda: agent.counters["publications_refused"] == 1)
        assert decisions(agent, "reaction") == []


async def test_a_full_queue_leaves_the_message_unacknowledged(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        many = tuple(alert(i, "SynScan", 9) for i in range(3))
        agent.running._queue.extend([many[0]] * (MAX_QUEUE - 2))
        with pytest.raises(RuntimeError, match="wait for the reasoner"):
            await agent.on_message(MESSAGE, many)
        assert agent.counters["queue_full"] == 1 and agent.running.journal.read(done=False) == []
        agent.running._queue.clear()


async def test_what_may_be_forged_waits_in_a_queue_of_its_own_and_holds_up_none(
    tmp_path: Path,
) -> None:
    """A flood of it is left out, counted; verified alerts of the same messages are reasoned about
    before what came in earlier."""
    async with running(tmp_path) as agent:
        pipeline = agent.running
        seen: list[list[bool]] = []
        correlate = pipeline._correlate

        def watched(batch: Sequence[Alert], reports: Sequence[Block]) -> list[Outcome]:
            if batch:
                seen.append([a.verified_source for a in batch])
            return correlate(batch, reports)

        pipeline._correlate = watched  # type: ignore[method-assign]
        flood = [
            replace(alert(1000 + n, "HoneypotContact", n % 50), verified_source=False)
            for n in range(MAX_UNVERIFIED_QUEUE + 500)
        ]
        real = alert(1, "SshBruteForce", 9)
        await agent.on_message(MESSAGE, (*flood, real))
        assert agent.counters["unverified_left_out"] == 500
        assert agent.counters["queue_full"] == 0
        await until(lambda: pipeline.idle)
        assert seen[0] == [True]
        assert [len(batch) for batch in seen[1:]] == [MAX_UNVERIFIED_BATCH] * (
            MAX_UNVERIFIED_QUEUE // MAX_UNVERIFIED_BATCH
        )


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
        await until(lambda: agent.counters["incidents_unsendable"] == 2)
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
        assert decision.classification == "CustomIncident"
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


def says(agent: Probe) -> str:
    held = agent.conditions.of("reasoner")
    return "" if held is None or held.level != "degraded" else held.reason


async def test_a_reasoner_that_died_idle_is_told_and_comes_back_without_an_alert(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as agent:
        worker = agent.running.worker
        await until(lambda: worker.pid is not None and agent.running._begun)
        assert says(agent) == ""
        for _ in range(2):
            killed = psutil.Process(worker.pid)
            killed.kill()
            async with asyncio.timeout(5):
                while not says(agent):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert says(agent) == "the reasoner has ended; it is started again"
            await until(lambda: says(agent) == "")
            assert worker.pid not in (None, killed.pid)


@pytest.mark.parametrize("executable", ["/bin/false", "/nonexistent/python", "/bin/sleep"])
async def test_no_reasoner_is_told_with_the_reason_until_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    """As where Java is missing: the worker does not come up, whatever is tried."""
    with monkeypatch.context() as broken:
        broken.setattr("sys.executable", executable)
        async with running(tmp_path) as agent:
            await until(lambda: says(agent) != "")
            reason = "no reasoner, alerts wait and nothing is decided: the worker "
            assert says(agent).startswith(reason)
            agent.running.take([alert(1, "SynScan", 1)])
            await until(lambda: agent.running.engine.pending == 1)
            assert says(agent).startswith(reason)
            broken.undo()
            await until(lambda: says(agent) == "" and agent.running.engine.pending == 0)


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
