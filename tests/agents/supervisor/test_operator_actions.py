"""What people do about what waits for them, with a real ledger."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agents.settings.modes import Mode
from agents.supervisor.errors import ServiceError
from agents.supervisor.operations import Operations
from ontology.oversight import BanAction


@pytest.fixture
def make(settings, ledger, clock, post):
    """A supervisor whose gateways have these modes; classes and rules as well."""

    def made(gateways: tuple[Mode, ...] = (), **named: Mode) -> Operations:
        nodes = [
            node.model_copy(update={"mode": mode})
            for node, mode in zip(settings.node, gateways or ("enforce",) * 3, strict=True)
        ]
        policy = settings.policy.model_copy(update={"modes": named, "approval_time": 600})
        changed = settings.model_copy(update={"node": tuple(nodes), "policy": policy})
        return Operations(changed, ledger, clock=clock, send=post.send, archive=post.archive)

    return made


def states(operations, made) -> list[str]:
    return [g.state for g in operations.ledger.entry_of_decision(made.id).gateways]


async def test_shadow_orders_nothing_and_tells_what_would_have_been(make, kit, post, clock):
    told: list[object] = []

    async def publish(entries):
        told.extend(entries)

    operations = make(HoneypotBruteForceIncident="shadow")
    operations._publish = publish
    made = kit.decision()
    plan = await operations.decide(made, *kit.evidence(made), ordered_at="gw1")
    assert (plan.outcome, plan.accepted, plan.entry.held) == ("held", True, "shadow")
    assert states(operations, made) == ["shadow"] * 3
    for _ in range(40):
        clock.turn(1)
        await operations.sweep()
    assert (post.take(), told) == ([], [])
    again = replace(kit.decision("d2"), decided_us=clock())
    assert (await operations.decide(again, *kit.evidence(again))).outcome == "held"
    assert operations.ledger.counts()["entry"] == 1, "one entry a source"
    clock.turn(901)
    await operations.sweep()
    (over,) = operations.ledger.entries(limit=9)
    assert (over.state, [g.state for g in over.gateways]) == ("expired", ["shadow"] * 3)


async def test_a_mode_of_a_rule_holds_back_what_its_incident_rests_on(make, kit, post):
    operations = make(ScanThenBruteForce="approve")
    made, bare = kit.decision(), kit.decision("d2", "203.0.113.10")
    assert (await operations.decide(made, *kit.evidence(made))).outcome == "held"
    assert (await operations.decide(bare, None, ())).outcome == "blocked"
    assert {o.decision.source for o in post.take()} == {bare.source}


async def test_an_approval_is_an_order_and_lasts_as_long_as_was_decided(make, kit, post, clock):
    operations = make(("approve", "approve", "shadow"))
    made = kit.decision()
    await operations.decide(made, *kit.evidence(made))
    assert states(operations, made) == ["waiting", "waiting", "shadow"]
    entry = operations.ledger.entry_of_decision(made.id)
    assert entry.remaining_s(clock()) == 600, "it waits for policy.approval_time"
    clock.turn(300)
    approved = await operations.approve(entry.id, "looked at it", "ana", kit.urn("yes"))
    assert approved.remaining_s(clock()) == 900
    assert (approved.id, approved.cause) == (entry.id, made), "why it is blocked is still known"
    orders = post.take()
    assert [o.gateway for o in orders] == ["gw1", "gw2"]
    assert {o.decision.origin for o in orders} == {"user:ana"}
    assert {o.decision.incident for o in orders} == {made.incident}
    (line,) = operations.ledger.audit_trail(limit=1)
    assert (line.who, line.what, line.subject) == ("user:ana", "block: blocked", entry.id)
    with pytest.raises(ServiceError, match="waits for nobody"):
        await operations.veto(entry.id, "no", "bob")


async def test_a_veto_prevents_it_and_nothing_is_ordered_to_block(make, kit, post):
    operations = make(("approve",) * 3)
    made = kit.decision()
    await operations.decide(made, *kit.evidence(made))
    entry = operations.ledger.entry_of_decision(made.id)
    assert entry.expires_us == kit.T0 + 600 * kit.S, "it waits for policy.approval_time"
    vetoed = await operations.veto(entry.id, "own scanner", "ana")
    assert (vetoed.state, vetoed.ended_by) == ("lifted", "user:ana")
    assert {o.decision.action for o in post.take()} <= {"unblock"}
    late = replace(kit.decision("late"), decided_us=kit.T0 - 1)
    assert (await operations.decide(late, None, ())).outcome == "refused"
    with pytest.raises(ServiceError, match="already ended"):
        await operations.approve(entry.id, "yes", "ana")


async def test_a_veto_leaves_what_other_gateways_block(make, kit, post):
    operations = make(("enforce", "approve", "enforce"))
    made = kit.decision()
    await operations.decide(made, *kit.evidence(made))
    assert [o.gateway for o in post.take()] == ["gw1", "gw3"]
    entry = operations.ledger.entry_of_decision(made.id)
    vetoed = await operations.veto(entry.id, "not there", "ana")
    assert (vetoed.state, vetoed.on("gw2").state) == ("active", "refused")
    assert "user:ana" in vetoed.on("gw2").detail
    assert post.take() == []
    assert operations.ledger.unconfirmed("gw2", kit.T0) == ()


async def test_what_waits_ends_when_nobody_approves(make, kit, post, clock):
    operations = make(("approve",) * 3)
    made = kit.decision()
    await operations.decide(made, None, ())
    clock.turn(601)
    await operations.sweep()
    entry = operations.ledger.entry_of_decision(made.id)
    assert (entry.state, states(operations, made)) == ("expired", ["expired"] * 3)
    assert post.take() == []


async def test_a_gateway_that_came_back_gets_nothing_that_waits(make, settings, kit, post):
    operations = make(("approve", "enforce", "enforce"))
    made = kit.decision()
    await operations.decide(made, None, ())
    post.take()
    for name in ("gw1", "gw2"):
        await operations.register(
            kit.describe(settings, "reaction", name), settings.jid("reaction", name)
        )
    assert {o.gateway for o in post.take()} == {"gw2"}


async def test_what_runs_stays_when_a_mode_would_hold_back_more(make, kit, clock):
    made = kit.decision()
    await make().decide(made, None, ())
    clock.turn(10)
    more = replace(kit.decision("d2", duration_s=3600), decided_us=clock())
    plan = await make(("shadow",) * 3).decide(more, None, ())
    assert (plan.outcome, plan.entry) == ("covered", None)
    whose = (f"mode shadow of gateway gw{number}" for number in (1, 2, 3))
    assert plan.detail == f"{'; '.join(whose)}: the block that runs stays as it is"


async def test_what_was_approved_runs_on_where_more_would_wait(make, kit, post, clock):
    operations = make(("enforce", "approve", "approve"))
    made = kit.decision()
    entry = (await operations.decide(made, None, ())).entry
    await operations.approve(entry.id, "yes", "ana")
    (approval, *_) = {o.decision for o in post.take() if o.decision.origin == "user:ana"}
    await operations.report(kit.report(approval, "gw2", at_us=clock()))
    clock.turn(10)
    more = replace(kit.decision("more", duration_s=3600), decided_us=clock())
    longer = (await operations.decide(more, None, ())).entry
    assert [(g.wanted, g.state) for g in longer.gateways] == [
        ("block", "pending"),
        ("block", "active"),
        ("block", "pending"),
    ]


async def test_an_extension_is_no_approval(make, kit):
    operations = make(("approve",) * 3)
    made = kit.decision()
    await operations.decide(made, None, ())
    entry = operations.ledger.entry_of_decision(made.id)
    with pytest.raises(ServiceError, match="not blocked anywhere"):
        await operations.extend(entry.id, 60, "more", "ana")


async def test_a_person_who_blocks_waits_for_nobody(make, kit, post, clock):
    operations = make(("approve", "shadow", "enforce"), Manual="shadow")
    entry = await operations.block(kit.decision().source, 600, "seen", "ana")
    assert [g.state for g in entry.gateways] == ["pending", "shadow", "pending"]
    assert [o.gateway for o in post.take()] == ["gw1", "gw3"]


async def act(operations, kit, name: str, what: str, ban: str | None = None, seconds: int = 0):
    action = BanAction(
        id=kit.urn(name),
        ban_action=what,  # type: ignore[arg-type]
        ban=ban,
        duration_s=seconds,
        origin="user:ana",
        reason=name,
    )
    first = await operations.act(action)
    assert await operations.act(action) == first, "once, however often it comes"
    return operations.ledger.entry(first[0].id)


async def test_a_shortened_block_is_ordered_and_can_be_undone(make, kit, post, clock):
    operations = make()
    made = kit.decision()
    entry = (await operations.decide(made, None, ())).entry
    post.take()
    short = await act(operations, kit, "short", "shorten", entry.id, 600)
    assert short.remaining_s(clock()) == 300
    assert [(o.gateway, o.decision.duration_s, o.decision.origin) for o in post.take()] == [
        (name, 300, "user:ana") for name in kit.GATEWAYS
    ]
    clock.turn(100)
    assert (await act(operations, kit, "back", "undo")).remaining_s(clock()) == 800
    assert {o.decision.duration_s for o in post.take()} == {800}
    assert (await act(operations, kit, "forth", "undo")).remaining_s(clock()) == 200
    with pytest.raises(ServiceError, match="nothing would be left"):
        await operations.shorten(entry.id, 300, "x", "ana")
    said = [line.what for line in operations.ledger.audit_trail(limit=3)]
    assert said == ["block: shortened", "block: extended", "block: shortened"]


async def test_a_lift_is_undone_for_what_remains(make, kit, post, clock):
    operations = make()
    made = kit.decision()
    entry = (await operations.decide(made, *kit.evidence(made))).entry
    await act(operations, kit, "lift", "lift", entry.id, 600)
    post.take()
    clock.turn(100)
    again = await act(operations, kit, "oops", "undo")
    assert (again.state, again.remaining_s(clock())) == ("active", 800)
    assert again.cause.classification == made.classification
    assert [o.decision.action for o in post.take()] == ["block"] * 3
    with pytest.raises(ServiceError, match="bob has done nothing"):
        await operations.undo("x", "bob")


async def test_what_a_person_blocked_is_lifted_by_undo_and_too_late_is_said(make, kit, post, clock):
    operations = make()
    await operations.block(kit.decision().source, 60, "by hand", "ana")
    assert (await act(operations, kit, "undo", "undo")).state == "lifted"
    clock.turn(100)
    with pytest.raises(ServiceError, match="would have ended by now"):
        await operations.undo("x", "ana")


async def test_a_veto_is_undone_and_waits_again(make, kit, post):
    operations = make(("approve",) * 3)
    made = kit.decision()
    entry = (await operations.decide(made, None, ())).entry
    assert (await act(operations, kit, "no", "veto", entry.id, 600)).state == "lifted"
    again = await act(operations, kit, "oops", "undo")
    assert (again.id, again.held) == (entry.id, "waiting")
    with pytest.raises(ServiceError, match="waits again already"):
        await operations.undo("x", "ana")
    post.take()
    await operations.approve(entry.id, "yes", "bob")
    assert len(post.take()) == 3


async def test_a_lift_holds_against_the_same_for_its_grace(make, kit, clock):
    operations = make()
    made = kit.decision()
    entry = (await operations.decide(made, None, ())).entry
    clock.turn(1)
    lifted = await act(operations, kit, "lift", "lift", entry.id, 600)
    (unblock,) = [
        r.decision
        for r in operations.ledger.explain(lifted.id).rulings
        if r.decision.action == "unblock"
    ]
    assert unblock.duration_s == 600, "gateways hold it against the cells of their nodes"
    clock.turn(599)
    same = replace(kit.decision("same"), decided_us=clock())
    plan = await operations.decide(same, None, ())
    assert (plan.outcome, "for another 1 s" in plan.detail) == ("refused", True)
    worse = replace(kit.decision("worse"), decided_us=clock(), classification="FloodIncident")
    assert (await operations.decide(worse, None, ())).outcome == "blocked"
    await operations.lift(operations.ledger.active_for(made.source).id, "x", "ana")
    clock.turn(2)
    later = replace(kit.decision("later"), decided_us=clock())
    assert (await operations.decide(later, None, ())).outcome == "blocked"
