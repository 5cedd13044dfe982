"""Orders in, reports out, with a firewall that keeps notes."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from agents.base.protected import Protected
from agents.clock import ClockReading
from agents.reaction.enforcement import Enforcement, Report
from agents.reaction.firewall import DryRunFirewall, FirewallError
from agents.reaction.nftables import Nftables
from agents.reaction.policy import ReactionPolicy
from agents.reaction.store import ClaimStore
from agents.settings.honeynet import Settings
from ontology.blocks_in_force import contradict
from ontology.records import Address, Block, Decision, GatewayAddresses

T0_US = 1_800_000_000_000_000


SUPERVISOR = "supervisor.gw1@honeynet.localdomain"
CELL = "correlation.gw1@honeynet.localdomain"


class Clock:
    """One time for the wall and the steady clock; ``skew_us`` moves only the wall."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.skew_us = 0
        self.boot = "one"
        self.booted_s = 0.0

    def __call__(self) -> float:
        return self.seconds

    @property
    def now_us(self) -> int:
        return T0_US + int((self.seconds - 1000.0) * 1e6) + self.skew_us

    def read(self) -> ClockReading:
        return ClockReading(self.boot, self.seconds - self.booted_s, self.now_us)

    def reboot(self, off_s: float) -> None:
        """The host is off for a while, and counts from 0 again."""
        self.seconds += off_s
        self.boot, self.booted_s = f"{self.boot}+", self.seconds


class BrokenFirewall(DryRunFirewall):
    """Fails when told to."""

    broken = False

    def block(self, address: Address, seconds: float) -> float:
        if self.broken:
            raise FirewallError("the kernel's set is full")
        return super().block(address, seconds)

    def remaining(self, address: Address) -> float | None:
        if self.broken:
            raise FirewallError("no answer")
        return super().remaining(address)


def block_of(report: Report) -> Block:
    return report.block


