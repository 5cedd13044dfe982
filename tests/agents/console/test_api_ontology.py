"""Questions and facts through the console: who may, what is asked, refusals, silence, audit."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from agents.knowledge.window_export import alerts_of, packed
from ontology.records import Answer, OntologyAction, Query
from tests.agents.console.doors import go_to_the_socket

FACTS = {"action": "assert", "fragment": "<urn:x> a idps:Network .", "reason": "ticket 4711"}

OFF = {"enabled": False, "reason": "too loud"}


class Ontology:
    """Answers as the ontology agent does."""

    def __init__(self) -> None:
        self.asked, self.done = [], True

    async def __call__(self, asker, performative, record):
        self.asked.append((asker, record, performative))
        if isinstance(record, Query):
            said = {"head": {"vars": ["s"]}, "results": {"bindings": []}}
            text = json.dumps(said if self.done else {"error": "query took longer than 5 s"})
            answer = Answer(id="urn:uuid:a", query=record.id, results=text, truncated=True)
            return "inform-ref" if self.done else "refuse", answer
        answer = replace(record, detail="facts+1, 3 facts" if self.done else "READ-ONLY: no")
        return "inform" if self.done else "refuse", answer


@pytest.fixture
def ontology(link):
    link.ontology = Ontology()
    return link.ontology


@pytest.fixture
def client_of(browser, credentials):
    async def make(stack, who):
        client = await stack.enter_async_context(browser())
        if who == "cli":
            go_to_the_socket(client, credentials.token)
        elif who != "nobody":
            await client.post("/login", data={"user": who, "password": f"{who} pass"})
            client.headers["X-CSRF-Token"] = (await client.get("/api/v1/me")).json()["csrf"]
        return client

    return make


@pytest.mark.parametrize(
    ("who", "asking", "telling"),
    [("nobody", 401, 401), ("viewer", 200, 403), ("operator", 200, 200), ("cli", 200, 200)],
)
async def test_viewers_ask_and_operators_tell(
    operations, ontology, client_of, who, asking, telling
):
    async with AsyncExitStack() as stack:
        client = await client_of(stack, who)
        found = await client.post("/api/v1/ontology/query", json={"sparql": "SELECT * {}"})
        told = await client.post("/api/v1/ontology/facts", json=FACTS)
        switched = await client.post("/api/v1/ontology/rules/Some%20rule", json=OFF)
        listed = await client.get("/api/v1/ontology/rules")
    assert (listed.status_code, switched.status_code) == (asking, telling)
    assert (found.status_code, told.status_code) == (asking, telling)
    if asking == 200:
        assert found.json()["truncated"] is True
        assert found.json()["results"] == {"bindings": []}
    if telling == 200:
        user = "user:cli" if who == "cli" else "user:operator"
        asker, record, performative = next(a for a in ontology.asked if a[0] == "supervisor")
        assert (asker, performative) == ("supervisor", "request")
        assert record == OntologyAction(
            id=record.id,
            ontology_action="assert",
            fragment=FACTS["fragment"],
            detail=f"{user}: ticket 4711",
        )
        assert told.json() == {"detail": "facts+1, 3 facts"}
        wish = next(r for a, r, _ in reversed(ontology.asked) if a == "supervisor")
        assert (wish.ontology_action, wish.fragment) == ("disable", "Some rule")
        assert operations.ledger.audit_trail(limit=1)[0].what == "rule disabled"
        (line,) = (x for x in operations.ledger.audit_trail(limit=9) if "fact" in x.what)
        assert (line.who, line.what) == (user, "facts asserted")
        assert "ticket 4711" in line.reason and FACTS["fragment"] in line.reason


@pytest.mark.parametrize(
    ("silent", "status", "said", "what"),
    [
        (None, 422, "READ-ONLY", "assert refused"),
        ("ontology", 503, "has not answered within 30 s", "assert unanswered"),
        ("supervisor", 504, "the supervisor does not answer", None),
    ],
)
async def test_a_refusal_and_a_silence_are_told_and_audited(
    operations, link, ontology, client_of, silent, status, said, what
):
    ontology.done = False
    if silent:
        link.silent.add(silent)
    async with AsyncExitStack() as stack:
        client = await client_of(stack, "operator")
        answer = await client.post("/api/v1/ontology/facts", json=FACTS)
        assert answer.status_code == status
        assert said in answer.json()["detail"]
        lines = operations.ledger.audit_trail(limit=9)
        assert [x.what for x in lines if "assert" in x.what] == ([what] if what else [])
        found = await client.post("/api/v1/ontology/query", json={"sparql": "SELECT * {}"})
        # Questions need no supervisor.
        assert found.status_code == (503 if silent == "ontology" else 422)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("query", {"sparql": ""}),
        ("query", {"sparql": "x" * 10_001}),
        ("facts", FACTS | {"action": "translate"}),
        ("facts", FACTS | {"fragment": "x" * 50_001}),
        ("facts", FACTS | {"reason": " "}),
        ("facts", FACTS | {"more": 1}),
        ("rules/x", OFF | {"reason": ""}),
        (f"rules/{'x' * 201}", OFF),
    ],
)
async def test_a_bad_wish_never_leaves(ontology, client_of, path, body):
    async with AsyncExitStack() as stack:
        client = await client_of(stack, "operator")
        answer = await client.post(f"/api/v1/ontology/{path}", json=body)
    assert answer.status_code == 422
    assert ontology.asked == []


async def test_rules_are_listed_whole_over_several_answers(link, client_of):
    rows = [{"label": f"Rule {n}", "file": "correlation.owl", "enabled": "true"} for n in (3, 1, 2)]
    rows[0] |= {"enabled": "false", "by": "user:ana: too loud"}

    async def ontology(asker, performative, query):
        begin = int(query.sparql.rpartition("OFFSET")[2])
        row = {name: {"type": "literal", "value": text} for name, text in rows[begin].items()}
        said = {"head": {"vars": list(row)}, "results": {"bindings": [row]}}
        more = begin + 1 < len(rows)
        return "inform-ref", Answer(
            id="urn:uuid:a", query=query.id, results=json.dumps(said), truncated=more
        )

    link.ontology = ontology
    async with AsyncExitStack() as stack:
        client = await client_of(stack, "viewer")
        listed = (await client.get("/api/v1/ontology/rules")).json()["rules"]
    assert [rule["label"] for rule in listed] == ["Rule 1", "Rule 2", "Rule 3"]
    assert [rule["enabled"] for rule in listed] == [True, True, False]
    assert listed[2]["switched_by"] == "user:ana: too loud"


@pytest.fixture
async def incident(link, kit):
    """One that the supervisor has told the console of, with one alert."""
    cause = kit.decision()
    made, alerts = kit.evidence(cause)
    await link.operations.decide(cause, made, alerts)
    await link.flush()
    return made, alerts


async def test_an_incident_is_downloaded_as_the_ontology_agent_makes_it(link, incident, client_of):
    made, alerts = incident
    asked = []

    async def answers(asker, performative, record):
        asked.append((performative, record))
        return "inform", replace(record, fragment=packed(b"<rdf/>"), detail="1.0.0")

    link.ontology = answers
    path = f"/api/v1/ontology/incidents/{made.id}"
    async with AsyncExitStack() as stack:
        nobody = await client_of(stack, "nobody")
        assert (await nobody.get(path)).status_code == 401 and not asked
        client = await client_of(stack, "viewer")
        answer = await client.get(path)
        assert (await client.get("/api/v1/ontology/incidents/x")).status_code == 404
        assert (answer.status_code, answer.content) == (200, b"<rdf/>")
        assert answer.headers["content-type"] == "application/rdf+xml"
        assert answer.headers["content-disposition"].endswith('.owl"')
        ((performative, wish),) = asked
        assert (performative, wish.ontology_action, wish.detail) == (
            "request",
            "export",
            f"user:viewer: {made.id}",
        )
        assert [one.id for one in alerts_of(wish)] == [one.id for one in alerts]
        refused = Ontology()
        refused.done = False
        link.ontology = refused
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["detail"]) == (422, "READ-ONLY: no")
        link.silent.add("ontology")
        assert (await client.get(path)).status_code == 503
