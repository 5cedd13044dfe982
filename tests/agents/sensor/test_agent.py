"""The sensor agent: real packets, a real XMPP server, an analyzer that keeps what it gets."""

from __future__ import annotations

import asyncio
import base64
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.base import AgentContext, BaseAgent
from agents.base.conversations import RefusedByPeer
from agents.launcher.xmpp_server import XmppServer
from agents.messages.acl import AclMessage
from agents.sensor.agent import SensorAgent
from agents.settings.honeynet import Settings
from datasets.captures.pcap import read_capture
from ontology.records import Alert, ConnectionBatch, PacketEvidence, Record

Namespace = Callable[[Callable[[], None]], None]

pytestmark = [
    pytest.mark.root,
    pytest.mark.xmpp,
    pytest.mark.skipif(
        shutil.which("prosody", path="/usr/bin") is None, reason="prosody is not installed"
    ),
]


class Analyzer(BaseAgent[None]):
    """Keeps the batches it gets."""

    role = "analyzer"
    services = ("detection",)

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self.batches: list[ConnectionBatch] = []
        self.alerts: list[Alert] = []

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        self.batches += [r for r in records if isinstance(r, ConnectionBatch)]
        self.alerts += [r for r in records if isinstance(r, Alert)]

    def packets_to(self, port: int) -> int:
        """Packets reported so far towards a port."""
        rows = [b.connections[b.connections["dst_port"] == port] for b in self.batches]
        return int(np.concatenate(rows)["orig_packets"].sum()) if rows else 0


class Asking(BaseAgent[None]):
    """Asks as a console does."""

    role = "console"
    services = ()

    async def evidence_of(self, alert: Alert) -> PacketEvidence:
        answer = await self.ask(
            alert.sensor, "query-ref", [alert], protocol="fipa-query", limit_s=30
        )
        (found,) = answer.records
        assert isinstance(found, PacketEvidence)
        return found


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def add_interface() -> None:
    ip("link", "add", "a0", "type", "veth", "peer", "name", "b0")
    ip("addr", "add", "192.0.2.1/24", "dev", "a0")
    ip("link", "set", "b0", "up")
    ip("link", "set", "a0", "up")
    ip("neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "a0")


def send(port: int, count: int, payload: bytes = b"x") -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(count):
            sock.sendto(payload, ("192.0.2.2", port))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  what is waited for is told by threads
            await asyncio.sleep(0.02)


def test_batches_reach_the_analyzer_also_after_the_interface_was_gone(
    honeynet: Settings, namespace: Namespace
) -> None:
    node = honeynet.node[0].model_copy(
        update={"interfaces": ("a0",), "capture_filter": "udp port 4001 or udp port 4002"}
    )
    settings = honeynet.model_copy(update={"node": (node, *honeynet.node[1:])})

    async def work() -> None:
        sensor = SensorAgent(AgentContext(settings=settings, role="sensor", node="gw1"))
        analyzer = Analyzer(AgentContext(settings=settings, role="analyzer", node="gw1"))
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(sensor.run())
            group.create_task(analyzer.run())
            try:
                await until(lambda: sensor.connected and analyzer.connected)
                await until(lambda: sensor.capturing == {"a0"})
                send(4001, 3)
                send(4003, 5)
                await until(lambda: analyzer.packets_to(4001) == 3)
                ip("link", "del", "a0")
                await until(lambda: not sensor.capturing)
                add_interface()
                await until(lambda: sensor.capturing == {"a0"})
                send(4002, 2)
                await until(lambda: analyzer.packets_to(4002) == 2)
                assert analyzer.packets_to(4003) == 0
                assert sensor.counters["capture_errors"] >= 1
                assert sensor.core_packets == 5
                assert sensor.counters["task_errors"] == 0
                assert {b.sensor for b in analyzer.batches} == {sensor.jid}
            finally:
                sensor.stop()
                analyzer.stop()

    def body() -> None:
        add_interface()
        server = XmppServer(settings)
        server.start()
        try:
            assert server.ready()
            asyncio.run(work())
        finally:
            server.stop()

    namespace(body)


def claim(mac: str, address: str, told: str) -> None:
    """An ARP reply that nobody asked for, out of ``b0``."""
    own = bytes.fromhex(mac)
    body = b"\0\1\x08\0\6\4\0\2" + own + socket.inet_aton(address)
    body += b"\xff" * 6 + socket.inet_aton(told)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("b0", 0))
        wire.send(b"\xff" * 6 + own + b"\x08\x06" + body + bytes(18))


def test_conflicting_arp_claims_reach_the_analyzer_as_alerts(
    honeynet: Settings, namespace: Namespace
) -> None:
    node = honeynet.node[0].model_copy(update={"interfaces": ("a0",), "capture_filter": "arp"})
    settings = honeynet.model_copy(update={"node": (node, *honeynet.node[1:])})

    async def work() -> None:
        sensor = SensorAgent(AgentContext(settings=settings, role="sensor", node="gw1"))
        analyzer = Analyzer(AgentContext(settings=settings, role="analyzer", node="gw1"))
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(sensor.run())
            group.create_task(analyzer.run())
            try:
                await until(lambda: sensor.connected and analyzer.connected)
                await until(lambda: sensor.capturing == {"a0"})
                for address in ("192.0.2.9", "192.0.2.10"):
                    claim("020000000009", address, "192.0.2.1")
                    claim("020000000066", address, "192.0.2.1")
                await until(lambda: any(a.confidence >= 0.5 for a in analyzer.alerts))
                assert {a.classification for a in analyzer.alerts} == {"ArpSpoofing"}
                assert not any(a.verified_source for a in analyzer.alerts)
                assert sensor.counters["task_errors"] == 0
            finally:
                sensor.stop()
                analyzer.stop()

    def body() -> None:
        add_interface()
        server = XmppServer(settings)
        server.start()
        try:
            assert server.ready()
            asyncio.run(work())
        finally:
            server.stop()

    namespace(body)


