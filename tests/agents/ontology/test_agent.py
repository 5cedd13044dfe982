"""The ontology agent's own behaviour, with the bus left out: what it would send is written down."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agents.base import AgentContext
from agents.knowledge.watch import check_with_java, knowledge_paths, load_knowledge
from agents.messages.acl import AclMessage
from agents.ontology import agent as agent_module
from agents.ontology.agent import OntologyAgent
from agents.settings.honeynet import Settings
from ontology.knowledge_base import KnowledgeBaseError
from ontology.records import (
    Alert,
    Answer,
    OntologyChanged,
    Query,
    Record,
    Subscription,
    TrafficCluster,
)

JID = "ontology.gw1@honeynet.test"
ALERT = Alert(
    id="urn:uuid:a",
    classification="SynScan",
    source=ip_address("192.0.2.7"),
    target=None,
    protocol=6,
    begin_us=0,
    end_us=0,
    confidence=1.0,
    verified_source=False,
    sensor="s",
    analyzer="a",
    explanation="",
)


@dataclass
class Sent:
    receiver: str
    performative: str
    records: tuple[Record, ...]


class Unconnected(OntologyAgent):
    """Keeps what it would send."""

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self.sent: list[Sent] = []

    async def send(
        self, receiver: str, performative: str, records: Sequence[Record], **_: Any
    ) -> AclMessage:
        self.sent.append(Sent(receiver, performative, tuple(records)))
        return a_message(performative)

    async def reply(
        self, message: AclMessage, performative: str, records: Sequence[Record]
    ) -> AclMessage:
        return await self.send(message.sender, performative, records)


def a_message(performative: str) -> AclMessage:
    return AclMessage(
        performative=performative,
        sender="analyzer.gw1@honeynet.test",
        receivers=(JID,),
        protocol="fipa-query",
        conversation_id="c",
    )


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ...]:
    """The shipped files, copied to where a test may edit them."""
    folder = tmp_path / "knowledge"
    folder.mkdir()
    found = tuple(Path(shutil.copy(path, folder / path.name)) for path in knowledge_paths())
    monkeypatch.setattr(agent_module, "knowledge_paths", lambda: found)
    return found


@pytest.fixture
def context(bare_honeynet: Settings) -> AgentContext:
    return AgentContext(settings=bare_honeynet, role="ontology", node="gw1")


@pytest.fixture
async def agent(context: AgentContext, paths: tuple[Path, ...]) -> AsyncIterator[Unconnected]:
    started = Unconnected(context)
    await started.on_start()
    yield started
    await started._end_tasks()
    await started.on_stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the agent offers no event for this


async def test_subscribes_to_the_alerts_of_every_analyzer(agent: Unconnected) -> None:
    subscribed = [s for s in agent.sent if s.performative == "subscribe"]
    assert [(s.receiver, s.performative) for s in subscribed] == [
        ("analyzer.gw1@honeynet.test", "subscribe"),
        ("analyzer.gw2@honeynet.test", "subscribe"),
    ]
    topics = [r.topic for s in subscribed for r in s.records if isinstance(r, Subscription)]
    assert topics == ["Alert", "Alert"]


async def test_archives_alerts_and_answers_about_them(agent: Unconnected) -> None:
    await agent.on_message(a_message("inform"), (ALERT,))
    assert agent.counters["archived"] == 1
    query = Query(id="urn:uuid:q", sparql="SELECT ?a { ?a a/rdfs:subClassOf* idps:Scan }")
    await agent.on_message(a_message("query-ref"), (query,))
    (answer,) = agent.sent[-1].records
    assert isinstance(answer, Answer)
    assert (agent.sent[-1].performative, answer.query) == ("inform-ref", query.id)
    (row,) = json.loads(answer.results)["results"]["bindings"]
    assert row["a"]["value"] == ALERT.id


@pytest.mark.parametrize("sparql", ["DROP ALL", "SELECT * { SERVICE <http://192.0.2.1/> {} }"])
async def test_a_bad_question_is_refused_to_the_sender(agent: Unconnected, sparql: str) -> None:
    await agent.on_message(a_message("query-ref"), (Query(id="urn:uuid:q", sparql=sparql),))
    (answer,) = agent.sent[-1].records
    assert isinstance(answer, Answer) and agent.sent[-1].performative == "refuse"
    assert json.loads(answer.results)["error"]
    assert agent.counters["queries_refused"] == 1


async def test_a_valid_edit_is_announced_to_those_who_use_it(
    agent: Unconnected, paths: tuple[Path, ...]
) -> None:  # slow: Pellet checks the edit, about 3 s
    agent.sent.clear()
    text = paths[0].read_text(encoding="utf-8")
    paths[0].write_text(text.replace("Half-open scan", "A half-open scan"), encoding="utf-8")
    await agent._look()
    await agent._look()
    await until(lambda: len(agent.sent) == 4)
    assert {s.receiver for s in agent.sent} == {
        f"{role}.{node}@honeynet.test"
        for node, roles in (
            ("gw1", ("correlation", "supervisor", "reaction")),
            ("gw2", ("reaction",)),
        )
        for role in roles
    }
    version = load_knowledge(paths, beside=agent._sources.digest).version
    assert {r.version for s in agent.sent for r in s.records if isinstance(r, OntologyChanged)} == {
        version
    }


async def test_an_invalid_edit_is_refused_and_the_last_good_one_kept(
    agent: Unconnected, paths: tuple[Path, ...], caplog: pytest.LogCaptureFixture
) -> None:
    agent.sent.clear()
    before = agent._archive.ontology_version
    paths[1].write_text("<broken", encoding="utf-8")
    await agent._look()
    await agent._look()
    # The agent's own watch runs beside these looks, and may be the one that saw the edit.
    await until(lambda: agent.counters["ontology_refused"] == 1)
    assert agent.sent == []
    assert agent._archive.ontology_version == before
    (line,) = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert str(paths[1]) in line
    assert before in line


async def test_an_edit_made_while_it_was_down_is_announced_at_start(
    context: AgentContext, paths: tuple[Path, ...]
) -> None:
    for text in (None, "An edited scan"):
        if text:
            old = paths[0].read_text(encoding="utf-8")
            paths[0].write_text(old.replace("Half-open scan", text), encoding="utf-8")
        agent = Unconnected(context)
        await agent.on_start()
        announced = [
            s
            for s in agent.sent
            if isinstance(s.records[0], OntologyChanged)
            and not s.records[0].version.startswith("clusters")
        ]
        assert len(announced) == (4 if text else 0)
        await asyncio.sleep(0)  # let the watch begin before it is ended
        await agent._end_tasks()
        await agent.on_stop()


def names_told(agent: Unconnected, receiver: str) -> dict[int, tuple[str, str]]:
    """What the last announcement to ``receiver`` calls the clusters."""
    told = [s for s in agent.sent if s.receiver == receiver and s.performative == "inform"]
    return {
        r.cluster_number: (r.cluster_name, r.traffic_class)
        for r in told[-1].records
        if isinstance(r, TrafficCluster)
    }


async def test_a_saved_name_is_told_to_those_who_use_it(
    agent: Unconnected, context: AgentContext
) -> None:
    everyone = {f"analyzer.{gw}@honeynet.test" for gw in ("gw1", "gw2")}
    everyone.add("supervisor.gw1@honeynet.test")
    assert all(len(names_told(agent, receiver)) == 25 for receiver in everyone)
    before = names_told(agent, "analyzer.gw1@honeynet.test")
    cases = wish(agent).case_count
    assert cases
    agent.sent.clear()
    path = context.state_dir / "knowledge" / "clusters.owl"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(before[18][0], "own scanner"), encoding="utf-8")
    await until(lambda: len(agent.sent) == 3)
    assert {s.receiver for s in agent.sent} == everyone
    expected = before | {18: ("own scanner", before[18][1])}
    assert all(names_told(agent, receiver) == expected for receiver in everyone)
    async with agent._naming:  # the archive is written after the announcement
        agent.sent.clear()
    query = "SELECT ?c { ?case idps:inCluster ?c . ?c rdfs:label 'own scanner' }"
    await agent.on_message(a_message("query-ref"), (Query(id="urn:uuid:q", sparql=query),))
    (answer,) = agent.sent[-1].records
    assert isinstance(answer, Answer)
    assert len(json.loads(answer.results)["results"]["bindings"]) == cases


async def test_a_bad_name_is_refused_and_the_last_good_one_kept(
    agent: Unconnected, context: AgentContext, caplog: pytest.LogCaptureFixture
) -> None:
    path = context.state_dir / "knowledge" / "clusters.owl"
    text = path.read_text(encoding="utf-8")
    before = names_told(agent, "analyzer.gw1@honeynet.test")
    agent.sent.clear()
    path.write_text(text.replace(f">{before[0][1]}<", ">Sinscan<", 1), encoding="utf-8")
    await until(lambda: agent.counters["clusters_refused"] == 1)
    assert agent.sent == []
    (line,) = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert str(path) in line
    assert "unknown class 'Sinscan'" in line
    # While the file is no good, the console can't write into it either.
    wanted = wish(agent, cluster_name="own scanner")
    await agent.on_message(a_message("request"), (wanted,))
    assert agent.sent[-1].performative == "refuse"
    wish_wanted = Subscription(id="urn:uuid:s", topic="TrafficCluster")
    await agent.on_message(a_message("subscribe"), (wish_wanted,))
    assert [s.performative for s in agent.sent[-2:]] == ["agree", "inform"]
    assert names_told(agent, "analyzer.gw1@honeynet.test") == before


def wish(agent: Unconnected, **changes: Any) -> TrafficCluster:
    assert agent._names is not None
    return replace(agent._names.in_force.clusters[18], **changes)


async def test_a_name_asked_for_is_written_told_and_confirmed(
    agent: Unconnected, context: AgentContext
) -> None:
    agent.sent.clear()
    wanted = wish(agent, cluster_name="own scanner", traffic_class="Normal", detail="user:ana: x")
    await agent.on_message(a_message("request"), (wanted,))
    assert [s.performative for s in agent.sent] == ["inform"] * 4
    assert agent.sent[-1].records == (wanted,)
    assert names_told(agent, "analyzer.gw2@honeynet.test")[18] == ("own scanner", "Normal")
    text = (context.state_dir / "knowledge" / "clusters.owl").read_text(encoding="utf-8")
    assert "<rdfs:label>own scanner</rdfs:label>" in text
    agent.sent.clear()
    await asyncio.sleep(0.8)  # the watch has looked twice
    assert agent.sent == []


@pytest.mark.parametrize(
    "changes", [{"model_digest": "0" * 64}, {"cluster_number": 25}], ids=["model", "number"]
)
async def test_a_name_for_what_is_not_there_is_refused(
    agent: Unconnected, changes: dict[str, Any]
) -> None:
    agent.sent.clear()
    await agent.on_message(a_message("request"), (wish(agent, **changes),))
    (sent,) = agent.sent
    assert sent.performative == "refuse"
    (record,) = sent.records
    assert isinstance(record, TrafficCluster)
    assert "cluster" in record.detail


def test_a_contradiction_is_refused_with_the_axioms_that_clash(
    paths: tuple[Path, ...],
) -> None:  # slow: about 2 s
    """A host that is a record as well: the two are declared disjoint."""
    text = paths[0].read_text(encoding="utf-8")
    bad = (
        '<owl:Class rdf:about="https://w3id.org/ontoidps#Host"><rdfs:subClassOf '
        'rdf:resource="https://w3id.org/ontoidps#Record"/></owl:Class></rdf:RDF>'
    )
    paths[0].write_text(text.replace("</rdf:RDF>", bad), encoding="utf-8")
    with pytest.raises(KnowledgeBaseError, match="Host SubClassOf Record") as refusal:
        load_knowledge(paths, check=check_with_java)
    assert str(refusal.value).startswith(str(paths[0]))
