"""The shell in a honeynet of several cells: what it asks, publishes, and believes of others."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from agents.clock import now_us
from agents.correlation.cooperation import Publication
from agents.correlation.pipeline import MAX_PUBLICATIONS
from agents.messages.acl import AclMessage
from agents.trust.identity import Refused
from ontology.records import (
    Alert,
    Block,
    Decision,
    HostProfile,
    Incident,
    OntologyChanged,
    Subscription,
)
from tests.agents.correlation.probe import (
    CELLS,
    KNOWLEDGE,
    MESSAGE,
    OTHER_CELL,
    alert,
    decisions,
    running,
    until,
)

pytestmark = pytest.mark.usefixtures("reasoner_stays")


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
