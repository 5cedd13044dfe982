"""The console's object: what is told becomes what is read and streamed."""

from __future__ import annotations

import json
from contextlib import aclosing

from tests.agents.factories import decision, describe, evidence, report


async def test_the_store_says_what_the_ledger_says(link, operations, settings, clock):
    """Whatever happened, and in both ways of being told: change by change, and as a snapshot."""
    store = link.console.store

    async def compare():
        await link.flush()
        entries = operations.ledger.entries(limit=99)
        shown = [json.loads(text) for text in store.blocks(limit=99)]
        assert [b["id"] for b in shown] == [e.id for e in entries]
        for block, entry in zip(shown, entries, strict=True):
            assert block["state"] == entry.state
            assert (block["since_us"], block["expires_us"]) == (entry.since_us, entry.expires_us)
            assert (block["ended_us"], block["ended_by"]) == (entry.ended_us, entry.ended_by)
            assert block["decision"] == entry.decision.id
            assert block["settled"] == all(map(entry.confirmed, entry.gateways))
            assert [
                (g["gateway"], g["wanted"], g["state"], g["confirmed"], g["detail"])
                for g in block["gateways"]
            ] == [
                (g.gateway, g.wanted, g.state, entry.confirmed(g), g.detail) for g in entry.gateways
            ]
            why, detail = operations.ledger.explain(entry.id), json.loads(store.detail(entry.id))
            assert [d["decision"]["id"] for d in detail["decisions"]] == [
                r.decision.id for r in why.rulings
            ]
            assert [d["outcome"] for d in detail["decisions"]] == [r.outcome for r in why.rulings]
            assert {i["id"] for i in detail["incidents"]} == {i.id for i in why.incidents}
            assert [a["id"] for a in detail["alerts"]] == [a.id for a in why.alerts]
        lines = operations.ledger.audit_trail(limit=999)
        assert [json.loads(t)["hash"] for t in store.audit(limit=999)] == [x.hash for x in lines]
        incidents = operations.ledger.incidents(99)
        assert [
            (json.loads(t)["incident"]["id"], json.loads(t)["received_us"])
            for t in store.incidents(99)
        ] == [(i.id, at) for i, at in incidents]

    first, second = decision("d1"), decision("d2", "203.0.113.10", duration_s=60)
    await operations.register(
        describe(settings, "reaction", "gw1"), settings.jid("reaction", "gw1")
    )
    await operations.decide(first, *evidence(first))
    await operations.decide(second, *evidence(second))
    await compare()
    clock.turn(1)
    await operations.report(report(first, "gw1", at_us=clock()))
    await operations.report(report(first, "gw2", "failed", clock(), detail="no memory"))
    await operations.decide(decision("d3", duration_s=100), None, ())
    await compare()
    clock.turn(1)
    longer = decision("d4", duration_s=5000)
    await operations.decide(longer, *evidence(longer))
    await compare()
    clock.turn(60)
    await operations.sweep()
    await compare()
    await operations.lift(operations.ledger.entry_of_decision(first.id).id, "mistake", "ana")
    await operations.decide(decision("d5"), None, ())
    await compare()
    states = {a.name: a.state for a in link.console.agents()}
    assert states[settings.jid("reaction", "gw1")] == "silent"
    assert states[settings.jid("reaction", "gw2")] == "absent"
    await link.follow()  # a snapshot tells the same
    await compare()
    assert max(link.sizes) <= 150_000


async def test_viewers_hear_of_changes_and_read_anew_after_a_snapshot(link, operations):
    async with aclosing(link.console.hub.stream("s", lambda: True)) as stream:
        assert b"hello" in await anext(stream)
        await operations.decide(decision(), None, ())
        await link.flush()
        assert b'"blocks":[{"id"' in await anext(stream)
        await link.follow()
        assert b"event: resync" in await anext(stream)


async def test_what_people_do_here_is_noted_there(link, operations):
    await link.console.note("ana", "login", "as operator")
    (line,) = operations.ledger.audit_trail(limit=1)
    assert (line.who, line.what, line.subject, line.reason) == (
        "user:ana",
        "login",
        "ana",
        "as operator",
    )
    await link.console.note("\ud800", "login failed")
    assert link.console.counters["notes_unwritten"] == 1


async def test_every_agent_of_the_file_is_listed(link, settings):
    names = [a.name for a in link.console.agents()]
    assert names == [settings.jid(role, node) for role, node in settings.agents()]