class World:
    """One gateway; `restart` gives it a new agent, and a new kernel if asked."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.path = path
        self.firewall = BrokenFirewall(self.clock)
        self.allow = ["10.1.0.0/16"]
        self.orders = 0
        self.told: frozenset[str] = frozenset()
        self.mode = "enforce"
        self.enforcement = self.make()

    def make(self) -> Enforcement:
        settings = Settings.model_validate(
            {
                "state_dir": self.path,
                "policy": {"allow": self.allow, "maximum_duration": "1h"},
                "node": [
                    {
                        "name": "gw1",
                        "agents": ["supervisor", "correlation", "ontology", "reaction"],
                        "mode": self.mode,
                    }
                ],
            }
        )
        return Enforcement(
            ReactionPolicy(settings, "gw1"),
            self.firewall,
            ClaimStore(self.path / "blocks.sqlite3"),
            gateway="gw1",
            authorities=[SUPERVISOR],
            clocks=self.clock.read,
        )

    def restart(self, *, empty_kernel: bool = False) -> list[tuple[str, str]]:
        self.enforcement.close()
        if empty_kernel:
            self.firewall = BrokenFirewall(self.clock)
        self.enforcement = self.make()
        return [(str(b.source), b.state) for b in map(block_of, self.enforcement.start())]

    def order(
        self,
        source: str,
        duration_s: int = 60,
        action: str = "block",
        ident: str = "",
        by: str = SUPERVISOR,
        origin: str = CELL,
    ) -> tuple[str, float]:
        """(state, seconds until the end)."""
        self.orders += 1  # no supervisor gives two orders the same time
        decision = Decision(
            id=ident or f"urn:uuid:{uuid.uuid4()}",
            action=action,
            source=ip_address(source),
            classification="SynScan",
            origin=origin,
            decided_us=self.clock.now_us + self.orders,
            duration_s=duration_s if action == "block" or duration_s != 60 else 0,
            reason="test",
        )
        (report,) = self.enforcement.handle([decision], by)
        block, self.told = report.block, report.claimants
        assert block.decision == decision.id
        assert block.source == decision.source
        assert block.gateway == "gw1"
        return block.state, (block.expires_us - self.clock.now_us) / 1e6

    def tick(self) -> list[tuple[str, str]]:
        return [(str(b.source), b.state) for b in map(block_of, self.enforcement.tick())]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    assert world.enforcement.start() == []
    yield world
    world.enforcement.close()


def test_block_ends_by_itself_and_is_reported_once(world: World) -> None:
    assert world.order("203.0.113.5", 60) == ("active", 60.0)
    assert world.order("2001:db8::5", 90) == ("active", 90.0)
    world.clock.seconds += 59
    assert world.tick() == []
    world.clock.seconds += 1
    assert world.tick() == [("203.0.113.5", "expired")]
    assert world.tick() == []
    assert world.enforcement.active == 1
    world.clock.seconds += 30
    assert world.tick() == [("2001:db8::5", "expired")]


def test_a_gateway_in_shadow_drops_nothing_not_even_what_it_did(world: World) -> None:
    world.order("203.0.113.5", 60)
    world.mode = "shadow"
    assert world.restart() == []
    assert world.firewall.blocked() == {}
    assert world.order("203.0.113.5", 60) == ("shadow", -world.clock.now_us / 1e6)
    assert world.firewall.blocked() == {}
    world.mode = "approve"
    world.restart()
    assert world.order("203.0.113.5", 60, by=CELL)[0] == "waiting"
    assert world.enforcement.counters["refused_waiting"] == 1
    assert world.order("203.0.113.5", 60, origin="user:ana") == ("active", 60.0)
    assert world.order("203.0.113.5", 300) == ("active", 60.0), "what was approved runs to its end"


def test_the_supervisors_newest_order_counts_longer_or_shorter(world: World) -> None:
    world.order("203.0.113.5", 60)
    assert world.order("203.0.113.5", 300) == ("active", 300.0)
    world.clock.seconds += 30
    assert world.order("203.0.113.5", 10) == ("active", 10.0)
    assert world.firewall.blocked() == {IPv4Address("203.0.113.5"): 10.0}
    world.clock.seconds += 10
    assert world.tick() == [("203.0.113.5", "expired")]


def test_the_latest_end_of_several_claimants_counts(world: World) -> None:
    world.order("203.0.113.5", 300, by=CELL)
    assert world.order("203.0.113.5", 60) == ("active", 300.0)
    assert world.order("203.0.113.5", 30, by=CELL) == ("active", 300.0)
    assert world.order("203.0.113.5", action="unblock", by=CELL) == ("active", 60.0)
    assert world.told == frozenset()
    world.clock.seconds += 60
    assert world.tick() == [("203.0.113.5", "expired")]
    assert world.firewall.blocked() == {}


def test_a_person_shortens_what_a_cell_claims_too(world: World) -> None:
    world.order("203.0.113.5", 300, by=CELL)
    world.order("203.0.113.5", 300)
    assert world.order("203.0.113.5", 60, origin="user:ana") == ("active", 60.0)
    assert world.firewall.blocked() == {IPv4Address("203.0.113.5"): 60.0}
    assert world.order("203.0.113.5", 300, by=CELL)[0] == "failed", "its evidence is of before"
    world.clock.seconds += 60
    assert world.tick() == [("203.0.113.5", "expired")]
    world.clock.seconds += 1
    assert world.order("203.0.113.5", 300, by=CELL) == ("active", 300.0)


def test_a_lift_ends_every_claim_and_vetoes_those_of_others(world: World) -> None:
    world.order("203.0.113.5", 300, by=CELL)
    world.order("203.0.113.5", 60)
    assert world.order("203.0.113.5", 600, "unblock") == ("lifted", 0.0)
    assert world.told == {CELL}
    assert world.firewall.blocked() == {}
    world.clock.seconds += 600
    assert world.order("203.0.113.5", 300, by=CELL)[0] == "failed", "a supervisor may order it"
    assert world.enforcement.counters["refused_lifted"] == 1
    assert world.restart() == []
    assert world.order("203.0.113.5", 300, by=CELL)[0] == "failed"
    assert world.order("203.0.113.5", 90) == ("active", 90.0), "but not those of the supervisor"
    world.order("203.0.113.5", 0, "unblock")
    world.clock.seconds += 61
    assert world.order("203.0.113.5", 300, by=CELL) == ("active", 300.0)


def test_mapped_and_plain_address_are_one_block(world: World) -> None:
    world.order("203.0.113.5", 60)
    world.order("::ffff:203.0.113.5", 90)
    assert world.enforcement.active == 1
    assert world.firewall.blocked() == {IPv4Address("203.0.113.5"): 90.0}
    assert world.order("::ffff:203.0.113.5", action="unblock")[0] == "lifted"
    assert world.firewall.blocked() == {}


def test_lift(world: World) -> None:
    world.order("203.0.113.5", 60)
    assert world.order("203.0.113.5", action="unblock") == ("lifted", 0.0)
    world.clock.seconds += 100
    assert world.tick() == []
    assert world.order("203.0.113.5", action="unblock") == ("lifted", 0.0)


def test_refusal_touches_nothing(world: World) -> None:
    assert world.order("10.1.2.3")[0] == "refused"
    assert not world.firewall.orders
    assert world.enforcement.counters == {
        "found_in_kernel": 0,
        "refused": 1,
        "refused_allow-list": 1,
    }


def test_duration_is_cut(world: World) -> None:
    assert world.order("203.0.113.5", 7200) == ("active", 3600.0)


def test_failure_is_told(world: World) -> None:
    world.firewall.broken = True
    assert world.order("203.0.113.5")[0] == "failed"
    assert world.enforcement.active == 0
    world.firewall.broken = False
    assert world.order("203.0.113.5")[0] == "active"


def test_end_is_reported_after_the_kernel_could_not_be_asked(world: World) -> None:
    world.order("203.0.113.5", 60)
    world.clock.seconds += 60
    world.firewall.broken = True
    with pytest.raises(FirewallError):
        world.tick()
    world.firewall.broken = False
    assert world.tick() == [("203.0.113.5", "expired")]


@pytest.mark.parametrize("restarted", [False, True])
def test_the_same_order_again_blocks_no_longer(world: World, restarted: bool) -> None:
    world.order("203.0.113.5", 60, ident="urn:uuid:1")
    world.clock.seconds += 20
    if restarted:
        assert world.restart() == [("203.0.113.5", "active")]
    assert world.order("203.0.113.5", 60, ident="urn:uuid:1") == ("active", 40.0)
    assert world.firewall.blocked() == {IPv4Address("203.0.113.5"): 40.0}
    assert world.order("203.0.113.5", 60, ident="urn:uuid:2") == ("active", 60.0)


@pytest.mark.parametrize("empty_kernel", [False, True])
def test_blocks_outlive_a_restart(world: World, empty_kernel: bool) -> None:
    world.order("203.0.113.5", 60)
    world.order("2001:db8::5", 600)
    world.clock.seconds += 100
    found = world.restart(empty_kernel=empty_kernel)
    assert found == [("2001:db8::5", "active")]
    assert world.firewall.blocked() == {IPv6Address("2001:db8::5"): 500.0}


def test_wall_clock_does_not_move_a_block(world: World) -> None:
    world.order("203.0.113.5", 60)
    world.clock.skew_us = 3600_000_000
    assert world.tick() == []
    assert world.restart() == [("203.0.113.5", "active")]
    world.clock.skew_us = -3600_000_000
    assert world.restart() == [("203.0.113.5", "active")]
    assert world.firewall.blocked() == {IPv4Address("203.0.113.5"): 60.0}
    world.clock.seconds += 60
    assert world.tick() == [("203.0.113.5", "expired")]


@pytest.mark.parametrize(
    ("skew_days", "left"), [(0, [1800.0]), (-30, [2400.0]), (-1, [2400.0]), (30, [])]
)
def test_after_a_reboot_no_block_lasts_longer_than_ordered(
    world: World, skew_days: int, left: list[float]
) -> None:
    """A clock that boots behind can't say how long the host was off: the block is no longer."""
    world.order("203.0.113.5", 3600)
    world.clock.seconds += 1200
    world.tick()
    world.clock.reboot(off_s=600)
    world.clock.skew_us = skew_days * 86400 * 1_000_000
    world.restart(empty_kernel=True)
    assert [*world.firewall.blocked().values()] == left
    # What the agent noted after the reboot counts at the next start.
    world.clock.seconds += 100
    world.restart()
    assert [*world.firewall.blocked().values()] == [seconds - 100 for seconds in left]


