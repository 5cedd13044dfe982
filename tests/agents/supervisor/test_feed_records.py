"""What a console is told: records that can be read together, in messages of bounded size."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.supervisor.feed_records import (
    PART_BYTES,
    ban_group,
    evidence_groups,
    pack,
    ruling_group,
    weight,
)
from ontology.fragments import decode, encode
from ontology.oversight import Ban, Receipt, Ruling
from ontology.records import Block, Decision
from tests.agents.factories import T0, S, decision, evidence, report

LIMIT = 150_000
"""Bytes of a message, below the 200 kB of a stanza."""


async def test_a_ban_comes_with_its_cause_and_a_block_for_each_gateway(operations, clock):
    made = decision()
    plan = await operations.decide(made, *evidence(made))
    await operations.report(report(made, "gw2"))
    await operations.report(report(made, "gw3", "refused", detail="allow-list"))
    entry = operations.ledger.entry(plan.entry.id)
    told = decode(encode(ban_group(entry)))
    ban, cause, *blocks = told
    assert isinstance(ban, Ban) and isinstance(cause, Decision)
    assert (ban.cause, ban.decision, ban.ban_state) == (made.id, made.id, "active")
    assert (cause.target, cause.reason) == (made.target, made.reason)
    assert {b.id for b in blocks} == set(ban.blocks)
    states = {b.gateway: b.state for b in blocks if isinstance(b, Block)}
    assert states == {"gw1": "pending", "gw2": "active", "gw3": "refused"}
    (confirmed,) = ban.confirmed
    assert next(b.gateway for b in blocks if b.id == confirmed) == "gw2"
    clock.turn(1)
    lifted = await operations.lift(entry.id, "mistake", "ana")
    ban, *_ = ban_group(lifted)
    assert (ban.ban_state, ban.ended_by, ban.ended_us) == ("lifted", "user:ana", T0 + S)
    # gw1 never had it and gw3 refused: only what still runs is not yet as wanted.
    assert {b.gateway for b in ban_group(lifted)[2:] if b.id in ban.confirmed} == {"gw3"}


def test_the_ids_are_the_same_however_often_it_is_told():
    made = decision()
    first, second = (ruling_group(made, "blocked", "", "urn:uuid:1", T0) for _ in range(2))
    assert first == second
    incident, alerts = evidence(made)
    for receipt, finding in evidence_groups((incident, *alerts), T0):
        assert isinstance(receipt, Receipt)
        assert receipt.received == (finding.id,)


def test_groups_stay_whole_and_no_record_is_twice_in_a_message():
    made = decision()
    groups = [ruling_group(made, "blocked", "", None, T0) for _ in range(3)]
    (part,) = pack(groups)
    assert sum(isinstance(r, Decision) for r in part) == 1
    parts = list(
        pack(
            [ruling_group(replace(made, id=f"urn:uuid:{n}"), "x", "", None, T0) for n in range(500)]
        )
    )
    assert len(parts) > 1
    for part in parts:
        decisions = {r.id for r in part if isinstance(r, Decision)}
        assert decisions == {r.decision for r in part if isinstance(r, Ruling)}
    assert list(pack([])) == []


text = st.text(st.characters(exclude_categories=("Cs",)), max_size=3000)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(text, min_size=1, max_size=60), st.integers(0, 40))
def test_no_message_is_larger_than_it_may_be(texts, targets):
    """Whatever attackers write: control characters take six bytes each in a fragment."""
    made = decision()
    incident, (alert, *_) = evidence(made)
    many = tuple(f"urn:uuid:{n:032d}" for n in range(targets))
    groups = []
    for n, hostile in enumerate(texts):
        groups.append(
            ruling_group(
                replace(made, id=f"urn:uuid:d{n}", reason=hostile), "blocked", hostile, None, T0
            )
        )
        told = (
            replace(incident, id=f"urn:uuid:i{n}", explanation=hostile, alerts=many),
            replace(alert, id=f"urn:uuid:a{n}", explanation=hostile),
        )
        groups += evidence_groups(told, T0)
    for part in pack(groups):
        size = len(encode(part).encode())
        assert size <= LIMIT
        assert size <= sum(map(weight, part)), "the estimate is an upper bound"
        assert sum(map(weight, part)) <= PART_BYTES or len(part) <= 2
