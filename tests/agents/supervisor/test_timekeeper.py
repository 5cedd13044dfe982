"""Whatever the wall clock does: what remains of a ban stays."""

from __future__ import annotations

from contextlib import closing

import pytest

from agents.base.steady_clock import SteadyClock
from agents.clock import ClockReading
from agents.supervisor.ledger import Ledger
from agents.supervisor.propagation import Propagation
from agents.supervisor.timekeeper import Timekeeper

DAY_S = 86_400


class Host:
    """A host whose clock people set, and what its supervisor keeps."""

    def __init__(self, settings, path, kit):
        self.settings, self.path, self.kit = settings, path, kit
        self.boot, self.steady_s, self.wall_us = "one", 1000.0, kit.T0
        self.start()

    def read(self):
        return ClockReading(self.boot, self.steady_s, self.wall_us)

    def start(self):
        self.ledger = Ledger(self.path)
        noted, last_us = self.ledger.clock()
        self.clock = SteadyClock(noted, read=self.read)
        self.propagation = Propagation.from_settings(self.settings)
        self.propagation.last_order_us = last_us
        self.keeper = Timekeeper(self.clock, self.ledger, self.propagation)
        self.keeper.tick()

    def restart(self, *, off_s=0.0, reboot=False, step_s=0):
        self.ledger.close()
        self.pass_time(off_s)
        self.wall_us += step_s * 1_000_000
        if reboot:
            self.boot, self.steady_s = f"{self.boot}+", 0.0
        self.start()

    def pass_time(self, seconds):
        self.steady_s += seconds
        self.wall_us += int(seconds * 1e6)

    def block(self):
        plan = self.propagation.on_decision(
            self.kit.decision(), None, new_id=self.kit.urn("e"), now_us=self.clock()
        )
        self.ledger.save(plan.entry)

    def left(self):
        self.ledger.expire(self.clock())
        return [e.remaining_s(self.clock()) for e in self.ledger.active(self.clock())]


@pytest.fixture
def host(settings, tmp_path, kit):
    made = Host(settings, tmp_path / "times.sqlite3", kit)
    yield made
    made.ledger.close()


@pytest.mark.parametrize("step_s", [DAY_S, -DAY_S, 30, -30])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_step_neither_lengthens_nor_ends_a_ban(host, step_s, restarted):
    host.block()
    host.pass_time(100)
    if restarted:
        host.restart(step_s=step_s)
    else:
        host.wall_us += step_s * 1_000_000
    assert host.left() == [800]
    host.keeper.tick()
    assert host.left() == [800]
    assert abs(host.clock() - host.wall_us) < 2
    (entry,) = host.ledger.active(host.clock())
    assert abs(entry.expires_us - host.wall_us - 800_000_000) < 2, "the page shows it right"
    host.pass_time(799)
    host.keeper.tick()
    assert host.left() == [1]
    host.pass_time(1)
    assert host.left() == []


def test_a_reboot_with_the_clock_behind_lengthens_nothing_beyond_what_was_left(host):
    host.block()
    host.pass_time(100)
    host.keeper.tick()
    host.restart(off_s=60, reboot=True, step_s=-30 * DAY_S)
    assert host.left() == [800]
    host.pass_time(800)
    assert host.left() == []


def test_a_reboot_with_the_right_clock_counts_the_time_off(host):
    host.block()
    host.pass_time(100)
    host.keeper.tick()
    host.restart(off_s=300, reboot=True)
    assert host.left() == [500]


def test_a_lift_stays_in_the_past(host, kit):
    """Or every later decision would look older than it, until the old time comes round."""
    host.block()
    entry = host.ledger.active(host.clock())[0]
    order = kit.decision("u", action="unblock", duration_s=0)
    host.ledger.save(host.propagation.bans.lift(entry, order, host.clock()).entry)
    host.pass_time(5)
    host.wall_us -= DAY_S * 1_000_000
    host.keeper.tick()
    assert host.ledger.entry(entry.id).ended_us <= host.clock()
    assert host.ledger.lifted(host.clock())[0].expires_us - host.clock() == 895_000_000


def test_the_time_of_orders_goes_on_after_a_restart(host):
    host.block()
    last_us = host.propagation.last_order_us
    host.pass_time(20)
    host.keeper.tick()
    host.restart(step_s=-DAY_S)
    assert host.propagation.last_order_us == last_us


def test_an_older_ledger_is_taken_over(tmp_path, settings, kit):
    path = tmp_path / "old.sqlite3"
    with closing(Ledger(path)) as ledger:
        assert ledger.clock() == (None, 0)
        ledger._db.execute("ALTER TABLE entry DROP COLUMN reach")
        ledger._db.execute("PRAGMA user_version=0")
    with closing(Ledger(path)) as ledger:
        propagation = Propagation.from_settings(settings)
        plan = propagation.on_decision(kit.decision(), None, new_id=kit.urn("e"), now_us=kit.T0)
        ledger.save(plan.entry)
        assert ledger.active(kit.T0) == (plan.entry,)
