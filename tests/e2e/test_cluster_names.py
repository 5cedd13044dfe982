"""A cluster is renamed in its file and through the console, and the next alert says so.

Real agents (ontology, analyzer, supervisor with its console) over a real XMPP server.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from agents.analyzer.agent import AnalyzerAgent
from agents.base import AgentContext, BaseAgent
from agents.base.local import reachable_name
from agents.console.agent import ConsoleAgent
from agents.console.operator_socket import operator_socket
from agents.launcher.xmpp_server import XmppServer
from agents.messages.acl import AclMessage
from agents.ontology.agent import OntologyAgent
from agents.settings.honeynet import load_settings
from agents.supervisor.agent import SupervisorAgent
from agents.trust.identity import ensure_keys
from ontology.records import (
    CONNECTION,
    CONNECTION_STATES,
    Alert,
    ConnectionBatch,
    Record,
    Subscription,
)

pytestmark = [
    pytest.mark.xmpp,
    pytest.mark.e2e,
    pytest.mark.skipif(
        shutil.which("prosody", path="/usr/bin") is None, reason="prosody is not installed"
    ),
]

HONEYNET = """\
name = "test"
domain = "honeynet.test"
[xmpp]
port = {port}
[console]
listen = "127.0.0.1:{console}"
[[node]]
name = "gw1"
agents = ["sensor", "analyzer", "correlation", "ontology", "supervisor", "console", "reaction"]
interfaces = ["lo"]
"""
ANALYZER = "analyzer.gw1@honeynet.test"
FOLLOW_LIMIT_S = 6.0
"""From the save of the file, or the console's answer, to the analyzer's use of the name;
beside other tests. Alone it takes less than a second."""


class Peer(BaseAgent[None]):
    """The analyzer's sensor, and a correlation agent that writes down its alerts."""

    def __init__(self, context: AgentContext) -> None:
        self.role = context.role  # type: ignore[misc]
        super().__init__(context)
        self.alerts: list[Alert] = []

    async def on_start(self) -> None:
        if self.role == "correlation":
            wish = Subscription(id="urn:uuid:1", topic="Alert")
            await self.send(ANALYZER, "subscribe", [wish], protocol="fipa-subscribe")

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        self.alerts += [record for record in records if isinstance(record, Alert)]


def scan(sensor: str, number: int) -> ConnectionBatch:
    """A port scan by 192.0.2.NUMBER: 200 half-open connections, refused."""
    rows = np.zeros(200, CONNECTION)
    for side, address in (("src", (192, 0, 2, number)), ("dst", (198, 51, 100, 10))):
        rows[side][:, 10:12] = 255
        rows[side][:, 12:] = address
    rows["start_us"] = 1_700_000_000_000_000 + number * 10**9 + np.arange(200) * 10_000
    rows["duration_us"], rows["src_port"], rows["dst_port"] = 100, 40_000, np.arange(1, 201)
    rows["protocol"], rows["ip_version"] = 6, 4
    rows["state"] = CONNECTION_STATES.index("REJ")
    rows["orig_flags"], rows["resp_flags"] = 2, 20
    rows["orig_packets"] = rows["resp_packets"] = 1
    return ConnectionBatch(
        id=f"urn:uuid:batch-{number}",
        sensor=sensor,
        begin_us=int(rows["start_us"][0]),
        end_us=int(rows["start_us"][-1]) + 100,
        packets=400,
        dropped=0,
        malformed=0,
        connections=rows,
    )


async def until(condition: Callable[[], object], limit_s: float = 60.0) -> float:
    """Waits; returns the seconds that it took."""
    begin = time.monotonic()
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110  it depends on the server
            await asyncio.sleep(0.01)
    return time.monotonic() - begin


class Net:
    """The honeynet: agents by role, started and stopped one by one."""

    def __init__(self, file: Path, group: asyncio.TaskGroup) -> None:
        self.settings = load_settings(file)
        self._group = group
        self._agents: dict[str, tuple[Any, asyncio.Task[None]]] = {}

    def __getitem__(self, role: str) -> Any:
        return self._agents[role][0]

    async def start(self, kind: type[BaseAgent[Any]], role: str) -> None:
        agent: Any = kind(AgentContext(settings=self.settings, role=role, node="gw1"))
        self._agents[role] = agent, self._group.create_task(agent.run())
        # What the launcher looks at.
        await until(lambda: agent.health()["connected"])

    async def stop(self, role: str) -> None:
        agent, task = self._agents.pop(role)
        agent.stop()
        await task

    async def stop_all(self) -> None:
        for role in list(self._agents):
            await self.stop(role)

    async def next_alert(self, number: int) -> str:
        """What the alert of scan ``number`` says."""
        sensor, correlation = self["sensor"], self["correlation"]
        await sensor.send(ANALYZER, "inform", [scan(sensor.jid, number)], protocol="fipa-subscribe")

        def found() -> list[str]:
            return [
                a.explanation
                for a in correlation.alerts
                if str(a.source) == f"192.0.2.{number}" and "Scan" in a.classification
            ]

        await until(found)
        return found()[0]


