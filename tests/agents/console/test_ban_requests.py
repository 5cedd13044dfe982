"""Operators' requests to the supervisor, through its real operations."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from agents.base.conversations import RefusedByPeer
from agents.console.action_errors import ActionError
from ontology.oversight import BanAction
from tests.agents.factories import urn

SOURCE = ip_address("203.0.113.50")


async def test_what_an_operator_does_is_done_in_his_name_and_shown_at_once(link, operations, post):
    bans, store = link.console.bans, link.console.store
    made = await bans.block(SOURCE, 600, "by hand", "ana")
    assert (made.origin, made.classification, made.state) == ("user:ana", "Manual", "active")
    assert store.block(made.id) == made, "who reads after writing reads what was written"
    assert len(post.take()) == 3
    longer = await bans.change("extend", made.id, "still there", "ana", seconds=300)
    assert longer.expires_us == made.expires_us + 300_000_000
    lifted = await bans.change("lift", made.id, "enough", "bob")
    assert (lifted.state, lifted.ended_by) == ("lifted", "user:bob")
    who = [line.who for line in operations.ledger.audit_trail(limit=9)]
    assert who == ["user:bob", "user:ana", "user:ana"]
    await link.flush()
    assert store.block(made.id) == lifted


async def test_a_request_that_comes_twice_is_done_once(link, operations, post):
    action = BanAction(
        id=urn("action"),
        ban_action="block",
        source=SOURCE,
        duration_s=600,
        origin="user:ana",
        reason="x",
    )
    first = await operations.act(action)
    post.take()
    assert await operations.act(action) == first
    assert post.take() == []
    extend = BanAction(
        id=urn("longer"),
        ban_action="extend",
        ban=first[0].id,
        duration_s=60,
        origin="user:ana",
        reason="x",
    )
    longer = await operations.act(extend)
    assert await operations.act(extend) == longer


@pytest.mark.parametrize(
    ("action", "kind", "why"),
    [
        (lambda b: b.block(ip_address("10.0.1.1"), 60, "x", "ana"), "refused", "node gw1"),
        (lambda b: b.block(SOURCE, 8 * 86400, "x", "ana"), "refused", "at most"),
        (lambda b: b.change("lift", urn("none"), "x", "ana"), "unknown", "no such block"),
        (
            lambda b: b.change("extend", urn("none"), "x", "ana", seconds=60),
            "unknown",
            "no such block",
        ),
        (lambda b: b.change("lift", "no id at all", "x", "ana"), "unknown", "no such block"),
    ],
)
async def test_what_must_not_be_is_refused_with_the_reason(link, action, kind, why):
    with pytest.raises(ActionError, match=why) as caught:
        await action(link.console.bans)
    assert caught.value.kind == kind


async def test_what_is_over_has_ended(link):
    bans = link.console.bans
    made = await bans.block(SOURCE, 600, "by hand", "ana")
    await bans.change("lift", made.id, "enough", "ana")
    for again in (
        bans.change("lift", made.id, "x", "ana"),
        bans.change("extend", made.id, "x", "ana", seconds=60),
    ):
        with pytest.raises(ActionError) as caught:
            await again
        assert caught.value.kind == "ended"


async def test_a_silent_supervisor_is_said_to_be_silent(link):
    link.silent.add("supervisor")
    with pytest.raises(ActionError, match="the supervisor does not answer") as caught:
        await link.console.bans.block(SOURCE, 60, "x", "ana")
    assert caught.value.kind == "supervisor silent"


async def test_the_message_layer_s_refusal_is_one(link, monkeypatch):
    async def refuse(*_):
        raise RefusedByPeer("supervisor", "refuse", "role")

    monkeypatch.setattr(link.console.bans, "_ask", refuse)
    with pytest.raises(ActionError, match="role") as caught:
        await link.console.bans.block(SOURCE, 60, "x", "ana")
    assert caught.value.kind == "refused"


async def test_a_scope_id_goes_no_further_than_the_console(link, operations):
    """It is free text, and no fragment can hold it."""
    made = await link.console.bans.block(ip_address("2001:db8::9%<b>"), 60, "by hand", "ana")
    assert made.source == ip_address("2001:db8::9")
