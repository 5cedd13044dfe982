"""A rule is added in Protégé's own format, and what the running system decides changes at once.

Real agents (ontology, correlation, supervisor) over a real XMPP server, real Pellet, and a file
saved by the OWL API, as Protégé does: blank nodes, atoms in an order of its own.
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
from agents.launcher.xmpp_server import XmppServer
from agents.messages.acl import AclMessage
from agents.ontology.agent import OntologyAgent
from agents.settings.honeynet import load_settings
from agents.supervisor.agent import SupervisorAgent
from agents.trust.identity import ensure_keys
from ontology.knowledge_base import ontology_path
from ontology.records import Alert, Decision, Record
from rules.shipped_files import models_path, rule_paths
from tests.ontology.checking.protege import saved_by_protege

pytestmark = [
    # Each edit is checked and tried by JVMs of its own, some 8 s of CPU; beside other tests longer.
    pytest.mark.timeout(400),
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
[policy.sensor_priority]
gw1 = 4
[[node]]
name = "gw1"
agents = ["sensor", "analyzer", "correlation", "ontology", "supervisor", "reaction"]
interfaces = ["lo"]
[[honeypot]]
address = "198.51.100.10"
node = "gw1"
asset_value = 5
"""
POT = "198.51.100.10"
CLASS = "https://w3id.org/ontoidps/correlation#HoneypotScanFinding"


class Peer(BaseAgent[None]):
    """The analyzer that reports, and the gateway's reaction agent that is told what to block."""

    def __init__(self, context: AgentContext) -> None:
        self.role = context.role  # type: ignore[misc]
        super().__init__(context)
        self.orders: dict[str, Decision] = {}

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        self.orders |= {str(r.source): r for r in records if isinstance(r, Decision)}


