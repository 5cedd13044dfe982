"""What each gateway is told: pure."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base.protected import Protected, canonical
from agents.supervisor.propagation import Propagation, expired, unblock_of

SECOND = 1_000_000


@pytest.fixture
def propagation(settings):
    return Propagation.from_settings(settings)


def plan(propagation, kit, made, current=None, now_us=None, name="entry"):
    return propagation.on_decision(
        made, current, new_id=kit.urn(name), now_us=kit.T0 if now_us is None else now_us
    )


def confirmed(propagation, kit, entry, state="active", at_us=None, **changes):
    for name in kit.GATEWAYS:
        found = kit.report(entry.decision, name, state, at_us or kit.T0, **changes)
        entry = propagation.on_report(entry, found, kit.T0) or entry
    return entry


def test_a_block_goes_to_every_gateway(propagation, kit):
    made = plan(propagation, kit, kit.decision())
    assert made.outcome == "blocked"
    assert [o.gateway for o in made.orders] == list(kit.GATEWAYS)
    assert {o.receiver for o in made.orders} == {
        f"reaction.{g}@honeynet.localdomain" for g in kit.GATEWAYS
    }
    assert [(g.wanted, g.state) for g in made.entry.gateways] == [("block", "pending")] * 3
    assert made.entry.expires_us == kit.T0 + 900 * kit.S


def test_a_longer_second_decision_extends_the_one_entry(propagation, kit):
    entry = plan(propagation, kit, kit.decision("d1")).entry
    entry = confirmed(propagation, kit, entry)
    later = kit.T0 + 60 * kit.S
    second = kit.decision("d2", decided_us=later)
    made = plan(propagation, kit, second, entry, later, "other")
    assert made.outcome == "extended"
    assert made.entry.id == entry.id
    assert made.entry.cause.id == kit.urn("d1")
    assert made.entry.expires_us == later + 900 * kit.S
    assert [o.decision.id for o in made.orders] == [kit.urn("d2")] * 3
    assert all(g.state == "active" for g in made.entry.gateways)
    # Still blocked everywhere, but nobody has said yet that it is for longer.
    assert not any(map(made.entry.confirmed, made.entry.gateways))
    again = propagation.on_registration("gw1", [made.entry], fresh=False, now_us=later)
    assert [o.decision.id for o in again] == [kit.urn("d2")]
    longer = confirmed(propagation, kit, made.entry, at_us=later)
    assert all(map(longer.confirmed, longer.gateways))


def test_a_shorter_second_decision_only_reminds_who_lacks_the_block(propagation, kit):
    entry = plan(propagation, kit, kit.decision("d1")).entry
    entry = propagation.on_report(entry, kit.report(entry.decision, "gw1"), kit.T0)
    made = plan(propagation, kit, kit.decision("d2", duration_s=10), entry, kit.T0 + 5 * kit.S)
    assert made.outcome == "covered"
    assert made.entry is None
    assert [(o.gateway, o.decision.id, o.decision.duration_s) for o in made.orders] == [
        ("gw2", kit.urn("d1"), 895),
        ("gw3", kit.urn("d1"), 895),
    ]


@pytest.mark.parametrize(
    "source",
    [
        "198.51.100.7",
        "::ffff:198.51.100.7",
        "2001:db8:a:1::5",
        "10.0.2.1",
        "127.0.0.1",
        "::1",
        "224.0.0.1",
        "0.0.0.0",  # noqa: S104 - an address to refuse, nothing listens
        "255.255.255.255",
    ],
)
def test_allow_listed_own_and_impossible_sources_are_refused(propagation, kit, source):
    made = plan(propagation, kit, kit.decision(source=source))
    assert (made.outcome, made.entry, made.orders) == ("refused", None, ())
    assert made.detail


def test_a_honeypot_is_refused(kit):
    protected = Protected((), {ip_address("203.0.113.9"): "a honeypot of node gw1"})
    propagation = Propagation({"gw1": "r@x"}, protected, 10**7)
    for source in ("203.0.113.9", "::ffff:203.0.113.9"):
        made = plan(propagation, kit, kit.decision(source=source))
        assert (made.outcome, made.orders) == ("refused", ()) and "honeypot" in made.detail


def test_a_mapped_address_is_the_ipv4_host(propagation, kit):
    entry = plan(propagation, kit, kit.decision(source="::ffff:203.0.113.9")).entry
    assert entry.source == ip_address("203.0.113.9")
    assert canonical(ip_address("2001:db8::1")) == ip_address("2001:db8::1")
    assert canonical(ip_address("2001:db8::1%eth0")) == ip_address("2001:db8::1")


def test_no_block_is_longer_than_the_maximum(propagation, kit):
    made = plan(propagation, kit, kit.decision(duration_s=300 * 86400))
    assert {o.decision.duration_s for o in made.orders} == {7 * 86400}


def test_a_lift_goes_to_every_gateway_and_keeps_what_they_say(propagation, kit):
    entry = confirmed(propagation, kit, plan(propagation, kit, kit.decision()).entry)
    order = kit.decision("u1", action="unblock", duration_s=0, origin="user:ana")
    made = plan(propagation, kit, order, entry, kit.T0 + kit.S)
    assert made.outcome == "unblocked"
    assert (made.entry.state, made.entry.ended_by) == ("lifted", "user:ana")
    assert [(g.wanted, g.state, made.entry.confirmed(g)) for g in made.entry.gateways] == [
        ("none", "active", False)
    ] * 3
    lifted = confirmed(propagation, kit, made.entry, "lifted", kit.T0 + 2 * kit.S)
    assert all(map(lifted.confirmed, lifted.gateways))


def test_unblocking_what_is_not_blocked_does_nothing(propagation, kit):
    made = plan(propagation, kit, kit.decision(action="unblock", duration_s=0))
    assert (made.outcome, made.orders) == ("nothing", ())


def test_a_new_process_gets_all_a_returning_one_only_what_it_lacks(propagation, kit):
    one = confirmed(propagation, kit, plan(propagation, kit, kit.decision("d1")).entry)
    two = plan(propagation, kit, kit.decision("d2", "203.0.113.10"), name="two").entry
    now_us = kit.T0 + 100 * kit.S
    fresh = propagation.on_registration("gw2", [one, two], fresh=True, now_us=now_us)
    again = propagation.on_registration("gw2", [one, two], fresh=False, now_us=now_us)
    assert [(o.decision.id, o.decision.duration_s) for o in fresh] == [
        (kit.urn("d1"), 800),
        (kit.urn("d2"), 800),
    ]
    assert [o.decision.id for o in again] == [kit.urn("d2")]
    # A gateway counts the remaining time from the order, not from the decision.
    assert min(o.decision.decided_us for o in (*fresh, *again)) == now_us
    assert propagation.on_registration("nowhere", [one], fresh=True, now_us=now_us) == ()


def test_a_refused_block_is_not_pressed_on_the_same_process(propagation, kit):
    entry = plan(propagation, kit, kit.decision()).entry
    entry = propagation.on_report(entry, kit.report(entry.decision, "gw1", "refused"), kit.T0)
    for fresh, expected in ((False, 0), (True, 1)):
        orders = propagation.on_registration("gw1", [entry], fresh=fresh, now_us=kit.T0)
        assert len(orders) == expected


def test_a_missed_lift_is_repeated_until_confirmed(propagation, kit):
    entry = confirmed(propagation, kit, plan(propagation, kit, kit.decision()).entry)
    order = kit.decision("u1", action="unblock", duration_s=0)
    lifted = plan(propagation, kit, order, entry).entry
    (again,) = propagation.on_registration("gw1", [], [lifted], fresh=True, now_us=kit.T0)
    assert again.decision == replace(unblock_of(lifted), decided_us=propagation.last_order_us)
    assert again.decision.action == "unblock"
    over = kit.T0 + 900 * kit.S
    assert propagation.on_registration("gw1", [], [lifted], fresh=True, now_us=over) == ()


def test_a_late_report_does_not_undo_a_newer_one(propagation, kit):
    entry = plan(propagation, kit, kit.decision()).entry
    entry = propagation.on_report(
        entry, kit.report(entry.decision, "gw1", at_us=kit.T0 + 9), kit.T0
    )
    late = kit.report(entry.decision, "gw1", "failed", kit.T0 + 8)
    assert propagation.on_report(entry, late, kit.T0) is None
    same = kit.report(entry.decision, "gw1", at_us=kit.T0 + 9)
    assert propagation.on_report(entry, same, kit.T0) is None
    clock_set_back = kit.report(entry.decision, "gw1", "failed", kit.T0 + 9 - 60 * kit.S)
    assert propagation.on_report(entry, clock_set_back, kit.T0).on("gw1").state == "failed"
    stranger = kit.report(entry.decision, "gw9")
    assert propagation.on_report(entry, stranger, kit.T0) is None


def test_an_expired_entry_wants_nothing(propagation, kit):
    entry = expired(confirmed(propagation, kit, plan(propagation, kit, kit.decision()).entry))
    assert entry.state == "expired"
    assert {g.wanted for g in entry.gateways} == {"none"}
    assert entry.remaining_s(kit.T0) == 0


@given(
    durations=st.lists(st.integers(1, 10**6), min_size=1, max_size=6),
    gaps=st.lists(st.integers(0, 500), min_size=6, max_size=6),
)
def test_the_end_is_the_latest_end_asked_for(durations, gaps):
    """Whatever the order of decisions: one entry, and no decision ever shortens it."""
    from ontology.records import Decision

    propagation = Propagation({"gw1": "r@x"}, Protected(), 10**7)
    base = Decision(
        id="urn:uuid:00000000-0000-0000-0000-000000000000",
        action="block",
        source=ip_address("203.0.113.9"),
        classification="Manual",
        origin="user:x",
        decided_us=0,
        duration_s=1,
        reason="",
    )
    now_us, entry, ends, ids = 0, None, [], set()
    for i, (duration, gap) in enumerate(zip(durations, gaps, strict=False)):
        now_us += gap * SECOND
        if entry is not None and entry.expires_us <= now_us:
            return
        made = propagation.on_decision(
            replace(base, duration_s=duration, decided_us=now_us),
            entry,
            new_id=f"e{i}",
            now_us=now_us,
        )
        ends.append(now_us + duration * SECOND)
        entry = made.entry or entry
        ids.add(entry.id)
        assert entry.expires_us == max(ends)
        assert entry.remaining_s(now_us) * SECOND >= entry.expires_us - now_us
    assert ids == {"e0"}
