"""Two nodes that decide alone and cooperate: real agents over a real XMPP server, real Pellet.

No supervisor is in the file: what a cell sees it blocks at its own gateway at once, and what the
other cell publishes it judges by its own rules. Gateways run dry, so that no root is needed; what
they do to a kernel has tests of its own (tests/agents/reaction).
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agents.base import AgentContext, BaseAgent
from agents.clock import now_us
from agents.correlation.agent import CorrelationAgent
from agents.correlation.cooperation import ALONE_S
from agents.launcher.xmpp_server import XmppServer
from agents.messages.acl import AclMessage
from agents.reaction.agent import ReactionAgent
from agents.settings.honeynet import load_settings
from agents.trust.identity import ensure_keys
from ontology.reasoner.client import WARM_UP_ROUNDS
from ontology.records import Alert, Decision, Incident, Record

pytestmark = [
    pytest.mark.xmpp,
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        shutil.which("prosody", path="/usr/bin") is None, reason="prosody is not installed"
    ),
]

HONEYNET = """\
name = "test"
domain = "honeynet.test"
[xmpp]
port = {port}
[policy]
dry_run = true
[[node]]
name = "gw1"
agents = ["sensor", "analyzer", "correlation", "ontology", "reaction"]
interfaces = ["lo"]
[[node]]
name = "gw2"
agents = ["sensor", "analyzer", "correlation", "reaction"]
interfaces = ["lo"]
[[honeypot]]
address = "198.51.100.10"
node = "gw1"
[[honeypot]]
address = "198.51.100.20"
node = "gw2"
"""
POTS = {"gw1": "198.51.100.10", "gw2": "198.51.100.20"}
ATTACKER = "192.0.2.7"


class Analyzer(BaseAgent[None]):
    """Says what it is asked to."""

    role = "analyzer"


class Gateway(ReactionAgent):
    """A reaction agent that keeps what it was ordered, too."""

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self.orders: list[Decision] = []

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        self.orders += [r for r in records if isinstance(r, Decision)]
        await super().on_message(message, records)

    def seconds(self, address: str) -> float:
        """How long the address is blocked for, here; 0 if it is not."""
        return self.running.enforcement._firewall.remaining(ip_address(address)) or 0.0


async def until(condition: Callable[[], object], limit_s: float = 60.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110  it depends on the server and on Pellet
            await asyncio.sleep(0.01)


class Net:
    """The agents by role and node."""

    def __init__(self, file: Path, group: asyncio.TaskGroup) -> None:
        self._settings = load_settings(file)
        self._group = group
        self._agents: dict[tuple[str, str], tuple[Any, asyncio.Task[None]]] = {}

    def __getitem__(self, name: tuple[str, str]) -> Any:
        return self._agents[name][0]

    async def start(self, kind: type[BaseAgent[Any]], node: str) -> None:
        agent: Any = kind(AgentContext(settings=self._settings, role=kind.role, node=node))
        self._agents[kind.role, node] = agent, self._group.create_task(agent.run())
        await until(lambda: agent.health()["connected"] and agent.has_started)

    async def stop(self, role: str, node: str) -> None:
        agent, task = self._agents.pop((role, node))
        agent.stop()
        await task

    async def stop_all(self) -> None:
        for role, node in list(self._agents):
            await self.stop(role, node)

    async def attack(self, node: str, classification: str = "SshBruteForce") -> None:
        """The node's analyzer tells its correlation agent of an attack on the node's honeypot."""
        analyzer = self["analyzer", node]
        alert = alert_of(node, classification, analyzer.jid)
        await analyzer.send(
            self["correlation", node].jid, "inform", [alert], protocol="fipa-subscribe"
        )


def alert_of(node: str, classification: str, analyzer: str) -> Alert:
    return Alert(
        id=uuid.uuid4().urn,
        classification=classification,
        source=ip_address(ATTACKER),
        target=ip_address(POTS[node]),
        target_port=22,
        protocol=6,
        begin_us=now_us() - 1_000_000,
        end_us=now_us(),
        confidence=0.9,
        verified_source=True,
        sensor=f"sensor.{node}@honeynet.test",
        analyzer=analyzer,
        explanation="a test",
    )


@pytest.fixture
def honeynet(tmp_path: Path) -> Iterator[tuple[Path, XmppServer]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    file = tmp_path / "honeynet.toml"
    file.write_text(HONEYNET.format(port=port))
    settings = load_settings(file)
    ensure_keys(settings)
    server = XmppServer(settings)
    server.start()
    assert server.ready()
    yield file, server
    server.stop()


@contextlib.asynccontextmanager
async def started(file: Path) -> AsyncIterator[Net]:
    async with asyncio.timeout(220), asyncio.TaskGroup() as group:
        net = Net(file, group)
        try:
            for node in POTS:
                for kind in (Analyzer, Gateway, CorrelationAgent):
                    await net.start(kind, node)
            for node in POTS:
                subscribers = net["correlation", node]._subscribers
                await until(lambda s=subscribers: s.to("Cooperation"))  # type: ignore[misc]
                assert net["analyzer", node].health()["registered"]
                worker = net["correlation", node].running.worker
                await until(lambda w=worker: w.counters["windows"] >= WARM_UP_ROUNDS)  # type: ignore[misc]
            yield net
        finally:
            await net.stop_all()


async def test_a_cell_blocks_at_once_and_the_other_for_a_minute_until_it_sees_for_itself(
    honeynet: tuple[Path, XmppServer],
) -> None:
    file, _ = honeynet
    async with started(file) as net:
        here, there = net["reaction", "gw1"], net["reaction", "gw2"]
        await net.attack("gw1")
        await until(lambda: here.orders and there.orders)
        (own,), (foreign,) = here.orders, there.orders
        assert (own.scope, own.origin) == ("own", net["correlation", "gw1"].jid)
        assert (foreign.scope, foreign.origin) == ("cooperative", net["correlation", "gw2"].jid)
        assert foreign.incident == own.incident and foreign.duration_s == ALONE_S
        await until(lambda: there.seconds(ATTACKER) > 0)
        assert here.seconds(ATTACKER) > 3000
        assert 0 < there.seconds(ATTACKER) <= ALONE_S
        # What is no ground for a block by itself, but cannot be forged, confirms it.
        await net.attack("gw2", "HoneypotContact")
        await until(lambda: there.seconds(ATTACKER) > 3000)
        assert [order.scope for order in there.orders] == ["cooperative", "cooperative"]
        # Nobody passes on what he heard.
        assert [order.id for order in here.orders] == [own.id]


async def test_a_node_blocks_alone_while_the_server_and_the_other_node_are_dead(
    honeynet: tuple[Path, XmppServer],
) -> None:
    file, server = honeynet
    async with started(file) as net:
        for role in ("correlation", "reaction", "analyzer"):
            await net.stop(role, "gw2")
        await asyncio.to_thread(server.stop)
        here = net["reaction", "gw1"]
        begin = asyncio.get_running_loop().time()
        await net.attack("gw1")
        await until(lambda: here.seconds(ATTACKER) > 3000)
        assert asyncio.get_running_loop().time() - begin < 10
        # Everywhere else once they are back.
        server.start()
        for kind in (Analyzer, Gateway, CorrelationAgent):
            await net.start(kind, "gw2")
        there = net["reaction", "gw2"]
        await until(lambda: there.seconds(ATTACKER) > 0, 120)
        assert there.seconds(ATTACKER) <= ALONE_S


async def test_evidence_that_the_own_rules_do_not_share_is_not_followed(
    honeynet: tuple[Path, XmppServer],
) -> None:
    file, _ = honeynet
    async with started(file) as net:
        cell, other = net["correlation", "gw1"], net["correlation", "gw2"]
        # The cell errs: what it saw is a contact, and no rule wants one blocked.
        contact = alert_of("gw1", "HoneypotContact", cell.jid)
        incident = Incident(
            id=uuid.uuid4().urn,
            classification="HoneypotExploitIncident",
            source=contact.source,
            targets=(),
            alerts=(contact.id,),
            rule="HoneypotExploit",
            begin_us=contact.begin_us,
            end_us=contact.end_us,
            severity=1.0,
            verified_source=True,
            explanation="",
        )
        decision = Decision(
            id=uuid.uuid4().urn,
            action="block",
            source=ip_address(ATTACKER),
            classification=incident.classification,
            incident=incident.id,
            origin=cell.jid,
            decided_us=now_us(),
            duration_s=3600,
            reason="",
        )
        await cell.send(
            other.jid, "inform", [decision, incident, contact], protocol="fipa-subscribe"
        )
        await until(lambda: other.counters["cooperation_not_convinced"] == 1)
        assert net["reaction", "gw2"].orders == []
