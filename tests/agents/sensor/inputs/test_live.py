"""Sensor and analyzer agents over a real XMPP server: a log's lines become alerts, once each."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agents.analyzer import agent as analyzer_agent
from agents.analyzer.agent import AnalyzerAgent
from agents.base import AgentContext, BaseAgent
from agents.launcher.xmpp_server import XmppServer
from agents.messages.acl import AclMessage
from agents.sensor.agent import SensorAgent
from agents.settings.honeynet import Input, Settings
from agents.settings.host_sections import Honeypot
from ontology.records import Alert, HostEvent, ObservedData, Record, Subscription

pytestmark = [
    pytest.mark.xmpp,
    pytest.mark.skipif(
        shutil.which("prosody", path="/usr/bin") is None, reason="prosody is not installed"
    ),
]


class Correlation(BaseAgent[None]):
    """Keeps the alerts it gets."""

    role = "correlation"
    services = ()

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self.alerts: list[Alert] = []

    async def on_start(self) -> None:
        record = Subscription(id="urn:uuid:subscription", topic="Alert")
        await self.send(
            self.settings.jid("analyzer", "gw1"), "subscribe", [record], protocol="fipa-subscribe"
        )

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        self.alerts += [record for record in records if isinstance(record, Alert)]


class Archive(BaseAgent[None]):
    """Keeps what it is told that visitors left and that happened on hosts."""

    role = "ontology"
    services = ()

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self.left: list[ObservedData] = []
        self.events: list[HostEvent] = []

    async def on_start(self) -> None:
        pass

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        self.left += [record for record in records if isinstance(record, ObservedData)]
        self.events += [record for record in records if isinstance(record, HostEvent)]


@contextlib.asynccontextmanager
async def running(*agents: BaseAgent[Any]) -> AsyncIterator[None]:
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for agent in agents:
            group.create_task(agent.run())
        try:
            await until(lambda: all(agent.connected for agent in agents))
            yield
        finally:
            for agent in agents:
                agent.stop()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  other processes and threads decide
            await asyncio.sleep(0.02)


def guesses(first: int, count: int) -> str:
    """Refused logins of one source at the decoy, then a shell."""
    now = datetime.now(UTC).isoformat()
    common = f'"src_ip":"192.0.2.66","timestamp":"{now}"'
    out = ""
    for number in range(first, first + count):
        out += (
            f'{{"eventid":"cowrie.session.connect","src_port":{40000 + number},"dst_port":2222,'
            f'"dst_ip":"172.17.0.3","protocol":"ssh","session":"s{number}",{common}}}\n'
            f'{{"eventid":"cowrie.login.failed","session":"s{number}",'
            f'"username":"root","password":"{number}",{common}}}\n'
        )
    out += f'{{"eventid":"cowrie.login.success","username":"root","session":"s{first}",{common}}}\n'
    return out


def test_a_table_may_be_read_by_the_confined_sensor(honeynet: Settings, tmp_path: Path) -> None:
    table = tmp_path / "tables" / "doors.toml"
    entry = Input(kind="table", table=table, path=tmp_path / "doors.json")
    node = honeynet.node[0].model_copy(update={"inputs": (entry,)})
    settings = honeynet.model_copy(update={"node": (node, *honeynet.node[1:])})
    needs = SensorAgent.needs(AgentContext(settings=settings, role="sensor", node="gw1"))
    assert {table, entry.path} <= set(needs.read)


async def test_log_lines_become_alerts_once(
    honeynet: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "cowrie.json"
    log.write_text(guesses(900, 9))  # older than our first start: not told
    entry = Input(kind="cowrie", path=log, address="198.51.100.18")
    node = honeynet.node[0].model_copy(update={"interfaces": (), "inputs": (entry,)})
    pot = Honeypot(address="198.51.100.18", node="gw1")
    settings = honeynet.model_copy(update={"node": (node, *honeynet.node[1:]), "honeypot": (pot,)})

    def context(role: str) -> AgentContext:
        return AgentContext(settings=settings, role=role, node="gw1")

    server = XmppServer(settings)
    server.start()
    try:
        assert server.ready()
        correlation, analyzer = (
            Correlation(context("correlation")),
            AnalyzerAgent(context("analyzer")),
        )
        archive = Archive(context("ontology"))
        async with running(correlation, analyzer, archive):
            sensor = SensorAgent(context("sensor"))
            async with running(sensor):
                await until(lambda: list(sensor.context.state_dir.glob("input-cowrie-*.json")))
                with log.open("a") as file:
                    file.write(guesses(0, 9))
                kinds = {"SshBruteForce", "RootAccess", "HoneypotContact"}
                await until(lambda: kinds <= {a.classification for a in correlation.alerts})
                await until(lambda: not sensor.pending)
            for alert in correlation.alerts:
                assert (str(alert.source), str(alert.target)) == ("192.0.2.66", "198.51.100.18")
                assert (alert.sensor, alert.analyzer) == (sensor.jid, analyzer.jid)
            assert {c for one in archive.left for c in one.credentials} == {
                *(f"root:{number}" for number in range(9)),
            }
            root = [a for a in correlation.alerts if a.classification == "RootAccess"]
            assert [a.count for a in root] == [1]
            assert root[0].verified_source
            (force,) = (a for a in correlation.alerts if a.classification == "SshBruteForce")
            assert "9 logins refused" in force.explanation
            batches = analyzer.counters["batches"]
            monkeypatch.setattr("agents.sensor.agent.OBSERVED_PENDING", -1)
            again = SensorAgent(context("sensor"))
            async with running(again):
                with log.open("a") as file:
                    file.write(guesses(500, 1))
                await until(lambda: analyzer.counters["batches"] > batches)
                await until(lambda: not again.pending)
                assert again.counters["input.cowrie.lines"] == 3  # none of the old ones
                assert again.counters["observed_dropped"] == 1  # and the alerts came
                assert again.counters["task_errors"] == 0
    finally:
        server.stop()


def opened(at: float) -> tuple[str, str]:
    """A honeypot's connection, as its wire and its kernel saw it."""
    wire = (
        f'{{"ts":{at:.6f},"uid":"Cx","id.orig_h":"198.51.100.18","id.orig_p":40000,'
        '"id.resp_h":"203.0.113.9","id.resp_p":443,"proto":"tcp","duration":0.1,"orig_bytes":300,'
        '"resp_bytes":900,"conn_state":"SF","history":"ShADadFf","orig_pkts":8,"resp_pkts":7}\n'
    )
    event = f"audit({at:.3f}:77)"
    kernel = (
        f"type=SYSCALL msg={event}: arch=c000003e syscall=42 success=no exit=-115 ppid=901 pid=902 "
        'auid=0 uid=33 euid=33 ses=4294967295 comm="x" exe="/home/x" key="net"\n'
        f"type=SOCKADDR msg={event}: saddr=020001BBCB0071090000000000000000\n"
        f"type=PROCTITLE msg={event}: proctitle=2E2F78\n"
    )
    return wire, kernel


