"""The ontology agent's own behaviour, with the bus left out: what it would send is written down."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agents.acl import AclMessage
from agents.base import AgentContext
from agents.ontology import agent as agent_module
from agents.ontology.agent import OntologyAgent
from agents.ontology.query import QueryRefused
from agents.ontology.watch import check_with_java, knowledge_paths, load_knowledge
from agents.settings import Settings
from ontology.knowledge_base import KnowledgeBaseError
from ontology.records import Alert, Answer, OntologyChanged, Query, Record, Subscription

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
    assert [(s.receiver, s.performative) for s in agent.sent] == [
        ("analyzer.gw1@honeynet.test", "subscribe"),
        ("analyzer.gw2@honeynet.test", "subscribe"),
    ]
    topics = [r.topic for s in agent.sent for r in s.records if isinstance(r, Subscription)]
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
    with pytest.raises(QueryRefused):
        await agent.on_message(a_message("query-ref"), (Query(id="urn:uuid:q", sparql=sparql),))


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
    version = load_knowledge(paths).version
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
        announced = [s for s in agent.sent if isinstance(s.records[0], OntologyChanged)]
        assert len(announced) == (4 if text else 0)
        await asyncio.sleep(0)  # let the watch begin before it is ended
        await agent._end_tasks()
        await agent.on_stop()


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
