"""The ontology agent as FIPA's ontology service: real agents over a real XMPP server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agents.base import AgentContext, BaseAgent
from agents.clock import now_us
from agents.console.agent import ConsoleAgent
from agents.correlation.agent import CorrelationAgent
from agents.launcher.xmpp_server import XmppServer
from agents.main import main
from agents.messages.acl import AclMessage
from agents.ontology.agent import OntologyAgent
from agents.settings.honeynet import load_settings
from agents.supervisor.agent import SupervisorAgent
from agents.trust.identity import ensure_keys
from ontology.authoring.translation import ONTOIDPSMA_IRI
from ontology.fragments import decode, encode
from ontology.records import Alert, Answer, OntologyAction, Query, Record
from ontology.vocabulary import ONTOLOGY_IRI

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
[[honeypot]]
address = "198.51.100.78"
node = "gw1"
open_services = ["vsftpd 3.0"]
security_grade = 3
fixed_vulnerabilities = ["CVE-2014-6271"]
protected_by = ["packet filter"]
"""
ONTOLOGY, CORRELATION = "ontology.gw1@honeynet.test", "correlation.gw1@honeynet.test"
PREFIX = "@prefix idps: <https://w3id.org/ontoidps#> .\n"
POT = "198.51.100.77"
PROFILE = f"""{PREFIX}<urn:x:pot> a idps:HostProfile ; idps:hostRole "Honeypot" ;
  idps:describesHost <urn:ontoidps:host:{POT}> ; idps:assetValue 4 ; idps:securityGrade 1 .
"""
RELATIONS = """SELECT ?relation ?b { GRAPH <https://w3id.org/ontoidps/ontologies> {
  <https://w3id.org/ontoidps> ?relation ?b . ?b a owl:Ontology } }"""


class Peer(BaseAgent[None]):
    """Asks, and writes down the answers; as analyzer it also reports."""

    def __init__(self, context: AgentContext) -> None:
        self.role = context.role  # type: ignore[misc]
        super().__init__(context)
        self.answers: dict[str, tuple[str, Record]] = {}
        self.refused: list[str] = []

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        if records and message.sender == ONTOLOGY:
            self.answers[message.conversation_id] = message.performative, records[0]

    async def on_refused(self, receiver: str, reply_with: str, reason: str) -> None:
        self.refused.append(reason)

    async def ask(self, performative: str, record: Record) -> tuple[str, Any]:
        """Performative and record of the answer."""
        sent = await self.send(ONTOLOGY, performative, [record], protocol="fipa-query")
        await until(lambda: sent.conversation_id in self.answers)
        return self.answers[sent.conversation_id]


