"""Parts of a feed: in order whatever the order of their coming, none twice, gaps are known."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.console.feed_intake import Intake, PartOrder
from ontology.oversight import Ban, FeedPart, Receipt
from ontology.records import Block
from tests.agents.factories import T0, S, decision, evidence, report, urn


def part(number: int, feed: str = "f", *, opens: bool = False, closes: bool = False) -> FeedPart:
    return FeedPart(
        id=urn(f"{feed}-{number}"),
        feed=feed,
        part_number=number,
        opens_snapshot=opens,
        closes_snapshot=closes,
    )


def ban(state: str = "active", name: str = "b1", **changes: object) -> tuple:
    """A ban as the supervisor tells it."""
    made = decision()
    block = report(made, "gw1")
    told = Ban(
        id=urn(name),
        source=made.source,
        cause=made.id,
        decision=made.id,
        ban_state=state,
        since_us=T0,
        expires_us=T0 + 900 * S,
        blocks=(block.id,),
        **changes,
    )
    return (told, made, block)


@given(st.permutations(range(1, 12)), st.integers(0, 10))
def test_parts_come_out_in_order_and_once(order, repeated):
    parts = PartOrder()
    out = []
    for number in [*order, order[repeated % len(order)]]:
        out += parts.accept(part(number, opens=number == 1), ())
    assert [p.part_number for p, _ in out] == list(range(1, 12))
    assert not parts.missing


def test_a_gap_is_known_until_it_is_filled():
    parts = PartOrder()
    assert len(parts.accept(part(1, opens=True), ())) == 1
    assert parts.accept(part(3), ()) == []
    assert parts.missing
    assert [p.part_number for p, _ in parts.accept(part(2), ())] == [2, 3]
    assert not parts.missing


def test_a_new_feed_takes_over_and_late_parts_of_the_old_one_are_nothing():
    parts = PartOrder()
    parts.accept(part(1, opens=True), ())
    parts.accept(part(3), ())
    assert parts.accept(part(2, "new"), ()) == []  # overtook the part that opens its feed
    assert [p.part_number for p, _ in parts.accept(part(1, "new", opens=True), ())] == [1, 2]
    assert parts.accept(part(2), ()) == []
    assert not parts.missing
    assert parts.feed == "new"


def test_what_waits_is_bounded():
    parts = PartOrder()
    for number in range(2, 500):
        parts.accept(part(number), ())
    assert len(parts._early) == 64


def test_a_snapshot_is_read_as_a_whole_then_changes_one_by_one(store):
    intake = Intake(store)
    made = decision()
    incident, alerts = evidence(made)
    receipt = Receipt(id=urn("r"), received=(incident.id, alerts[0].id), received_us=T0 + 5)
    assert not intake.complete
    assert intake.take((part(1, opens=True),)).changed == []
    news = intake.take((part(2), *ban(), receipt, incident, *alerts))
    assert (news.changed, news.anew) == ([], False)
    news = intake.take((part(3, closes=True),))
    assert (news.changed, news.anew) == ([], True)
    assert intake.complete
    (found,) = store.incidents(9)
    assert json.loads(found)["received_us"] == T0 + 5
    assert len(store.alerts(9)) == 1, "an alert that nobody says the time of is not shown"
    news = intake.take((part(4), *ban("lifted", ended_us=T0 + 9, ended_by="user:ana")))
    ((topic, key, view),) = news.changed
    assert (topic, key, view.state, view.ended_by) == ("blocks", urn("b1"), "lifted", "user:ana")
    assert store.block(urn("b1")) == view


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ((), "begins with its FeedPart"),
        ((decision(),), "begins with its FeedPart"),
        ((part(1, opens=True), ban()[0]), "does not come with"),
    ],
)
def test_a_message_that_can_not_be_read_alone_is_refused(store, records, message):
    with pytest.raises(ValueError, match=message):
        Intake(store).take(records)
    assert store.blocks(limit=9) == []


def test_after_a_full_disk_the_feed_is_lost_and_another_one_makes_it_good(store, monkeypatch):
    intake = Intake(store)
    intake.take((part(1, opens=True),))
    intake.take((part(2, closes=True),))
    assert not intake.behind

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "put_block", full)
        with pytest.raises(sqlite3.Error):
            intake.take((part(3), *ban()))
    assert intake.behind
    assert intake.take((part(3), *ban())).changed == [], "it comes again, and is of no use"
    assert intake.take((part(4),)).changed == []
    assert intake.behind
    intake.take((part(1, "new", opens=True),))
    intake.take((part(2, "new"), *ban()))
    assert intake.take((part(3, "new", closes=True),)).anew
    assert not intake.behind
    assert len(store.blocks(limit=9)) == 1


def test_an_answer_counts_unless_the_feed_has_told_newer(store):
    intake = Intake(store)
    intake.take((part(1, opens=True),))
    intake.take((part(2, closes=True),))
    asked_at = intake.parts
    assert intake.take_answer(ban(), asked_at).changed
    asked_at = intake.parts
    intake.take((part(3), *ban("lifted")))
    assert not intake.take_answer(ban(), asked_at).changed
    assert store.block(urn("b1")).state == "lifted"


def test_a_gateway_that_does_what_is_wanted_is_what_the_supervisor_says(store):
    told, cause, block = ban()
    late = replace(block, id=urn("other"), gateway="gw2", state="pending", expires_us=0)
    told = replace(told, blocks=tuple(sorted((block.id, late.id))), confirmed=(block.id,))
    intake = Intake(store)
    intake.take((part(1, opens=True), told, cause, block, late))
    view = store.block(told.id)
    assert [(g.gateway, g.confirmed, g.wanted) for g in view.gateways] == [
        ("gw1", True, "block"),
        ("gw2", False, "block"),
    ]
    assert not view.settled
    assert isinstance(block, Block)
