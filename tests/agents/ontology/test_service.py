"""What the ontology agent makes of a message, without bus or store."""

from __future__ import annotations

import json
from ipaddress import ip_address

import pytest

from agents.ontology.query import QueryRefused
from agents.ontology.service import ServiceError, Work, plan, to_answer, to_refusal, to_truth
from ontology.records import (
    Block,
    OntologyAction,
    OntologyChanged,
    Query,
    Record,
    Subscription,
    TrafficCluster,
)

BLOCK = Block(
    id="urn:uuid:b",
    decision="urn:uuid:d",
    gateway="gw1",
    source=ip_address("192.0.2.7"),
    state="active",
    since_us=1,
    expires_us=2,
)
CLUSTER = TrafficCluster(
    id="urn:ontoidps:cluster:00:0",
    model_digest="0" * 64,
    cluster_number=0,
    cluster_name="own scanner",
    traffic_class="Normal",
    purity=1.0,
    radius=1.0,
    member_count=1,
    case_count=0,
)
CHANGED = OntologyChanged(id="urn:uuid:o", version="1", changed_us=1)
QUERY = Query(id="urn:uuid:q", sparql="ASK { ?a a idps:Alert }")


def test_informed_records_are_archived() -> None:
    assert plan("inform", [BLOCK]) == Work(archive=(BLOCK,))
    assert plan("inform", []) == Work()


def test_a_cluster_may_be_asked_for_and_about() -> None:
    assert plan("request", [CLUSTER]) == Work(wishes=(CLUSTER,))
    wish = Subscription(id="urn:uuid:s", topic="TrafficCluster")
    assert plan("subscribe", [wish]) == Work(subscriptions=(wish,))


def test_a_query_is_to_be_answered() -> None:
    assert plan("query-ref", [QUERY]) == Work(queries=(QUERY,))


@pytest.mark.parametrize("performative", ["inform", "refuse"])
def test_a_receiver_says_what_it_made_of_a_version(performative: str) -> None:
    assert plan(performative, [CHANGED]) == Work(reports=(CHANGED,))


@pytest.mark.parametrize("performative", ["agree", "refuse", "failure", "not-understood"])
def test_answers_to_our_subscriptions_are_taken_note_of(performative: str) -> None:
    assert plan(performative, [Subscription(id="urn:uuid:s", topic="Alert")]) == Work()
    assert plan(performative, []) == Work()


@pytest.mark.parametrize(
    ("performative", "records", "message"),
    [
        ("inform", [BLOCK, QUERY], "Query is not archived"),
        ("query-ref", [BLOCK], "wants Query, got Block"),
        ("query-ref", [], "got 0"),
        ("query-ref", [QUERY, QUERY], "got 2"),
        ("request", [BLOCK], "one TrafficCluster"),
        ("request", [CLUSTER, CLUSTER], "one TrafficCluster"),
        ("subscribe", [Subscription(id="urn:uuid:s", topic="Alert")], "not .'Alert'."),
        ("subscribe", [], "offers OntologyChanged, TrafficCluster, HostProfile, not"),
        ("agree", [BLOCK], "not agree"),
        ("agree", [CHANGED], "not agree"),
        ("inform", [CHANGED, BLOCK], "OntologyChanged is not archived"),
    ],
)
def test_anything_else_is_not_understood(
    performative: str, records: list[Record], message: str
) -> None:
    with pytest.raises(ServiceError, match=message):
        plan(performative, records)


def test_a_refusal_says_why_and_query_if_wants_ask() -> None:
    assert json.loads(to_refusal(QUERY, 'not "so"').results) == {"error": 'not "so"'}
    assert to_truth(QUERY, '{"head": {}, "boolean": false}').query == QUERY.id
    with pytest.raises(QueryRefused, match="wants ASK"):
        to_truth(QUERY, '{"head": {"vars": ["boolean"]}, "results": {}}')


@pytest.mark.parametrize("performative", ["query-ref", "query-if"])
def test_one_query_is_planned(performative: str) -> None:
    assert plan(performative, [QUERY]).queries == (QUERY,)
    with pytest.raises(ServiceError, match=f"{performative} wants one Query, got 2"):
        plan(performative, [QUERY, QUERY])


def test_a_request_is_one_wish_or_one_action() -> None:
    action = OntologyAction(id="urn:uuid:o", ontology_action="retract", fragment="")
    assert plan("request", [action]).actions == (action,)
    with pytest.raises(ServiceError, match="one TrafficCluster or one OntologyAction"):
        plan("request", [action, action])


def test_a_repeated_query_gets_the_same_answer_id() -> None:
    first, second = (to_answer(QUERY, "{}", truncated=True) for _ in range(2))
    assert first == second
    assert first.query == QUERY.id
    assert first.truncated
