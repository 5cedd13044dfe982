"""The analyzer agent over a real XMPP server, with a sensor and a subscriber beside it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from agents.analyzer.agent import MAX_UNVERIFIED, AnalyzerAgent, Detection
from agents.base import AgentContext, BaseAgent
from agents.commands.train import connection_batches
from agents.launcher.xmpp_server import XmppServer
from agents.messages.acl import AclMessage
from agents.settings.honeynet import Analysis, Settings
from agents.settings.manager_sections import Manager
from datasets.recipe.traffic import SAMPLES
from ontology.records import Alert, Record, Subscription
from tests.factories import make_alert, record_id

needs_prosody = pytest.mark.skipif(
    shutil.which("prosody", path="/usr/bin") is None, reason="prosody is not installed"
)
ANALYZER = "analyzer.gw1@honeynet.test"


class Peer(BaseAgent[None]):
    """Keeps what it gets."""

    def __init__(self, settings: Settings, role: str) -> None:
        self.role = role  # type: ignore[misc]
        super().__init__(AgentContext(settings=settings, role=role, node="gw1"))
        self.got: list[tuple[str, Record]] = []
        self.refusals: list[str] = []
        self.ready = False

    async def on_start(self) -> None:
        self.ready = True

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        self.got += [(message.performative, record) for record in records]

    async def on_refused(self, receiver: str, reply_with: str, reason: str) -> None:
        self.refusals.append(reason)

    def alerts(self) -> list[Alert]:
        return [record for _, record in self.got if isinstance(record, Alert)]

    async def subscribe(self, topic: str = "Alert") -> None:
        record = Subscription(id=f"urn:uuid:{self.role}-{topic}", topic=topic)
        await self.send(ANALYZER, "subscribe", [record], protocol="fipa-subscribe")


@pytest.fixture
def server(honeynet: Settings) -> Iterator[XmppServer]:
    made = XmppServer(honeynet)
    made.start()
    assert made.ready()
    yield made
    made.stop()


@contextlib.asynccontextmanager
async def running(*agents: Peer | Analyzer) -> AsyncIterator[None]:
    async with asyncio.timeout(40), asyncio.TaskGroup() as group:
        for agent in agents:
            group.create_task(agent.run())
        await until(lambda: all(agent.ready for agent in agents))
        try:
            yield
        finally:
            for agent in agents:
                agent.stop()


async def until(condition: Callable[[], object], limit_s: float = 15.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110  it depends on the server
            await asyncio.sleep(0.01)


class Analyzer(AnalyzerAgent):
    """Says when it has started."""

    ready = False

    async def on_start(self) -> Detection:
        detection = await super().on_start()
        self.ready = True
        return detection


def analyzer(settings: Settings) -> Analyzer:
    return Analyzer(AgentContext(settings=settings, role="analyzer", node="gw1"))


def scan(bench: Any, sensor: Peer, number: int) -> Any:
    rows = [
        bench.connection(at=0.01 * i, src=f"192.0.2.{number}", dst_port=i, state="REJ")
        for i in range(30)
    ]
    return dataclasses.replace(bench.batch(rows), sensor=sensor.jid)


@pytest.mark.xmpp
@needs_prosody
async def test_alerts_reach_subscribers_old_and_new(
    bench: Any, honeynet: Settings, server: XmppServer
) -> None:
    """Before the first subscription alerts wait; after a restart the subscriber is still known."""
    sensor, correlation = Peer(honeynet, "sensor"), Peer(honeynet, "correlation")
    agent = analyzer(honeynet)
    async with running(sensor, correlation):
        async with running(agent):
            await sensor.send(
                ANALYZER, "inform", [scan(bench, sensor, 1)], protocol="fipa-subscribe"
            )
            await until(lambda: agent.counters["batches"] == 1)
            await correlation.subscribe()
            await until(lambda: any("192.0.2.1" == str(a.source) for a in correlation.alerts()))
            assert "agree" in [performative for performative, _ in correlation.got]
            # One message stays: the ontology agent, which knows the clusters' names, is not there.
            await until(lambda: agent.pending == 1)
        second = analyzer(honeynet)
        async with running(second):
            await sensor.send(
                ANALYZER, "inform", [scan(bench, sensor, 2)], protocol="fipa-subscribe"
            )
            await until(lambda: any("192.0.2.2" == str(a.source) for a in correlation.alerts()))
            assert second.counters["alerts"] >= 1
    found = [a for a in correlation.alerts() if a.classification == "SynScan"]
    assert {a.analyzer for a in found} == {ANALYZER}


@pytest.mark.xmpp
@needs_prosody
async def test_an_unknown_topic_is_refused(honeynet: Settings, server: XmppServer) -> None:
    correlation, agent = Peer(honeynet, "correlation"), analyzer(honeynet)
    async with running(correlation, agent):
        await correlation.subscribe("Weather")
        await until(lambda: correlation.refusals)
        assert agent.counters["alerts"] == 0


async def test_clusters_take_up_where_they_were_before_a_restart(honeynet: Settings) -> None:
    """Real sessions of forty clients, an hour of them; no server is needed for that."""
    capture = SAMPLES / "benign-ftp.pcap.xz"
    [first, *_] = batches = list(connection_batches(capture))
    rows = np.concatenate([b.connections for b in batches])
    rows["src"][:, 15] = np.arange(len(rows)) % 40 + 1
    following = honeynet.model_copy(update={"analyzer": Analysis(follow_drift=True)})

    async def hour(settings: Settings) -> dict[str, int]:
        agent = analyzer(settings)
        agent.context.state_dir.mkdir(parents=True, exist_ok=True)
        await agent.begin()
        for number in range(4):
            played = rows.copy()
            played["start_us"] += number * 1_200_000_000
            sent = dataclasses.replace(first, id=f"urn:uuid:{number}", connections=played)
            await agent._on_batch(sent)
        return dict(agent.counters)

    once = await hour(following)
    assert once["drift_revision"] == 3
    twice = await hour(following)
    assert twice["drift_revision"] == 6
    still = await hour(honeynet)
    assert "drift_revision" not in still


async def test_verified_alerts_wait_and_leave_apart_from_those_that_may_be_forged(
    honeynet: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nobody subscribes, a flood pushes out its own kind; then the verified ones go first."""
    agent = analyzer(honeynet)
    agent.context.state_dir.mkdir(parents=True, exist_ok=True)
    await agent.begin()
    real = [make_alert(id=record_id(n), verified_source=True) for n in range(60)]
    flood = [make_alert(id=record_id(1000 + n)) for n in range(MAX_UNVERIFIED + 300)]
    await agent._publish(real)
    await agent._publish(flood)
    assert agent.counters["alerts_lost_unsubscribed"] == 300
    sent: list[list[Alert]] = []

    async def send_many(
        receivers: object, performative: str, records: Sequence[Record], **_: object
    ) -> tuple[AclMessage, ...]:
        sent.append([record for record in records if isinstance(record, Alert)])
        return (AclMessage(performative="inform", sender=ANALYZER, receivers=("a@b",)),)

    monkeypatch.setattr(agent, "send_many", send_many)
    agent.running.subscribers.add("correlation.gw1@honeynet.test", "Alert")
    await agent._publish([flood[0], *real])
    sent = [part for part in sent if part]  # it asks for names as well
    assert [[a.verified_source for a in part] for part in sent] == [
        [True] * 50,
        [True] * 10,
        [False],
    ]


@pytest.mark.parametrize("vouches", [False, True])
def test_a_console_vouches_for_nobody_unless_the_operator_does(
    honeynet: Settings, vouches: bool
) -> None:
    agents = (*honeynet.node[0].agents, "console")
    node = honeynet.node[0].model_copy(update={"agents": agents})
    managers = (Manager(name="site-b", verified=vouches),)
    settings = honeynet.model_copy(update={"node": (node,), "manager": managers})
    analyzer = AnalyzerAgent(AgentContext(settings=settings, role="analyzer", node=node.name))
    alert = make_alert(verified_source=True)
    console = AclMessage(
        performative="inform", sender=settings.jids("console")[0], receivers=(ANALYZER,)
    )
    assert analyzer._vouched(console, [alert])[0].verified_source == vouches
    assert analyzer._vouched(
        dataclasses.replace(console, sender=settings.jids("sensor")[0]), [alert]
    ) == [alert]
