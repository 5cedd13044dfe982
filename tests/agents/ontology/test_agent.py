"""The ontology agent's shell: what it subscribes to, archives and answers."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from agents.knowledge.window_export import unpacked, wish
from ontology.reasoner.window_file import read_window
from ontology.records import Alert, Answer, Query, Subscription

Unconnected = Any
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


async def test_subscribes_to_the_alerts_of_every_analyzer(agent: Unconnected) -> None:
    subscribed = [s for s in agent.sent if s.performative == "subscribe"]
    assert [(s.receiver, s.performative) for s in subscribed] == [
        ("analyzer.gw1@honeynet.test", "subscribe"),
        ("analyzer.gw2@honeynet.test", "subscribe"),
    ]
    topics = [r.topic for s in subscribed for r in s.records if isinstance(r, Subscription)]
    assert topics == ["Alert", "Alert"]


async def test_archives_alerts_and_answers_about_them(agent: Unconnected) -> None:
    await agent.hear("inform", ALERT)
    assert agent.counters["archived"] == 1
    query = Query(id="urn:uuid:q", sparql="SELECT ?a { ?a a/rdfs:subClassOf* idps:Scan }")
    await agent.hear("query-ref", query)
    (answer,) = agent.sent[-1].records
    assert isinstance(answer, Answer)
    assert (agent.sent[-1].performative, answer.query) == ("inform-ref", query.id)
    (row,) = json.loads(answer.results)["results"]["bindings"]
    assert row["a"]["value"] == ALERT.id


@pytest.mark.parametrize("sparql", ["DROP ALL", "SELECT * { SERVICE <http://192.0.2.1/> {} }"])
async def test_a_bad_question_is_refused_to_the_sender(agent: Unconnected, sparql: str) -> None:
    await agent.hear("query-ref", Query(id="urn:uuid:q", sparql=sparql))
    (answer,) = agent.sent[-1].records
    assert isinstance(answer, Answer) and agent.sent[-1].performative == "refuse"
    assert json.loads(answer.results)["error"]
    assert agent.counters["queries_refused"] == 1


async def test_its_directory_entry_says_what_is_in_force(agent: Unconnected) -> None:
    version = agent.running.publication.version
    assert agent.describe().ontology_version == version
    assert version.startswith("1.0.0+")


async def test_exports_alerts_as_one_file_of_the_version_in_force(agent: Unconnected) -> None:
    await agent.hear("request", wish("urn:uuid:w", "urn:uuid:i", [ALERT], "ann"))
    sent = agent.sent[-1]
    (answer,) = sent.records
    assert (sent.performative, answer.detail) == ("inform", agent.ontology_version)
    read = read_window(unpacked(answer.fragment))
    assert read.window.alerts == 1 and ALERT.id.encode() in read.window.ntriples
    await agent.hear("request", replace(wish("urn:uuid:w", "i", [ALERT], "ann"), fragment=""))
    assert agent.sent[-1].performative == "refuse"
    assert "names no alerts" in agent.sent[-1].records[0].detail
    assert (agent.counters["exports"], agent.counters["exports_refused"]) == (1, 1)