async def until(condition: Callable[[], object], limit_s: float = 90.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110  it depends on the server
            await asyncio.sleep(0.02)


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


def guessing(number: int, target: str) -> Alert:
    """Password guessing by 192.0.2.NUMBER at a host."""
    return Alert(
        id=f"urn:uuid:alert-{number}",
        classification="FtpBruteForce",
        source=ip_address(f"192.0.2.{number}"),
        target=ip_address(target),
        target_port=21,
        protocol=6,
        begin_us=now_us() - 5_000_000,
        end_us=now_us() - 1_000_000,
        count=30,
        confidence=0.9,
        verified_source=True,
        sensor="sensor.gw1@honeynet.test",
        analyzer="analyzer.gw1@honeynet.test",
        explanation="30 refused logins",
    )


async def test_asking_telling_and_translating(
    honeynet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(honeynet)
    started: list[tuple[Any, asyncio.Task[None]]] = []

    async def start(kind: type[BaseAgent[Any]], role: str) -> Any:
        agent: Any = kind(AgentContext(settings=settings, role=role, node="gw1"))
        started.append((agent, group.create_task(agent.run())))
        await until(lambda: agent.health()["connected"])
        return agent

    async def stop() -> None:
        agent, task = started.pop()
        agent.stop()
        await task

    async def cli(*words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(main, ["ontology", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    async with asyncio.timeout(280), asyncio.TaskGroup() as group:
        try:
            sensor, analyzer = await start(Peer, "sensor"), await start(Peer, "analyzer")
            correlation: Any = await start(CorrelationAgent, "correlation")
            supervisor = await start(SupervisorAgent, "supervisor")
            await start(ConsoleAgent, "console")
            ontology = await start(OntologyAgent, "ontology")

            # Which ontologies there are: anybody may ask.
            how, answer = await sensor.ask("query-ref", Query(id="urn:uuid:q1", sparql=RELATIONS))
            assert how == "inform-ref"
            rows = json.loads(answer.results)["results"]["bindings"]
            related = {(r["relation"]["value"].rpartition("#")[2], r["b"]["value"]) for r in rows}
            assert ("weaklyTranslatable", ONTOIDPSMA_IRI) in related
            assert ("approxTranslatable", "http://docs.oasis-open.org/ns/cti/stix") in related
            assert {"fipa-oa", f"supported-ontology {ONTOIDPSMA_IRI}"} <= set(ontology.services)

            # query-if: true, false, and refused with the reason.
            for name, said in (("SynScan", True), ("SynFlood", False)):
                sparql = f"ASK {{ idps:{name} rdfs:subClassOf+ idps:Scan }}"
                asked = Query(id=f"urn:uuid:{name}", sparql=sparql)
                how, answer = await sensor.ask("query-if", asked)
                assert how == "inform"
                assert json.loads(answer.results)["boolean"] is said
            for performative, sparql, why in (
                ("query-if", "SELECT * { ?s ?p ?o } LIMIT 1", "wants ASK"),
                ("query-ref", "ASK { SERVICE <http://192.0.2.1/> {} }", "never leave"),
                ("query-ref", "nonsense", "not answered"),
            ):
                asked = Query(id=f"urn:uuid:{why.replace(' ', '')}", sparql=sparql)
                how, answer = await sensor.ask(performative, asked)
                assert (how, type(answer)) == ("refuse", Answer)
                assert why in json.loads(answer.results)["error"]

            # Translation, there and back.
            alert = guessing(1, POT)
            there = OntologyAction(
                id="urn:uuid:t1",
                ontology_action="translate",
                fragment=encode([alert]),
                target_ontology=ONTOIDPSMA_IRI,
            )
            how, answer = await sensor.ask("request", there)
            assert how == "inform" and "Alert.confidence" in answer.detail
            assert f"{ONTOIDPSMA_IRI}#" in answer.fragment
            back = OntologyAction(
                id="urn:uuid:t2",
                ontology_action="translate",
                fragment=answer.fragment,
                target_ontology=ONTOLOGY_IRI,
            )
            how, answer = await sensor.ask("request", back)
            (came,) = decode(answer.fragment)
            assert (came.source, came.target, came.classification) == (  # type: ignore[union-attr]
                alert.source,
                alert.target,
                "FtpBruteForce",
            )
            bad = OntologyAction(id="urn:uuid:t3", ontology_action="translate", fragment="<")
            how, answer = await sensor.ask("request", bad)
            assert how == "refuse" and "no translation to" in answer.detail

            # An analyzer may not assert.
            wish = OntologyAction(id="urn:uuid:a1", ontology_action="assert", fragment=PROFILE)
            await analyzer.send(ONTOLOGY, "request", [wish], protocol="fipa-request")
            await until(lambda: analyzer.refused)
            assert analyzer.refused == ["role"]
            assert ontology.counters["facts"] == 0

            # Guessing at a host that nobody calls a honeypot is no incident.
            async def report(number: int) -> None:
                found = [guessing(number, POT)]
                await analyzer.send(CORRELATION, "inform", found, protocol="fipa-subscribe")

            def incidents() -> list[str]:
                return [i.classification for i, _ in supervisor.running.ledger.incidents(limit=9)]

            await report(2)
            await until(lambda: correlation.counters["alerts"] and correlation.running.idle)
            assert incidents() == []

            # The operator asserts it, in Turtle and from the command line.
            facts = tmp_path / "hosts.ttl"
            facts.write_text(PROFILE)
            reason = ("--reason", "new pot")
            code, out, err = await cli("assert", str(honeynet), str(facts), *reason)
            assert (code, err) == (0, ""), err
            assert (out.startswith("facts+") and "4 facts" in out) or "5 facts" in out
            await until(lambda: correlation.counters["hosts_taken"])
            await report(3)
            await until(incidents)
            assert "HoneypotBruteForceIncident" in incidents()

            # Queries see it; what Pellet refuses changes nothing.
            grade = "SELECT ?g { [ idps:describesHost ?h ; idps:securityGrade ?g ] } ORDER BY ?g"
            code, out, err = await cli("query", str(honeynet), grade)
            assert out.split() == ["g", "1", "3"]
            known = """SELECT ?v { [ idps:describesHost <urn:ontoidps:host:198.51.100.78> ;
              idps:serviceOnHost|idps:fixedVulnerability|idps:protectedBy ?v ] } ORDER BY ?v"""
            code, out, err = await cli("query", str(honeynet), known)
            assert out.splitlines()[1:] == ["CVE-2014-6271", "packet filter", "vsftpd 3.0"]
            facts.write_text(f"{PREFIX}<urn:ontoidps:profile:198.51.100.78> a idps:HostProfile .")
            code, out, err = await cli("assert", str(honeynet), str(facts), *reason)
            assert code != 0 and "READ-ONLY" in err and "stands in honeynet.toml" in err
            facts.write_text(PREFIX + "<urn:x:pot> a idps:Signature .")
            code, out, err = await cli("assert", str(honeynet), str(facts), *reason)
            assert code != 0 and "INCONSISTENT" in err and "can't all hold" in err
            code, out, err = await cli("query", str(honeynet), "DROP ALL")
            assert code != 0 and "not answered" in err
            lines = supervisor.running.ledger.audit_trail(limit=9)
            assert [x.what for x in lines if "assert" in x.what] == [
                "assert refused",
                "assert refused",
                "facts asserted",
            ]

            # Facts survive the ontology agent; a correlation agent that starts later hears of them.
            await stop()
            version = ontology.running.facts.version
            ontology = await start(OntologyAgent, "ontology")
            await until(lambda: ontology.health()["connected"] and ontology.has_started)
            assert ontology.running.facts.version == version
            facts.write_text(PROFILE)
            code, out, err = await cli("retract", str(honeynet), str(facts), *reason)
            assert (code, err) == (0, "")
            await until(lambda: correlation.counters["hosts_taken"] == 2)
            code, out, _ = await cli("query", str(honeynet), grade)
            assert out.split() == ["g", "3"], "what honeynet.toml says stays"
        finally:
            while started:
                await stop()