def test_the_packet_of_an_alert_is_handed_out_when_a_console_asks(
    honeynet: Settings, namespace: Namespace, tmp_path: Path
) -> None:
    file = tmp_path / "live.rules"
    file.write_text(RULE.format(port=4001, word="evil", sid=1) + "\n")
    node = honeynet.node[0].model_copy(update={"interfaces": ("a0",), "signatures": (file,)})
    settings = honeynet.model_copy(update={"node": (node, *honeynet.node[1:])})

    async def work() -> None:
        sensor = SensorAgent(AgentContext(settings=settings, role="sensor", node="gw1"))
        analyzer = Analyzer(AgentContext(settings=settings, role="analyzer", node="gw1"))
        console = Asking(AgentContext(settings=settings, role="console", node="gw1"))
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            agents = (sensor, analyzer, console)
            for agent in agents:
                group.create_task(agent.run())
            try:
                await until(lambda: all(agent.connected for agent in agents))
                await until(lambda: sensor.capturing == {"a0"})
                await until(lambda: sensor.counters["signatures.in_use"] == 1)
                send(4001, 3, b"some evil thing \x1b[2J")
                await until(lambda: len(analyzer.alerts) == 1)
                (alert,) = analyzer.alerts
                assert alert.signatures == ("urn:ontoidps:signature:1:1",)
                found = await console.evidence_of(alert)
                assert found.alert == alert.id
                assert "dport     = 4001" in found.dissection
                assert "some evil thing" in found.dissection and "\x1b" not in found.dissection
                path = tmp_path / "one.pcap"
                path.write_bytes(base64.b64decode(found.capture_data))
                (raw,) = read_capture(path)
                assert found.evidence_packets == len(raw) == 3
                assert b"some evil thing" in raw.frame(found.cited_packet - 1)
                other = replace(alert, target_port=4002)
                assert (await console.evidence_of(other)).evidence_packets == 0
                assert sensor.counters["task_errors"] == 0
                assert sensor.counters["evidence.kept"] == 1
                with pytest.raises(RefusedByPeer):  # a question, and no order
                    await console.ask(
                        sensor.jid, "request", [alert], protocol="fipa-request", limit_s=20
                    )
            finally:
                for agent in agents:
                    agent.stop()

    def body() -> None:
        add_interface()
        server = XmppServer(settings)
        server.start()
        try:
            assert server.ready()
            asyncio.run(work())
        finally:
            server.stop()

    namespace(body)


RULE = (
    'alert udp any any -> any {port} (msg:"r"; content:"{word}"; classtype:attempted-admin; '
    "sid:{sid};)"
)


def test_signatures_match_on_the_wire_and_follow_their_file(
    honeynet: Settings, namespace: Namespace, tmp_path: Path
) -> None:
    file = tmp_path / "live.rules"
    file.write_text(RULE.format(port=4001, word="evil", sid=1) + "\n")
    node = honeynet.node[0].model_copy(update={"interfaces": ("a0",), "signatures": (file,)})
    settings = honeynet.model_copy(update={"node": (node, *honeynet.node[1:])})

    async def work() -> None:
        sensor = SensorAgent(AgentContext(settings=settings, role="sensor", node="gw1"))
        analyzer = Analyzer(AgentContext(settings=settings, role="analyzer", node="gw1"))

        def told(sid: int) -> list[Alert]:
            return [a for a in analyzer.alerts if f"signature 1:{sid} " in a.explanation]

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(sensor.run())
            group.create_task(analyzer.run())
            try:
                await until(lambda: sensor.connected and analyzer.connected)
                await until(lambda: sensor.capturing == {"a0"})
                await until(lambda: sensor.counters["signatures.in_use"] == 1)
                send(4001, 500, b"some evil thing")
                send(4001, 5, b"good")
                await until(lambda: len(told(1)) == 1)
                file.write_text(file.read_text() + RULE.format(port=4002, word="bad", sid=2))
                await until(lambda: sensor.counters["signatures.in_use"] == 2)
                send(4002, 1, b"bad")
                await until(lambda: len(told(2)) == 1)
                (alert,) = told(1)
                assert (alert.classification, str(alert.source), str(alert.target)) == (
                    "Exploit", "192.0.2.1", "192.0.2.2",
                )  # fmt: skip
                assert alert.sensor == sensor.jid
                assert "matched 500 packets" in alert.explanation
                assert sensor.counters["signatures.matches"] == 501
                assert sensor.counters["signatures.dropped"] == 0
                assert sensor.counters["task_errors"] == 0
            finally:
                sensor.stop()
                analyzer.stop()

    def body() -> None:
        add_interface()
        server = XmppServer(settings)
        server.start()
        try:
            assert server.ready()
            asyncio.run(work())
        finally:
            server.stop()

    namespace(body)