def test_a_restart_agrees_with_what_was_reported_and_a_reboot_with_nobody(world: World) -> None:
    nothing = world.enforcement.in_force()
    world.order("203.0.113.5", 3600)
    told = world.enforcement.in_force()
    assert told != nothing
    world.restart()
    assert world.enforcement.in_force() == told
    world.clock.reboot(off_s=60)
    world.restart()
    assert world.enforcement.in_force() == contradict(told)


def test_the_supervisor_shortens_what_a_reboot_left_too_long(world: World) -> None:
    world.order("203.0.113.5", 3600, ident="urn:uuid:1")
    world.clock.seconds += 1200
    world.tick()
    world.clock.reboot(off_s=600)
    world.clock.skew_us = -30 * 86400 * 1_000_000
    world.restart(empty_kernel=True)
    world.clock.skew_us = 0
    assert world.order("203.0.113.5", 1800, ident="urn:uuid:1") == ("active", 1800.0)
    assert world.firewall.blocked() == {IPv4Address("203.0.113.5"): 1800.0}


def test_what_the_kernel_has_for_too_long_is_cut_at_the_start(world: World) -> None:
    world.order("203.0.113.5", 60)
    world.firewall.block(IPv4Address("203.0.113.5"), 86400)
    world.restart()
    assert world.firewall.blocked() == {IPv4Address("203.0.113.5"): 60.0}


