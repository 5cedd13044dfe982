"""The supervisor's operations, with a real ledger; orders land in a list."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from agents.supervisor.catching_up import PART, CatchingUp
from agents.supervisor.directory import DirectoryError
from agents.supervisor.errors import ServiceError
from agents.supervisor.operations import Operations
from ontology.blocks_in_force import sum_up
from ontology.records import AgentDescription, BlocksInForce, GatewayAddresses


async def confirm(operations, kit, made, state="active", at_us=None, gateways=None):
    for name in gateways or kit.GATEWAYS:
        assert await operations.report(kit.report(made, name, state, at_us or operations.clock()))


async def test_a_decision_is_ruled_once_however_often_it_comes(operations, post, kit):
    made = kit.decision()
    plan = await operations.decide(made, *kit.evidence(made))
    assert (plan.outcome, len(post.take())) == ("blocked", 3)
    again = await operations.decide(made, *kit.evidence(made))
    assert (again.outcome, again.accepted, post.take()) == ("known", True, [])
    assert operations.ledger.counts()["entry"] == 1
    assert operations.counters["decisions_repeated"] == 1


async def test_a_refusal_is_kept_and_repeated(operations, post, kit):
    made = kit.decision(source="198.51.100.3")
    for _ in range(2):
        plan = await operations.decide(made, None, ())
        assert not plan.accepted
        assert "allow-list" in plan.detail
    assert post.orders == []
    (line,) = operations.ledger.audit_trail(limit=9)
    assert line.what == "block: refused"


async def test_reports_reach_the_entry_by_either_decision(operations, kit, clock):
    made = kit.decision()
    await operations.decide(made, None, ())
    await confirm(operations, kit, made)
    entry = operations.ledger.entry_of_decision(made.id)
    assert [g.state for g in entry.gateways] == ["active"] * 3
    clock.turn(1)
    lifted = await operations.lift(entry.id, "mistake", "ana")
    (unblock,) = {r.decision for r in operations.ledger.explain(entry.id).rulings} - {made}
    clock.turn(1)
    await confirm(operations, kit, unblock, "lifted", gateways=["gw1"])
    await confirm(operations, kit, made, "lifted", gateways=["gw2"])
    assert [g.state for g in operations.ledger.entry(lifted.id).gateways] == [
        "lifted",
        "lifted",
        "active",
    ]


async def test_a_report_about_nothing_is_counted_not_believed(operations, kit):
    for state in ("expired", "lifted", "refused"):
        assert not await operations.report(kit.report(kit.decision("unheard"), "gw1", state))
    assert not await operations.report(kit.report(kit.decision("unheard"), "gw9"))
    protected = kit.decision("unheard", "198.51.100.3")
    assert not await operations.report(kit.report(protected, "gw1"))
    assert operations.counters["reports_unknown"] == 5
    assert operations.ledger.counts()["entry"] == 0


async def test_what_a_node_blocked_alone_is_adopted_and_ordered_nowhere(
    operations, settings, post, kit, clock
):
    """The supervisor was away: a gateway reports a block that nobody told it of."""
    for name in kit.GATEWAYS:
        jid = settings.jid("reaction", name)
        await operations.register(kit.describe(settings, "reaction", name), jid)
    made = kit.decision("unheard")
    assert await operations.report(kit.report(made, "gw2"))
    (entry,) = operations.ledger.active(clock())
    assert (entry.reach, entry.decision.id, entry.remaining_s(clock())) == (
        "reported",
        made.id,
        900,
    )
    assert [(g.gateway, g.state) for g in entry.gateways] == [("gw2", "active")]
    assert "gw2" in entry.cause.reason
    for _ in range(40):
        clock.turn(1)
        await operations.sweep()
    assert post.take() == []
    # Then its decision comes: every gateway shall do it, and gw2 has it.
    plan = await operations.decide(made, *kit.evidence(made), ordered_at="gw2")
    assert (plan.outcome, plan.entry.reach) == ("blocked", "everywhere")
    assert plan.entry.cause.reason == made.reason
    assert [o.gateway for o in post.take()] == ["gw1", "gw3"]
    assert operations.ledger.counts()["entry"] == 1


async def test_an_adopted_block_ends_when_its_gateway_says_so(operations, kit, clock):
    made = kit.decision("unheard")
    await operations.report(kit.report(made, "gw2"))
    clock.turn(5)
    await operations.report(kit.report(made, "gw2", "lifted", clock()))
    (entry,) = operations.ledger.entries(limit=9)
    assert (entry.state, entry.ended_by) == ("lifted", "gateway gw2")


async def test_a_late_report_of_a_lifted_block_leaves_none_behind(operations, post, kit, clock):
    made, alone = kit.decision("d1"), kit.decision("d2")
    await operations.decide(made, None, ())
    entry = await operations.lift(operations.ledger.entry_of_decision(made.id).id, "mistake", "ana")
    await operations.report(kit.report(alone, "gw2"))  # was under way
    clock.turn(1)
    (unblock,) = {o.decision for o in post.take() if o.decision.action == "unblock"}
    await operations.report(kit.report(unblock, "gw2", "lifted", clock()))
    assert operations.ledger.active(clock()) == ()
    assert operations.ledger.entry(entry.id).state == "lifted"


async def test_what_a_node_ordered_itself_is_not_ordered_there_again(
    operations, settings, post, kit, clock
):
    for name in kit.GATEWAYS:
        jid = settings.jid("reaction", name)
        await operations.register(kit.describe(settings, "reaction", name), jid)
    made = kit.decision()
    await operations.decide(made, *kit.evidence(made), ordered_at="gw1")
    assert [o.gateway for o in post.take()] == ["gw2", "gw3"]
    await confirm(operations, kit, made)
    for _ in range(40):
        clock.turn(1)
        await operations.sweep()
        for name in kit.GATEWAYS:
            jid = settings.jid("reaction", name)
            await operations.register(kit.describe(settings, "reaction", name), jid)
    assert post.take() == []


async def test_a_gateway_that_came_back_gets_what_it_lacks_and_no_more(
    settings, ledger, post, kit, clock
):
    """It is asked what it has; how many blocks there are plays no part."""
    asked: list[BlocksInForce] = []

    async def ask(believed):
        asked.append(believed)

    operations = Operations(
        settings, ledger, clock=clock, send=post.send, archive=post.archive, ask=ask
    )
    made = [kit.decision(f"d{n}", f"203.0.113.{n}") for n in range(1, 40)]
    for one in made:
        await operations.decide(one, None, ())
        await confirm(operations, kit, one, gateways=["gw1"])
    late = kit.decision("late", "203.0.113.99")
    await operations.decide(late, None, ())
    lifted = operations.ledger.entry_of_decision(made.pop().id)
    await operations.lift(lifted.id, "mistake", "ana")
    post.take()
    await operations.register(
        kit.describe(settings, "reaction", "gw1"), settings.jid("reaction", "gw1")
    )
    (believed,) = asked
    assert believed.part_digests == sum_up((str(one.source), one.id) for one in made)
    assert post.take() == []

    async def lacks(has) -> set[str]:
        digests = sum_up((str(one.source), one.id) for one in has)
        await operations.compare(replace(believed, part_digests=digests))
        return {str(o.decision.source) for o in post.take() if o.gateway == "gw1"}

    # What it never confirmed, and the lift that it has not.
    always = {str(late.source), str(lifted.source)}
    assert await lacks(made) == always
    lost, *kept = made
    again = await lacks(kept)
    assert str(lost.source) in again and len(again) < 8
    assert await lacks([]) == {str(one.source) for one in made} | always
    # Something else than we believe: it gets what is in force there now.
    assert str(lost.source) in await lacks([replace(lost, id="urn:x:other"), *kept])


async def test_what_a_gateway_refused_is_for_its_next_process_only(
    settings, ledger, post, kit, clock
):
    """Its allow-list may be another one then. Who was only silent is asked as well."""
    asked: list[BlocksInForce] = []

    async def ask(believed):
        asked.append(believed)

    operations = Operations(
        settings, ledger, clock=clock, send=post.send, archive=post.archive, ask=ask
    )
    jid = settings.jid("reaction", "gw1")

    async def orders_after(process: str, change: str) -> list[str]:
        described = kit.describe(settings, "reaction", "gw1", process)
        assert await operations.register(described, jid) == change
        await operations.compare(asked.pop())
        return [o.decision.id for o in post.take() if o.gateway == "gw1"]

    assert await orders_after("a", "up") == []
    made = kit.decision()
    await operations.decide(made, None, ())
    await confirm(operations, kit, made, "refused", gateways=["gw1"])
    await confirm(operations, kit, made, gateways=["gw2", "gw3"])
    post.take()
    clock.turn(20)
    await operations.sweep()
    post.take()
    assert await orders_after("a", "returned") == []
    assert await orders_after("b", "restarted") == [made.id]
    await confirm(operations, kit, made, "refused", clock(), gateways=["gw1"])
    clock.turn(20)
    await operations.sweep()
    assert await orders_after("b", "returned") == []


async def test_what_a_node_says_it_ordered_and_did_not_is_ordered(operations, post, kit, clock):
    made = kit.decision()
    await operations.decide(made, None, (), ordered_at="gw1")
    post.take()
    clock.turn(1)
    await operations.sweep()
    assert post.take() == []
    clock.turn(1)
    await operations.sweep()
    ((gateway, again),) = [(o.gateway, o.decision) for o in post.take()]
    assert (gateway, again.id, again.duration_s) == ("gw1", made.id, 898)


async def test_a_decision_from_before_a_lift_does_not_undo_it(operations, kit, clock, post):
    first, late = kit.decision("d1"), kit.decision("d2", decided_us=kit.T0 + 5)
    await operations.decide(first, None, ())
    clock.turn(10)
    await operations.lift(operations.ledger.entry_of_decision(first.id).id, "mistake", "ana")
    post.take()
    plan = await operations.decide(late, None, ())
    assert not plan.accepted and "lifted after" in plan.detail
    assert post.take() == []
    later = kit.decision("d3", decided_us=clock() + 1)
    assert (await operations.decide(later, None, ())).outcome == "blocked"


async def test_orders_of_one_source_get_later_also_when_the_clock_is_set_back(
    operations, kit, clock, post
):
    """A gateway goes by the newest order."""
    made = kit.decision()
    await operations.decide(made, None, ())
    clock.turn(-3600)
    entry = operations.ledger.entry_of_decision(made.id)
    await operations.lift(entry.id, "mistake", "ana")
    await operations.block(made.source, 60, "after all", "ana")
    stamps = [o.decision.decided_us for o in post.take() if o.gateway == "gw1"]
    assert len(stamps) == 3 and stamps == sorted(set(stamps))


async def test_what_a_kernel_has_is_refused_at_once_and_lifted(
    operations, settings, ledger, kit, clock, post
):
    made = kit.decision(source="203.0.113.255")
    await operations.decide(made, None, ())
    post.take()
    kernel = GatewayAddresses(
        id=kit.urn("kernel"), node="gw2", broadcasts=(ip_address("203.0.113.255"),)
    )
    await operations.protect(kernel)
    (entry,) = ledger.entries(limit=9)
    assert entry.state == "lifted"
    assert {o.decision.action for o in post.take()} == {"unblock"}
    reborn = Operations(settings, ledger, clock=clock, send=post.send, archive=post.archive)
    for judge in (operations, reborn):
        with pytest.raises(ServiceError, match="broadcast address of a network of gateway gw2"):
            await judge.block(ip_address("203.0.113.255"), 60, "why not", "ana")


@pytest.mark.parametrize("source", ["169.254.1.1", "fe80::1", "240.0.0.1", "0.1.2.3"])
async def test_what_no_gateway_would_block_is_refused_at_once(operations, post, source):
    with pytest.raises(ServiceError, match="not the address of one host"):
        await operations.block(ip_address(source), 60, "why not", "ana")
    assert post.take() == []


async def test_correlation_agents_hear_what_is_in_force(settings, ledger, clock, post, kit):
    heard = []

    async def publish(entries):
        heard.extend((str(e.source), e.state) for e in entries)

    operations = Operations(
        settings, ledger, clock=clock, send=post.send, archive=post.archive, publish=publish
    )
    made = kit.decision()
    await operations.decide(made, None, ())
    await operations.decide(kit.decision("d2", "203.0.113.10"), None, ())
    await operations.lift(ledger.entry_of_decision(made.id).id, "mistake", "ana")
    jid = settings.jid("correlation", "gw1")
    await operations.register(kit.describe(settings, "correlation", "gw1"), jid)
    clock.turn(900)
    await operations.sweep()
    assert heard == [
        ("203.0.113.9", "active"),
        ("203.0.113.10", "active"),
        ("203.0.113.9", "lifted"),
        ("203.0.113.10", "active"),
        ("203.0.113.10", "expired"),
    ]


async def test_a_restarted_gateway_gets_what_remains(operations, settings, post, kit, clock):
    jid = settings.jid("reaction", "gw2")
    await operations.register(kit.describe(settings, "reaction", "gw2", "a"), jid)
    assert post.take() == []
    made = kit.decision()
    await operations.decide(made, None, ())
    await confirm(operations, kit, made)
    post.take()
    clock.turn(100)
    await operations.register(kit.describe(settings, "reaction", "gw2", "b"), jid)
    (order,) = post.take()
    assert (order.gateway, order.decision.id) == ("gw2", made.id)
    assert order.decision.duration_s == 800
    await operations.register(kit.describe(settings, "reaction", "gw2", "b"), jid)
    assert post.take() == []


async def test_a_restarted_supervisor_loses_no_block_and_no_lift(
    operations, settings, ledger, post, kit, clock
):
    kept, lifted = kit.decision("d1"), kit.decision("d2", "203.0.113.10")
    for made in (kept, lifted):
        await operations.decide(made, None, ())
        await confirm(operations, kit, made)
    await operations.lift(ledger.entry_of_decision(lifted.id).id, "mistake", "ana")
    post.take()  # as if the process had died before these left

    reborn = Operations(settings, ledger, clock=clock, send=post.send, archive=post.archive)
    jid = settings.jid("reaction", "gw3")
    await reborn.register(kit.describe(settings, "reaction", "gw3"), jid)
    assert [(o.decision.action, str(o.decision.source)) for o in post.take()] == [
        ("block", "203.0.113.9"),
        ("unblock", "203.0.113.10"),
    ]


async def test_the_sweep_mends_what_a_gateway_did_not_do(operations, settings, post, kit, clock):
    for name in kit.GATEWAYS:
        jid = settings.jid("reaction", name)
        await operations.register(kit.describe(settings, "reaction", name), jid)
    made = kit.decision()
    await operations.decide(made, None, ())
    await confirm(operations, kit, made, gateways=["gw1"])
    await confirm(operations, kit, made, "failed", gateways=["gw2"])
    post.take()
    clock.turn(14)
    for name in kit.GATEWAYS[:2]:  # gw3 falls silent: its blocks wait for its return
        jid = settings.jid("reaction", name)
        assert await operations.register(kit.describe(settings, "reaction", name), jid) == "renewed"
    await operations.sweep()
    assert post.take() == []
    clock.turn(1)
    await operations.sweep()
    assert [o.gateway for o in post.take()] == ["gw2"]
    jid = settings.jid("reaction", "gw3")
    assert await operations.register(kit.describe(settings, "reaction", "gw3"), jid) == "returned"
    assert [(o.gateway, o.decision.duration_s) for o in post.take()] == [("gw3", 885)]


async def test_expiry_and_lapse_are_seen_by_the_sweep(operations, settings, kit, clock):
    jid = settings.jid("reaction", "gw1")
    await operations.register(kit.describe(settings, "reaction", "gw1"), jid)
    made = kit.decision(duration_s=20)
    await operations.decide(made, None, ())
    clock.turn(20)
    await operations.sweep()
    assert operations.ledger.entry_of_decision(made.id).state == "expired"
    assert not operations.directory.get(jid).up
    assert operations.directory.get(settings.jid("reaction", "gw2")) is None
    whats = [line.what for line in operations.ledger.audit_trail(limit=9)]
    assert {"block expired", "agent lapsed", "agent up"} <= set(whats)
    assert operations.ledger.verify_audit()


async def test_a_decision_after_the_end_makes_a_new_entry(operations, post, kit, clock):
    await operations.decide(kit.decision("d1", duration_s=5), None, ())
    clock.turn(5)  # over, but no sweep has passed yet
    plan = await operations.decide(kit.decision("d2"), None, ())
    assert plan.outcome == "blocked"
    assert operations.ledger.counts()["entry"] == 2


async def test_an_operator_blocks_extends_and_lifts(operations, post, kit, clock):
    source = ip_address("2001:db8::bad")
    entry = await operations.block(source, 60, "reported", "ana")
    assert (entry.cause.classification, entry.cause.origin) == ("Manual", "user:ana")
    clock.turn(10)
    longer = await operations.extend(entry.id, 100, "still there", "ana")
    assert longer.remaining_s(clock()) == 150
    post.take()
    await operations.lift(entry.id, "enough", "bob")
    assert [o.decision.action for o in post.take()] == ["unblock"] * 3
    for call in (operations.lift(entry.id, "x", "bob"), operations.extend(entry.id, 1, "x", "bob")):
        with pytest.raises(ServiceError, match="already ended"):
            await call
    with pytest.raises(ServiceError, match="no such block"):
        await operations.lift(kit.urn("none"), "x", "bob")
    who = [line.who for line in operations.ledger.audit_trail(limit=9)]
    assert who == ["user:bob", "user:ana", "user:ana"]


@pytest.mark.parametrize(("source", "seconds"), [("10.0.1.1", 60), ("203.0.113.1", 8 * 86400)])
async def test_an_operator_can_not_block_what_must_not_be(operations, post, source, seconds):
    with pytest.raises(ServiceError) as caught:
        await operations.block(ip_address(source), seconds, "oops", "ana")
    assert caught.value.kind == "refused"
    assert post.orders == []


async def test_an_extension_beyond_the_maximum_is_refused(operations):
    entry = await operations.block(ip_address("203.0.113.1"), 86400, "x", "ana")
    with pytest.raises(ServiceError, match="at most"):
        await operations.extend(entry.id, 7 * 86400, "x", "ana")


async def test_a_false_registration_is_audited(operations, settings, kit):
    agent = kit.describe(settings, "reaction", "gw1")
    with pytest.raises(DirectoryError):
        await operations.register(agent, "evil@honeynet.localdomain")
    (line,) = operations.ledger.audit_trail(limit=1)
    assert line.what == "registration refused"
    assert operations.counters["registrations_refused"] == 1


async def test_decisions_and_reports_are_archived(operations, post, kit):
    made = kit.decision()
    await operations.decide(made, None, ())
    found = kit.report(made, "gw1")
    await operations.report(found)
    assert post.archived == [made, found]


async def test_a_repeat_after_a_crash_tells_the_archive_and_changes_nothing(operations, post, kit):
    """The crash may have come between the ledger and the outbox."""
    made = kit.decision()
    await operations.decide(made, None, ())
    found = kit.report(made, "gw1")
    await operations.report(found)
    orders, counts = list(post.orders), operations.ledger.counts()
    post.archived.clear()
    plan = await operations.decide(made, None, ())
    await operations.report(found)
    assert plan.outcome == "known"
    assert post.archived == [made, found]  # by id, so that the archive has each once
    assert post.orders == orders
    assert operations.ledger.counts() == counts


async def test_an_incident_without_a_decision_is_kept(operations, kit):
    incident, alerts = kit.evidence(kit.decision())
    await operations.observe(incident, alerts)
    assert operations.ledger.incidents(9) == ((incident, kit.T0),)
    assert len(operations.ledger.alerts(9)) == 2


async def test_a_scope_id_reaches_neither_gateway_nor_archive(operations, post, kit):
    """It is free text, and no fragment can hold it: the order would fail again and again."""
    entry = await operations.block(ip_address("2001:db8::9%<b>"), 60, "by hand", "alice")
    assert entry.source == ip_address("2001:db8::9")
    assert post.archived[0].source == ip_address("2001:db8::9")


async def test_conditions_are_told_the_console_at_once_and_fill_no_audit_trail(
    operations, settings, kit
):
    told: list[object] = []

    async def post(records):
        told.extend(r for r in records if isinstance(r, AgentDescription))

    await operations.feed.open(post)
    well = kit.describe(settings, "sensor", "gw1")
    await operations.register(well, well.name)
    lines = len(operations.ledger.audit_trail(limit=100))
    for text in ('[{"name":"a"}]', '[{"name":"b"}]', ""):
        await operations.register(replace(well, conditions=text), well.name)
        await operations.feed.flush()
        assert told[-1].conditions == text
    assert len(operations.ledger.audit_trail(limit=100)) == lines
    await operations.feed.close()


async def test_what_is_told_bit_by_bit_is_told_as_it_is_then(settings, ledger, clock, post, kit):
    """A lift in between is not undone by an order made before it, and no block lasts longer."""
    later = []
    operations = Operations(
        settings,
        ledger,
        clock=clock,
        send=post.send,
        archive=post.archive,
        catching_up=CatchingUp(later.append),
    )
    sources = [f"203.0.113.{n}" for n in range(9, 9 + PART + 1 - 20)]
    sources += [f"198.18.0.{n}" for n in range(1, 31)]
    for number, source in enumerate(sources):
        await operations.decide(kit.decision(f"d{number}", source, duration_s=900), None, ())
    last = ledger.active_for(ip_address(sources[-1]))
    again = ledger.active_for(ip_address(sources[-2]))
    post.take()
    jid = settings.jid("reaction", "gw2")
    await operations.register(kit.describe(settings, "reaction", "gw2", "new"), jid)
    assert post.take() == [] and len(later) == 1
    await operations.lift(last.id, "mistake", "ana")
    await operations.lift(again.id, "mistake", "ana")
    await operations.block(again.source, 700, "after all", "ana")
    post.take()
    clock.turn(300)
    await later[0]
    told = {str(o.decision.source): o.decision for o in post.take()}
    assert told.keys() >= set(sources[:-2])
    assert {told[s].duration_s for s in sources[:-2]} == {600}
    assert str(last.source) not in told or told[str(last.source)].action == "unblock"
    assert str(again.source) not in told or told[str(again.source)].action == "block"
