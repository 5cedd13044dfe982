"""Names of clusters: told to all who use them, refused when they are no good."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from agents.base import AgentContext
from ontology.records import Answer, OntologyChanged, Query, Subscription, TrafficCluster

Unconnected = Any
Until = Any


def names_told(agent: Unconnected, receiver: str) -> dict[int, tuple[str, str]]:
    """What the last announcement to ``receiver`` calls the clusters."""
    told = [s for s in agent.sent if s.receiver == receiver and s.performative == "inform"]
    return {
        r.cluster_number: (r.cluster_name, r.traffic_class)
        for r in told[-1].records
        if isinstance(r, TrafficCluster)
    }


async def test_a_saved_name_is_told_to_those_who_use_it(
    agent: Unconnected, context: AgentContext, until: Until
) -> None:
    everyone = {f"analyzer.{gw}@honeynet.test" for gw in ("gw1", "gw2")}
    everyone.add("console.gw1@honeynet.test")
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
    async with agent.running.names.lock:  # the archive is written after the announcement
        agent.sent.clear()
    query = "SELECT ?c { ?case idps:inCluster ?c . ?c rdfs:label 'own scanner' }"
    await agent.hear("query-ref", Query(id="urn:uuid:q", sparql=query))
    (answer,) = agent.sent[-1].records
    assert isinstance(answer, Answer)
    assert len(json.loads(answer.results)["results"]["bindings"]) == cases


async def test_a_bad_name_is_refused_and_the_last_good_one_kept(
    agent: Unconnected, context: AgentContext, until: Until, caplog: pytest.LogCaptureFixture
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
    await agent.hear("request", wanted)
    assert agent.sent[-1].performative == "refuse"
    wish_wanted = Subscription(id="urn:uuid:s", topic="TrafficCluster")
    await agent.hear("subscribe", wish_wanted)
    assert [s.performative for s in agent.sent[-2:]] == ["agree", "inform"]
    assert names_told(agent, "analyzer.gw1@honeynet.test") == before


def wish(agent: Unconnected, **changes: Any) -> TrafficCluster:
    return replace(agent.running.names.book.in_force.clusters[18], **changes)


async def test_a_name_asked_for_is_written_told_and_confirmed(
    agent: Unconnected, context: AgentContext
) -> None:
    agent.sent.clear()
    wanted = wish(agent, cluster_name="own scanner", traffic_class="Normal", detail="user:ana: x")
    await agent.hear("request", wanted)
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
    await agent.hear("request", wish(agent, **changes))
    (sent,) = agent.sent
    assert sent.performative == "refuse"
    (record,) = sent.records
    assert isinstance(record, TrafficCluster)
    assert "cluster" in record.detail


async def test_only_those_who_follow_this_agent_are_told(agent: Unconnected) -> None:
    topic = Subscription(id="urn:uuid:s", topic="TrafficCluster")
    agent.sent.clear()
    await agent.hear("subscribe", topic, sender="analyzer.gw3@honeynet.test")
    assert [s.performative for s in agent.sent] == ["refuse"]
    await agent.hear("subscribe", topic, sender="analyzer.gw2@honeynet.test")
    (change, *clusters) = agent.sent[-1].records
    assert isinstance(change, OntologyChanged) and len(clusters) == 25
    assert change.kind == "cluster-names" and change.version == f"clusters+{change.digest[:12]}"
