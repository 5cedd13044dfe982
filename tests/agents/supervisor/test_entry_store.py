"""Entries on disk: round trips, one active entry a source, and ends that move with a clock."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address

import pytest

from agents.supervisor.ledger import Ledger
from agents.supervisor.propagation import Propagation


@pytest.fixture
def propagation(settings):
    return Propagation.from_settings(settings)


@pytest.fixture
def entry(settings, kit):
    propagation = Propagation.from_settings(settings)

    def make(name="d1", source="203.0.113.9", now_us=None, **changes):
        made = kit.decision(name, source, **changes)
        return propagation.on_decision(
            made, None, new_id=kit.urn(f"entry-{name}"), now_us=now_us or kit.T0
        ).entry

    return make


def test_entries_survive_a_reopening(ledger, entry, kit, tmp_path):
    four, six = entry("d1"), entry("d2", "2001:db8::9", kit.T0 + 1)
    ledger.save(four)
    ledger.save(six)
    with closing(Ledger(tmp_path / "ledger.sqlite3")) as again:
        assert again.active(kit.T0) == (four, six)
        assert again.active_for(ip_address("::ffff:203.0.113.9")) == four
        assert again.entry(six.id) == six
        assert again.named([six.id, "nothing", four.id]) == (four, six)
    assert (tmp_path / "ledger.sqlite3").stat().st_mode & 0o077 == 0


def test_one_source_has_one_active_entry(ledger, entry):
    ledger.save(entry("d1"))
    with pytest.raises(sqlite3.IntegrityError):
        ledger.save(entry("d2"))


def test_expiry_is_exact_and_ends_what_is_wanted(ledger, entry, kit):
    ledger.save(entry())
    end = kit.T0 + 900 * kit.S
    assert ledger.expire(end - 1) == ()
    (ended,) = ledger.expire(end)
    assert (ended.state, ended.ended_us) == ("expired", end)
    assert ledger.entry(ended.id) == ended
    assert ledger.active(end) == ()
    assert ledger.expire(end + 1) == ()


def test_filters(ledger, entry, kit):
    for i in range(5):
        ledger.save(entry(f"d{i}", f"203.0.113.{i}", duration_s=10 * (i + 1)))
    ledger.expire(kit.T0 + 20 * kit.S)

    def found(**query):
        return [str(e.source) for e in ledger.entries(limit=10, **query)]

    assert found(state="active") == ["203.0.113.4", "203.0.113.3", "203.0.113.2"]
    assert found(state="ended") == found(state="expired") == ["203.0.113.1", "203.0.113.0"]
    assert found(source=ip_address("203.0.113.3")) == ["203.0.113.3"]
    assert len(found(gateway="gw1")) == 5
    assert found(gateway="gw9") == []
    assert [str(e.source) for e in ledger.entries(limit=1, offset=1)] == ["203.0.113.3"]


def test_only_the_newest_lift_of_a_source_counts_as_missed(ledger, settings, kit):
    propagation = Propagation.from_settings(settings)

    def lift(name):
        order = kit.decision(f"u-{name}", action="unblock", duration_s=0)
        current = ledger.active_for(order.source)
        ledger.save(propagation.bans.lift(current, order, kit.T0).entry)

    def block(name):
        made = kit.decision(name)
        ledger.save(propagation.on_decision(made, None, new_id=kit.urn(name), now_us=kit.T0).entry)

    block("one")
    lift("one")
    assert [e.id for e in ledger.lifted(kit.T0)] == [kit.urn("one")]
    block("two")
    assert ledger.lifted(kit.T0) == ()
    lift("two")
    assert [e.id for e in ledger.lifted(kit.T0)] == [kit.urn("two")]
    assert ledger.lifted(kit.T0 + 900 * kit.S) == ()


def test_how_far_an_entry_reaches_is_kept(ledger, entry, kit):
    alone = replace(entry(), reach="reported")
    ledger.save(alone)
    assert ledger.entry(alone.id) == alone
    told = replace(alone, reach="everywhere", cause=replace(alone.cause, reason="why"))
    ledger.save(told)
    assert ledger.entry(alone.id) == told


def test_ends_move_with_the_clock_and_what_is_over_stays(ledger, entry, kit):
    runs, over = entry("d1"), entry("d2", "203.0.113.10", duration_s=10)
    ledger.save(runs)
    ledger.save(over)
    now_us = kit.T0 + 20 * kit.S
    ledger.expire(now_us)
    step_us = -3600 * kit.S
    ledger.move_ends(step_us, now_us + step_us)
    assert ledger.entry(runs.id).expires_us == runs.expires_us + step_us
    assert ledger.entry(over.id).expires_us == over.expires_us
