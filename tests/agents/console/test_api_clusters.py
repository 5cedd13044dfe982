"""Renaming a cluster through the console: who may, what is asked of the ontology agent, audit."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from ontology.records import OntologyChanged
from ontology.traffic_cluster import TrafficCluster
from tests.agents.console.doors import go_to_the_socket

CLUSTERS = tuple(
    TrafficCluster(
        id=f"urn:ontoidps:cluster:00:{number}",
        model_digest="0" * 64,
        cluster_number=number,
        cluster_name=f"{label} (cluster {number})",
        traffic_class=label,
        purity=0.75,
        radius=1.25,
        member_count=40,
        case_count=12,
    )
    for number, label in enumerate(("Normal", "SynScan"))
)
BODY = {"name": "own scanner", "traffic_class": "Normal", "reason": "ticket 4711"}


def announcement(at_us: int, *clusters: TrafficCluster):
    change = OntologyChanged(id=f"urn:uuid:{at_us}", version="clusters+0", changed_us=at_us)
    return (change, *(clusters or CLUSTERS))


class Ontology:
    """Answers as the ontology agent does."""

    def __init__(self) -> None:
        self.asked: list[TrafficCluster] = []
        self.answer = "inform"

    async def __call__(self, asker, performative, wanted):
        assert (asker, performative) == ("supervisor", "request")
        self.asked.append(wanted)
        if self.answer == "refuse":
            return "refuse", replace(wanted, detail="the file is no good")
        return "inform", wanted


@pytest.fixture
def ontology(link):
    link.console.on_clusters(announcement(5))
    link.ontology = Ontology()
    return link.ontology


@asynccontextmanager
async def client_of(browser, credentials, who):
    async with browser() as client:
        if who == "cli":
            go_to_the_socket(client, credentials.token)
        elif who != "nobody":
            answer = await client.post("/login", data={"user": who, "password": f"{who} pass"})
            assert answer.status_code == 303
            client.headers["X-CSRF-Token"] = (await client.get("/api/v1/me")).json()["csrf"]
        yield client


@pytest.mark.parametrize(
    ("who", "expected"), [("nobody", 401), ("viewer", 403), ("operator", 200), ("cli", 200)]
)
async def test_only_an_operator_renames_and_it_is_audited(
    browser, operations, credentials, ontology, who, expected
):
    async with client_of(browser, credentials, who) as client:
        answer = await client.post("/api/v1/clusters/1", json=BODY)
    assert answer.status_code == expected
    renamings = [x for x in operations.ledger.audit_trail(limit=9) if x.what.startswith("cluster")]
    assert len(ontology.asked) == len(renamings) == (expected == 200)
    if expected == 200:
        user = "user:cli" if who == "cli" else "user:operator"
        (wanted,) = ontology.asked
        assert wanted == replace(
            CLUSTERS[1],
            cluster_name="own scanner",
            traffic_class="Normal",
            detail=f"{user}: ticket 4711",
        )
        (line,) = renamings
        assert (line.who, line.what, line.subject) == (user, "cluster renamed", "cluster 1")
        assert line.reason == "'own scanner', Normal: ticket 4711"
        assert answer.json()["given"] is True


async def test_the_list_shows_what_was_announced_last(browser, console, credentials, ontology):
    async with client_of(browser, credentials, "viewer") as client:
        found = (await client.get("/api/v1/clusters")).json()
        assert found["classes"][0] == "Normal"
        assert "SynScan" in found["classes"]
        assert found["clusters"][1] == {
            "number": 1,
            "name": "SynScan (cluster 1)",
            "given": False,
            "traffic_class": "SynScan",
            "purity": 0.75,
            "radius": 1.25,
            "members": 40,
            "cases": 12,
            "model": "0" * 64,
        }
        console.on_clusters(announcement(7, replace(CLUSTERS[1], cluster_name="newer")))
        console.on_clusters(announcement(6, *CLUSTERS))
        (only,) = (await client.get("/api/v1/clusters")).json()["clusters"]
        assert only["name"] == "newer"


@pytest.mark.parametrize(
    ("number", "changes", "status", "said"),
    [
        (2, {}, 404, "no cluster 2"),
        (10**6, {}, 422, "number"),
        (1, {"traffic_class": "Foo"}, 422, "unknown class 'Foo'"),
        (1, {"name": "two\nlines"}, 422, "one line"),
        (1, {"name": ""}, 422, "name"),
        (1, {"name": "x" * 81}, 422, "name"),
        (1, {"name": "\u202eevil"}, 422, "one line"),
        (1, {"reason": " "}, 422, "reason"),
        (1, {"more": 1}, 422, "more"),
    ],
)
async def test_a_bad_wish_never_leaves(
    browser, credentials, ontology, number, changes, status, said
):
    async with client_of(browser, credentials, "operator") as client:
        answer = await client.post(f"/api/v1/clusters/{number}", json=BODY | changes)
    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert ontology.asked == []


@pytest.mark.parametrize(
    ("how", "status", "said", "what"),
    [
        ("refuse", 422, "the file is no good", "cluster renaming refused"),
        ("ontology", 503, "has not answered within 5 s", "cluster renaming unanswered"),
        ("supervisor", 504, "the supervisor does not answer", None),
    ],
)
async def test_a_refusal_and_a_silence_are_told_and_audited(
    browser, operations, credentials, link, ontology, how, status, said, what
):
    if how == "refuse":
        ontology.answer = how
    else:
        link.silent.add(how)
    async with client_of(browser, credentials, "operator") as client:
        answer = await client.post("/api/v1/clusters/1", json=BODY)
    assert answer.status_code == status
    assert said in answer.json()["detail"]
    lines = operations.ledger.audit_trail(limit=9)
    assert [x.what for x in lines if "cluster" in x.what] == ([what] if what else [])
