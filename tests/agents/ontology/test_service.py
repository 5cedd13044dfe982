"""What the ontology agent makes of a message, without bus or store."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from agents.ontology.query import QueryRefused
from agents.ontology.service import ServiceError, Work, plan, to_answer
from ontology.records import Block, Query, Record, Subscription

BLOCK = Block(
    id="urn:uuid:b",
    decision="urn:uuid:d",
    gateway="gw1",
    source=ip_address("192.0.2.7"),
    state="active",
    since_us=1,
    expires_us=2,
)
QUERY = Query(id="urn:uuid:q", sparql="ASK { ?a a idps:Alert }")


def test_informed_records_are_archived() -> None:
    assert plan("inform", [BLOCK]) == Work(archive=(BLOCK,))
    assert plan("inform", []) == Work()


def test_a_query_is_to_be_answered() -> None:
    assert plan("query-ref", [QUERY]) == Work(queries=(QUERY,))


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
        ("request", [BLOCK], "not request"),
        ("agree", [BLOCK], "not agree"),
    ],
)
def test_anything_else_is_not_understood(
    performative: str, records: list[Record], message: str
) -> None:
    with pytest.raises(ServiceError, match=message):
        plan(performative, records)


def test_a_forbidden_query_is_refused_before_it_is_asked() -> None:
    with pytest.raises(QueryRefused, match="SERVICE"):
        plan("query-ref", [Query(id="urn:uuid:q", sparql="SELECT * { SERVICE <http://x/> {} }")])


def test_a_repeated_query_gets_the_same_answer_id() -> None:
    first, second = (to_answer(QUERY, "{}", truncated=True) for _ in range(2))
    assert first == second
    assert first.query == QUERY.id
    assert first.truncated