@pytest.fixture
def honeynet(tmp_path: Path) -> Iterator[Path]:
    import socket

    ports = []
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    file = tmp_path / "honeynet.toml"
    file.write_text(HONEYNET.format(port=ports[0], console=ports[1]))
    settings = load_settings(file)
    ensure_keys(settings)
    server = XmppServer(settings)
    server.start()
    assert server.ready()
    yield file
    server.stop()


@contextlib.asynccontextmanager
async def started(file: Path) -> AsyncIterator[Net]:
    async with asyncio.timeout(280), asyncio.TaskGroup() as group:
        net = Net(file, group)
        try:
            for role in ("sensor", "correlation"):
                await net.start(Peer, role)
            await net.start(OntologyAgent, "ontology")
            await net.start(AnalyzerAgent, "analyzer")
            await net.start(SupervisorAgent, "supervisor")
            await net.start(ConsoleAgent, "console")
            yield net
        finally:
            await net.stop_all()


def cluster_in(explanation: str) -> int:
    return int(explanation.rpartition("in cluster ")[2].split()[0])


async def test_both_ways_of_renaming_reach_the_next_alert(honeynet: Path) -> None:
    async with started(honeynet) as net:
        ontology, analyzer = net["ontology"], net["analyzer"]
        await until(lambda: analyzer.counters["names_taken"])
        # An alert that proves nothing isn't kept for those who subscribe later.
        listener = net["correlation"].jid
        await until(lambda: listener in analyzer.running.subscribers.to("Alert"))
        first = await net.next_alert(1)
        number = cluster_in(first)
        assert '"' not in first.rpartition("in cluster ")[2]

        # In the file, as Protégé saves it.
        path = ontology.context.state_dir / "knowledge" / "clusters.owl"
        text = path.read_text(encoding="utf-8")
        old = f" (cluster {number})</rdfs:label>"
        begin = text.rindex(">", 0, text.index(old)) + 1
        label = text[begin : text.index("<", begin)]
        taken = analyzer.counters["names_taken"]
        path.write_text(text.replace(label, "night backup"), encoding="utf-8")
        took_s = await until(lambda: analyzer.counters["names_taken"] > taken)
        assert f'in cluster {number} ("night backup", ' in await net.next_alert(2)

        # An unknown class in the file is refused, and the names in force stay.
        good = path.read_text(encoding="utf-8")
        mark = "<idps:trafficClass>"
        path.write_text(good.replace(mark, mark + "Sinscan", 1), encoding="utf-8")
        await until(lambda: ontology.counters["clusters_refused"])
        assert f'in cluster {number} ("night backup", ' in await net.next_alert(3)

        url = "http://localhost/api/v1"
        token = (net.settings.state_dir / "console-token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        with reachable_name(operator_socket(net.settings, "gw1")) as name:
            at_socket = httpx.AsyncHTTPTransport(uds=name)
            async with httpx.AsyncClient(
                transport=at_socket, headers=headers, timeout=15
            ) as client:
                body = {"name": "own scanner", "traffic_class": "Normal", "reason": "ticket 4711"}
                # While the file is no good, the console is refused too, with the reason.
                answer = await client.post(f"{url}/clusters/{number}", json=body)
                assert answer.status_code == 422
                assert "Sinscan" in answer.json()["detail"]
                path.write_text(good, encoding="utf-8")

                unknown = body | {"traffic_class": "X"}
                bad = await client.post(f"{url}/clusters/{number}", json=unknown)
                assert bad.status_code == 422
                assert "unknown class 'X'" in bad.json()["detail"]
                taken = analyzer.counters["names_taken"]
                answer = await client.post(f"{url}/clusters/{number}", json=body)
                assert answer.status_code == 200, answer.text
                rest_s = await until(lambda: analyzer.counters["names_taken"] > taken)
                said = await net.next_alert(4)
                assert f'in cluster {number} ("own scanner", Normal, ' in said
                assert "<rdfs:label>own scanner</rdfs:label>" in path.read_text(encoding="utf-8")
                shown = (await client.get(f"{url}/clusters")).json()["clusters"][number]
                assert (shown["name"], shown["traffic_class"]) == ("own scanner", "Normal")
                found: list[dict[str, str]] = []
                async with asyncio.timeout(30):
                    while not found:  # the supervisor tells of it a moment later
                        lines = (await client.get(f"{url}/audit")).json()["lines"]
                        found = [x for x in lines if x["what"] == "cluster renamed"]
                        await asyncio.sleep(0.1)
                (line,) = found
                assert (line["who"], line["subject"]) == ("user:cli", f"cluster {number}")

        # A restarted analyzer knows the name, also while the ontology agent is away.
        await net.stop("ontology")
        await net.stop("analyzer")
        await net.start(AnalyzerAgent, "analyzer")
        assert f'in cluster {number} ("own scanner", Normal, ' in await net.next_alert(5)
        print(f"followed the file after {took_s:.2f} s, the console after {rest_s:.2f} s")
        assert max(took_s, rest_s) <= FOLLOW_LIMIT_S
