"""Orders in, reports out, with a firewall that keeps notes."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from agents.reaction.desk import ReactionDesk
from agents.reaction.firewall import DryRunFirewall, FirewallError
from agents.reaction.nftables import Nftables
from agents.reaction.policy import ReactionPolicy
from agents.reaction.store import BlockStore, HeldBlock
from agents.settings.honeynet import Settings
from ontology.records import Address, Decision

T0_US = 1_800_000_000_000_000


class Clock:
    """One time for the wall and the monotonic clock; ``skew_us`` moves only the wall."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.skew_us = 0

    def __call__(self) -> float:
        return self.seconds

    @property
    def now_us(self) -> int:
        return T0_US + int((self.seconds - 1000.0) * 1e6) + self.skew_us


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


class World:
    """One gateway; `restart` gives it a new desk, and a new kernel if asked."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.path = path
        self.firewall = BrokenFirewall(self.clock)
        self.allow = ["10.1.0.0/16"]
        self.desk = self.make()

    def make(self) -> ReactionDesk:
        settings = Settings.model_validate(
            {
                "state_dir": self.path,
                "policy": {"allow": self.allow, "maximum_duration": "1h"},
                "node": [
                    {
                        "name": "gw1",
                        "agents": ["supervisor", "correlation", "ontology", "reaction"],
                    }
                ],
            }
        )
        return ReactionDesk(
            ReactionPolicy(settings),
            self.firewall,
            BlockStore(self.path / "blocks.sqlite3"),
            gateway="gw1",
            clock=self.clock,
        )

    def restart(self, *, empty_kernel: bool = False) -> list[tuple[str, str]]:
        self.desk.close()
        if empty_kernel:
            self.firewall = BrokenFirewall(self.clock)
        self.desk = self.make()
        return [(str(b.source), b.state) for b in self.desk.start(self.clock.now_us)]

    def order(
        self, source: str, duration_s: int = 60, action: str = "block", ident: str = ""
    ) -> tuple[str, float]:
        """(state, seconds until the end)."""
        decision = Decision(
            id=ident or f"urn:uuid:{uuid.uuid4()}",
            action=action,
            source=ip_address(source),
            classification="SynScan",
            origin="correlation.gw1@honeynet.localdomain",
            decided_us=self.clock.now_us,
            duration_s=duration_s if action == "block" else 0,
            reason="test",
        )
        (block,) = self.desk.handle([decision], self.clock.now_us)
        assert block.decision == decision.id
        assert block.source == decision.source
        assert block.gateway == "gw1"
        return block.state, (block.expires_us - self.clock.now_us) / 1e6

    def tick(self) -> list[tuple[str, str]]:
        return [(str(b.source), b.state) for b in self.desk.tick(self.clock.now_us)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    assert world.desk.start(world.clock.now_us) == []
    yield world
    world.desk.close()


def test_block_ends_by_itself_and_is_reported_once(world: World) -> None:
    assert world.order("203.0.113.5", 60) == ("active", 60.0)
    assert world.order("2001:db8::5", 90) == ("active", 90.0)
    world.clock.seconds += 59
    assert world.tick() == []
    world.clock.seconds += 1
    assert world.tick() == [("203.0.113.5", "expired")]
    assert world.tick() == []
    assert world.desk.active == 1
    world.clock.seconds += 30
    assert world.tick() == [("2001:db8::5", "expired")]


def test_renewed_block_ends_at_the_later_end(world: World) -> None:
    world.order("203.0.113.5", 60)
    world.clock.seconds += 30
    assert world.order("203.0.113.5", 10) == ("active", 30.0)
    assert world.order("203.0.113.5", 300) == ("active", 300.0)
    world.clock.seconds += 60
    assert world.tick() == []
    world.clock.seconds += 240
    assert world.tick() == [("203.0.113.5", "expired")]


def test_mapped_and_plain_address_are_one_block(world: World) -> None:
    world.order("203.0.113.5", 60)
    world.order("::ffff:203.0.113.5", 90)
    assert world.desk.active == 1
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
    assert world.desk.counters == {
        "found_in_kernel": 0,
        "refused": 1,
        "refused_allow-list": 1,
    }


def test_duration_is_cut(world: World) -> None:
    assert world.order("203.0.113.5", 7200) == ("active", 3600.0)


def test_failure_is_told(world: World) -> None:
    world.firewall.broken = True
    assert world.order("203.0.113.5")[0] == "failed"
    assert world.desk.active == 0
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


def test_grown_allow_list_frees_at_restart(world: World) -> None:
    world.order("203.0.113.5", 600)
    world.allow.append("203.0.113.0/24")
    assert world.restart() == []
    assert world.firewall.blocked() == {}


def test_unreadable_rows_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "blocks.sqlite3"
    with closing(BlockStore(path)) as store:
        store.put(
            [HeldBlock(address=IPv4Address("10.0.0.1"), decision="d", since_us=1, expires_us=2)]
        )
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("INSERT INTO block VALUES ('1.2.3.4 }; flush ruleset', 'd', 1, 2)")
    with closing(BlockStore(path)) as store:
        assert [str(row.address) for row in store.load()] == ["10.0.0.1"]


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