def test_more_blocks_than_a_minute_may_have_can_be_ordered_again(world: World) -> None:
    states = Counter(world.order(f"203.0.{n // 250}.{n % 250 + 1}", 900)[0] for n in range(601))
    assert states == {"active": 600, "failed": 1}
    world.clock.seconds += 61
    assert world.order("203.0.2.101", 900)[0] == "active"


def test_what_turns_out_to_be_our_own_is_freed(world: World) -> None:
    world.order("203.0.113.255", 600)
    world.order("203.0.113.5", 600, by=CELL)
    kernel = GatewayAddresses(id="urn:x:k", node="gw1", broadcasts=(IPv4Address("203.0.113.255"),))
    (report,) = world.enforcement.protect(Protected().with_kernel(kernel))
    assert (report.block.state, report.claimants) == ("lifted", {SUPERVISOR})
    assert "broadcast address" in report.block.detail
    assert world.firewall.blocked() == {IPv4Address("203.0.113.5"): 600.0}
    assert world.order("203.0.113.255", 600)[0] == "refused"


def test_grown_allow_list_frees_at_restart(world: World) -> None:
    world.order("203.0.113.5", 600)
    world.allow.append("203.0.113.0/24")
    assert world.restart() == []
    assert world.firewall.blocked() == {}


@pytest.mark.parametrize("bad", ["203.0.113.5", "1.2.3.4 }; add table inet pwn", 7, None])
def test_only_parsed_addresses_reach_the_kernel(bad: object) -> None:
    firewall = Nftables()
    for order in (
        lambda: firewall.block(bad, 60),  # type: ignore[arg-type]
        lambda: firewall.block_many({bad: 60}),  # type: ignore[dict-item]
        lambda: firewall.unblock(bad),  # type: ignore[arg-type]
        lambda: firewall.remaining(bad),  # type: ignore[arg-type]
        lambda: Nftables([bad]),  # type: ignore[list-item]
    ):
        with pytest.raises(TypeError, match="must be"):
            order()
