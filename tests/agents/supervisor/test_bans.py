"""Who is blocked until when: rulings, lifts, and what gateways report. Pure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agents.base.protected import Protected
from agents.supervisor.bans import Bans, expired, in_force


@pytest.fixture
def bans(kit):
    return Bans(kit.GATEWAYS, Protected(), 7 * 86400)


def rule(bans, kit, made, current=None, last=None, now_us=None):
    return bans.rule(
        made, current, last, new_id=kit.urn("entry"), now_us=kit.T0 if now_us is None else now_us
    )


def test_a_block_of_a_reported_source_becomes_one_of_the_whole_honeynet(bans, kit):
    alone = kit.decision("alone", duration_s=600)
    entry = bans.adopt(kit.report(alone, "gw2"), "reaction.gw2@x", new_id="urn:x:e", now_us=kit.T0)
    assert (entry.reach, entry.remaining_s(kit.T0)) == ("reported", 600)
    assert not any(entry.lacks(gateway) for gateway in kit.GATEWAYS)
    ruling = rule(bans, kit, kit.decision(), entry, entry)
    assert (ruling.outcome, ruling.entry.id, ruling.entry.reach) == (
        "blocked",
        "urn:x:e",
        "everywhere",
    )
    assert all(ruling.entry.lacks(gateway) for gateway in kit.GATEWAYS)


@pytest.mark.parametrize("ahead_us", [0, 30 * 86_400_000_000, -30 * 86_400_000_000])
def test_what_is_left_of_an_adopted_block_depends_on_no_clock_of_ours(bans, kit, ahead_us):
    report = kit.report(kit.decision(duration_s=600), "gw2", at_us=kit.T0 + ahead_us)
    entry = bans.adopt(report, "reaction.gw2@x", new_id="urn:x:e", now_us=kit.T0)
    assert entry.remaining_s(kit.T0) == 600


def test_no_adopted_block_is_longer_than_the_maximum(kit):
    short = Bans(kit.GATEWAYS, Protected(), 60)
    entry = short.adopt(kit.report(kit.decision(), "gw2"), "r", new_id="urn:x:e", now_us=kit.T0)
    assert entry.remaining_s(kit.T0) == 60


def test_a_reported_block_follows_its_gateway(bans, kit):
    made = kit.decision(duration_s=600)
    entry = bans.adopt(kit.report(made, "gw2"), "r", new_id="urn:x:e", now_us=kit.T0)
    later = kit.T0 + 60 * kit.S
    longer = kit.report(replace(made, duration_s=900), "gw2", at_us=later)
    entry = bans.on_report(entry, longer, later)
    assert entry.remaining_s(later) == 900
    entry = bans.on_report(entry, kit.report(made, "gw3", at_us=later), later)
    ended = kit.report(made, "gw2", "expired", later + kit.S)
    entry = bans.on_report(entry, ended, later + kit.S)
    assert entry.state == "active", "gw3 has it still"
    entry = bans.on_report(entry, kit.report(made, "gw3", "expired", later + 2), later + 2)
    assert (entry.state, {g.wanted for g in entry.gateways}) == ("expired", {"none"})


def test_what_was_decided_before_a_lift_is_refused_but_to_a_person(bans, kit):
    entry = rule(bans, kit, kit.decision()).entry
    order = kit.decision("u", action="unblock", duration_s=0)
    lifted = bans.lift(entry, order, kit.T0 + 10).entry
    late = kit.decision("late", decided_us=kit.T0 + 5)
    assert rule(bans, kit, late, None, lifted, kit.T0 + 20).outcome == "refused"
    person = replace(late, origin="user:ana")
    assert rule(bans, kit, person, None, lifted, kit.T0 + 20).outcome == "blocked"
    newer = kit.decision("newer", decided_us=kit.T0 + 11)
    assert rule(bans, kit, newer, None, lifted, kit.T0 + 20).outcome == "blocked"
    over = expired(rule(bans, kit, kit.decision()).entry)
    assert rule(bans, kit, late, None, over, kit.T0 + 20).outcome == "blocked"


def test_what_is_said_of_an_entry(bans, kit):
    entry = rule(bans, kit, kit.decision()).entry
    said = in_force(entry, kit.T0)
    assert (said.state, said.gateway, said.decision) == ("active", "*", kit.urn("d1"))
    assert (said.since_us, said.expires_us) == (kit.T0, entry.expires_us)
    later = in_force(entry, kit.T0 + 9)
    assert (later.since_us, later.expires_us) == (kit.T0 + 9, entry.expires_us)
    lifted = bans.lift(entry, kit.decision("u", action="unblock", duration_s=0), kit.T0 + 5).entry
    assert (in_force(lifted, 0).state, in_force(lifted, 0).since_us) == ("lifted", kit.T0 + 5)
    assert len({said.id, in_force(lifted, 0).id, in_force(expired(entry), 0).id}) == 3
    assert in_force(entry, kit.T0) == said