async def until(condition: Callable[[], object], limit_s: float = 90.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110  it depends on the server and on Pellet
            await asyncio.sleep(0.01)


class Net:
    """The agents by role."""

    def __init__(self, file: Path, group: asyncio.TaskGroup) -> None:
        self._settings = load_settings(file)
        self._group = group
        self._agents: dict[str, tuple[Any, asyncio.Task[None]]] = {}

    def __getitem__(self, role: str) -> Any:
        return self._agents[role][0]

    async def start(self, kind: type[BaseAgent[Any]], role: str) -> None:
        agent: Any = kind(AgentContext(settings=self._settings, role=role, node="gw1"))
        self._agents[role] = agent, self._group.create_task(agent.run())
        await until(lambda: agent.health()["connected"])

    async def stop_all(self) -> None:
        for agent, task in self._agents.values():
            agent.stop()
            await task

    async def report(self, classification: str, source: str, cluster: str = "Redis") -> None:
        """The analyzer tells correlation of an attack on the honeypot, which thinks it over."""
        alert = Alert(
            id=f"urn:uuid:{uuid.uuid4()}",
            classification=classification,
            source=ip_address(source),
            target=ip_address(POT),
            target_port=22,
            cluster_name=cluster,
            protocol=6,
            begin_us=now_us() - 1_000_000,
            end_us=now_us(),
            confidence=0.9,
            verified_source=True,
            sensor="sensor.gw1@honeynet.test",
            analyzer="analyzer.gw1@honeynet.test",
            explanation="a test",
        )
        correlation = self["correlation"]
        windows = correlation.counters["senior"]
        await self["analyzer"].send(correlation.jid, "inform", [alert], protocol="fipa-subscribe")
        await until(lambda: correlation.counters["senior"] > windows and correlation.running.idle)


@pytest.fixture
def honeynet(tmp_path: Path) -> Iterator[Path]:
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


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that the agents work with, where a test may edit them."""
    folder = tmp_path / "knowledge"
    folder.mkdir()
    paths = [Path(shutil.copy(p, folder / p.name)) for p in (ontology_path(), *rule_paths())]
    for path in (*models_path().parent.glob("reaction*.t*"), models_path()):
        shutil.copy(path, folder)
    monkeypatch.setattr("agents.knowledge.files.ontology_path", lambda: paths[0])
    for module in ("files", "sources"):
        monkeypatch.setattr(
            f"agents.knowledge.{module}.models_path", lambda: folder / "attacks.owl"
        )
    return paths


@contextlib.asynccontextmanager
async def started(file: Path) -> AsyncIterator[Net]:
    async with asyncio.timeout(360), asyncio.TaskGroup() as group:
        net = Net(file, group)
        try:
            await net.start(SupervisorAgent, "supervisor")
            for role in ("reaction", "analyzer"):
                await net.start(Peer, role)
            await net.start(OntologyAgent, "ontology")
            await net.start(CorrelationAgent, "correlation")
            yield net
        finally:
            await net.stop_all()


def cell(term: str, kind: str, value: str) -> str:
    """The beginning of a rule's body: that the alert has this value, and the rest follows."""
    return (
        "<swrl:AtomList><rdf:first><swrl:DatavaluedPropertyAtom>"
        f'<swrl:propertyPredicate rdf:resource="https://w3id.org/ontoidps#{term}"/>'
        '<swrl:argument1 rdf:resource="urn:swrl:var#a"/><swrl:argument2 rdf:datatype='
        f'"http://www.w3.org/2001/XMLSchema#{kind}">{value}</swrl:argument2>'
        "</swrl:DatavaluedPropertyAtom></rdf:first><rdf:rest>"
    )


def with_rule(text: str) -> str:
    """``correlation.owl`` with a class and a rule: a scan of a honeypot's port 22 is a finding if
    its traffic is like that of one cluster."""
    rule = next(r for r in text.split("<swrl:Imp>") if "<rdfs:label>HoneypotBruteForce<" in r)
    rule = rule.partition("</swrl:Imp>")[0]
    for old, new in (
        ("https://w3id.org/ontoidps#HoneypotBruteForceFinding", CLASS),
        ("ontoidps#BruteForce", "ontoidps#Scan"),
        (">HoneypotBruteForce<", ">HoneypotScan<"),
        ("tries passwords", "looks for services"),
    ):
        rule = rule.replace(old, new)
    for term, kind, value in (("targetPort", "integer", "22"), ("clusterName", "string", "Redis")):
        rule = rule.replace("<swrl:body>", f"<swrl:body>{cell(term, kind, value)}")
        rule = rule.replace("</swrl:body>", "</rdf:rest></swrl:AtomList></swrl:body>")
    finding = (
        f'<owl:Class rdf:about="{CLASS}"><rdfs:subClassOf rdf:resource='
        '"https://w3id.org/ontoidps#Finding"/></owl:Class>'
    )
    return text.replace("</rdf:RDF>", f"{finding}<swrl:Imp>{rule}</swrl:Imp></rdf:RDF>")


async def test_a_rule_of_proteges_own_changes_what_a_running_system_decides(
    honeynet: Path, files: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = files[1]
    before = rules.read_text(encoding="utf-8")
    saved = await asyncio.to_thread(saved_by_protege, files[0], with_rule(before), tmp_path)
    assert saved != with_rule(before).encode()
    async with started(honeynet) as net:
        ontology, correlation, reaction = net["ontology"], net["correlation"], net["reaction"]
        await net.report("FinScan", "192.0.2.1")
        worker = correlation.running.worker
        # Correlation has thought it over: a scan of one honeypot is told, and blocks nobody.
        assert correlation.counters["decisions"] == 0 and not reaction.orders

        rules.write_bytes(saved)
        await until(lambda: correlation.counters["rules_loaded"] == 1)
        await net.report("FinScan", "192.0.2.9", cluster="Web")
        await net.report("FinScan", "192.0.2.2")
        await until(lambda: "192.0.2.2" in reaction.orders)
        assert not {"192.0.2.1", "192.0.2.9"} & reaction.orders.keys()
        assert correlation.running.worker is worker, "nothing was restarted"
        order = reaction.orders["192.0.2.2"]
        assert order.classification == "CustomIncident"
        # The explanation names the rules, the alert and the facts that the rule needed.
        lines = order.reason.splitlines()
        assert lines[0].startswith("Rule HoneypotScan: ")
        assert lines[1].startswith(f"FinScan from 192.0.2.2 on {POT} at ")
        assert f"because {POT} is a Honeypot" in lines
        assert "because clusterName of an alert is Redis" in lines
        assert "because FinScan is a kind of PortScan, and that of Scan" in lines
        assert "reliability 0.0, risk 0.0 (VA 5, PS 4)" in lines
        assert lines[-1].startswith("Rule BlockCandidateFinding: ")

        # A bad rule: Pellet would drop it without a word. The rules in force stay.
        mark = "http://www.w3.org/2003/11/swrlb#lessThanOrEqual"
        assert mark in saved.decode()
        bad = saved.decode().replace(mark, "http://www.w3.org/2003/11/swrlb#addDayTimeDurations")
        refused = ontology.counters["ontology_refused"]
        rules.write_text(bad, encoding="utf-8")
        await until(lambda: ontology.counters["ontology_refused"] > refused)
        said = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
        (line,) = [message for message in said if "edit refused" in message]
        assert "stays in force" in line and str(rules) in line
        assert "addDayTimeDurations" in line and "builtin-not-run" in line
        await net.report("FinScan", "192.0.2.3")
        await until(lambda: "192.0.2.3" in reaction.orders)
        assert reaction.orders["192.0.2.3"].reason.startswith("Rule HoneypotScan: ")
        assert correlation.counters["rules_loaded"] == 1
        rules.write_bytes(saved)

        # A policy table: longer blocks for this scan, from the next alert on. No rule of Pellet's
        # is touched, so Java is not asked.
        table = rules.with_name("reaction_policy.tsv")
        policy = table.read_text(encoding="utf-8")
        row = "FinScan\t*\thoneypot\tblock\t{}\tD3-ITF\tTried by night.\t-\n"
        table.write_text(policy + row.format("7"), encoding="utf-8")
        await until(lambda: correlation.counters["rules_loaded"] == 2)
        await net.report("FinScan", "192.0.2.4")
        await until(lambda: "192.0.2.4" in reaction.orders)
        longer = reaction.orders["192.0.2.4"]
        assert longer.duration_s == 7 * order.duration_s
        assert "for 7 times the configured time, D3-ITF. Tried by night." in longer.reason
        # A bad value in it: refused with file, row, value and reason; nothing changes.
        refused = ontology.counters["ontology_refused"]
        version = ontology.running.publication.version
        table.write_text(policy + row.format("lots"), encoding="utf-8")
        await until(lambda: ontology.counters["ontology_refused"] > refused)
        line = [m for r in caplog.records if "edit refused" in (m := r.getMessage())][-1]
        number = len(policy.splitlines()) + 1
        assert f"{version} stays in force: {table}:{number}: factor" in line and "'lots'" in line
        # An attack model: its rules for Pellet are made anew.
        table.write_text(policy + row.format("7"), encoding="utf-8")
        models = rules.with_name("attacks.owl")
        text = models.read_text(encoding="utf-8").replace(">host-sweep<", ">sweep-of-hosts<")
        models.write_text(text, encoding="utf-8")
        await until(lambda: correlation.counters["rules_loaded"] == 3)
        assert ontology.running.publication.version != version
        assert any("SweepOfHosts" in rule.label for rule in correlation.running.worker.theory.rules)
        # A new class of attack, and what it gets: decided on at once, everywhere under one version.
        ontology_text = files[0].read_text(encoding="utf-8")
        probe = (
            '<owl:Class rdf:about="https://w3id.org/ontoidps#RedisProbe"><rdfs:subClassOf '
            'rdf:resource="https://w3id.org/ontoidps#Scan"/></owl:Class></rdf:RDF>'
        )
        files[0].write_text(ontology_text.replace("</rdf:RDF>", probe), encoding="utf-8")
        await until(lambda: b"RedisProbe" in correlation.running.worker.theory.ntriples)
        version = ontology.running.publication.version
        await until(lambda: correlation.ontology_version == version)
        own = row.replace("FinScan", "RedisProbe").format("3")
        table.write_text(policy + own, encoding="utf-8")
        await until(lambda: ontology.running.publication.version != version)
        await until(lambda: correlation.ontology_version == ontology.running.publication.version)
        await until(lambda: net["analyzer"].ontology_version == correlation.ontology_version)
        await until(lambda: net["supervisor"].ontology_version == correlation.ontology_version)
        await net.report("RedisProbe", "192.0.2.5")
        await until(lambda: "192.0.2.5" in reaction.orders)
        assert reaction.orders["192.0.2.5"].duration_s == 3 * order.duration_s
        # It can't go while a row of the table is about it.
        refused = ontology.counters["ontology_refused"]
        files[0].write_text(ontology_text, encoding="utf-8")
        await until(lambda: ontology.counters["ontology_refused"] > refused)
        line = [m for r in caplog.records if "edit refused" in (m := r.getMessage())][-1]
        assert f"class RedisProbe is gone, but used by {table}:{number}" in line
        # Nothing was concluded without saying from what.
        assert all("\nbecause " in order.reason for order in reaction.orders.values())
