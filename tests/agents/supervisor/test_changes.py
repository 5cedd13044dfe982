"""Operators' changes of the knowledge: what is asked, what is answered, what the trail says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agents.base.conversations import NoAnswer, RefusedByPeer, Reply
from agents.messages.acl import AclMessage
from agents.supervisor.changes import FACTS_LIMIT_S, RENAMING_LIMIT_S, Changes
from ontology.records import OntologyAction, TrafficCluster

RENAMING = TrafficCluster(
    id="urn:ontoidps:cluster:00:1",
    model_digest="0" * 64,
    cluster_number=1,
    cluster_name="own scanner",
    traffic_class="Normal",
    purity=1.0,
    radius=1.0,
    member_count=1,
    case_count=0,
    detail="user:ana: ticket 4711",
)
FACTS = OntologyAction(
    id="urn:uuid:1", ontology_action="assert", fragment="<a>  <b> <c> .", detail="user:ana: why not"
)


class Ontology:
    """An ontology agent that answers as it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, float]] = []
        self.answer: Exception | None = None

    async def __call__(self, record, limit_s):
        self.asked.append((record, limit_s))
        if self.answer is not None:
            raise self.answer
        message = AclMessage(
            performative="inform", sender="o@x.test", receivers=("s@x.test",), content="-"
        )
        return Reply(message, (replace(record, detail="facts+1"),))


@pytest.fixture
def ontology():
    return Ontology()


@pytest.fixture
def changes(ledger, clock, ontology):
    return Changes(ledger, clock, ontology)


async def test_what_is_done_is_passed_on_and_kept(changes, ontology, ledger):
    outcome, answer = await changes.make(RENAMING)
    assert (outcome, answer.cluster_name) == ("inform", "own scanner")
    outcome, answer = await changes.make(FACTS)
    assert (outcome, answer.detail) == ("inform", "facts+1")
    assert ontology.asked == [(RENAMING, RENAMING_LIMIT_S), (FACTS, FACTS_LIMIT_S)]
    facts, renaming = ledger.audit_trail(limit=9)
    assert (renaming.who, renaming.what, renaming.subject) == (
        "user:ana",
        "cluster renamed",
        "cluster 1",
    )
    assert renaming.reason == "'own scanner', Normal: ticket 4711"
    assert (facts.who, facts.what) == ("user:ana", "facts asserted")
    assert facts.reason == "why not: facts+1: <a> <b> <c> ."
    await changes.make(replace(FACTS, ontology_action="disable", fragment="ScanThenExploit"))
    line = ledger.audit_trail(limit=1)[0]
    assert (line.what, line.subject, line.reason) == (
        "rule disabled",
        "ScanThenExploit",
        "why not: facts+1",
    )


@pytest.mark.parametrize("wanted", [RENAMING, FACTS, replace(FACTS, ontology_action="enable")])
@pytest.mark.parametrize(
    ("said", "outcome", "why"),
    [
        (RefusedByPeer("o", "refuse", "", ()), "refuse", "refused"),
        (RefusedByPeer("o", "refuse", "role", ()), "refuse", "role"),
        (NoAnswer("o", 5.0), "failure", "nothing was changed, as far as we know"),
        (RuntimeError("256 questions wait already"), "failure", "has not answered;"),
    ],
)
async def test_what_is_not_done_is_answered_and_kept(
    changes, ontology, ledger, wanted, said, outcome, why
):
    ontology.answer = said
    became, answer = await changes.make(wanted)
    assert became == outcome
    assert why in answer.detail
    assert replace(answer, detail=wanted.detail) == wanted
    (line,) = ledger.audit_trail(limit=9)
    assert line.who == "user:ana"
    assert line.what.endswith("refused" if outcome == "refuse" else "unanswered")


async def test_the_refusal_of_the_ontology_agent_is_what_is_said(changes, ontology):
    ontology.answer = RefusedByPeer("o", "refuse", "", (replace(FACTS, detail="READ-ONLY: no"),))
    assert (await changes.make(FACTS))[1].detail == "READ-ONLY: no"