@pytest.mark.parametrize("archived", [True, False], ids=["archived", "too much waits"])
async def test_an_outgoing_alert_names_the_process_that_the_host_told_of(
    honeynet: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archived: bool
) -> None:
    """The kernel's record is read after the packets: the alert has waited for it, whether the
    archive can have the event or not."""
    if not archived:
        monkeypatch.setattr(analyzer_agent, "ARCHIVE_PENDING", -1)
    wire, kernel = tmp_path / "conn.log", tmp_path / "audit.log"
    wire.touch()
    kernel.touch()
    inputs = (
        Input(kind="zeek", path=wire),
        Input(kind="audit", path=kernel, address="198.51.100.18"),
    )
    roles = tuple(dict.fromkeys((*honeynet.node[0].agents, "ontology")))
    node = honeynet.node[0].model_copy(update={"interfaces": (), "inputs": inputs, "agents": roles})
    pot = Honeypot(address="198.51.100.18", node="gw1")
    settings = honeynet.model_copy(update={"node": (node, *honeynet.node[1:]), "honeypot": (pot,)})

    def context(role: str) -> AgentContext:
        return AgentContext(settings=settings, role=role, node="gw1")

    server = XmppServer(settings)
    server.start()
    try:
        assert server.ready()
        correlation, archive = Correlation(context("correlation")), Archive(context("ontology"))
        analyzer = AnalyzerAgent(context("analyzer"))
        sensor = SensorAgent(context("sensor"))
        async with running(correlation, archive, analyzer), running(sensor):
            await until(lambda: len(list(sensor.context.state_dir.glob("input-*.json"))) == 2)
            on_wire, in_kernel = opened(datetime.now(UTC).timestamp())
            with wire.open("a") as file:
                file.write(on_wire)
            await until(lambda: analyzer.counters["batches"])
            assert correlation.alerts == []
            with kernel.open("a") as file:
                file.write(in_kernel)
            await until(lambda: correlation.alerts and (archive.events or not archived))
        [alert] = correlation.alerts
        assert alert.classification == "OutgoingContact"
        assert "opened by process 902 '/home/x' of user 33" in alert.explanation
        assert len(alert.host_events) == analyzer.counters["host_events"] == 1
        assert analyzer.counters["host_events_unarchived"] == (not archived)
        assert [event.id for event in archive.events] == list(alert.host_events) * archived
        for event in archive.events:
            assert (event.sensor, event.target_port) == (sensor.jid, 443)
            assert str(event.target) == "203.0.113.9"
    finally:
        server.stop()
