"""Real agents whose hosts' clocks are set while they run, and at their start.

What each process takes for the wall clock is set through a file; the clocks that nobody can set are
the host's own. Three hosts: one with supervisor, console and a gateway, one with the other gateway,
and the test, which plays a correlation agent, on the right time.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agents.clock import read_clocks
from agents.console.client import ConsoleClient
from agents.console.operator_socket import operator_socket
from agents.reaction.store import ClaimStore
from agents.settings.honeynet import Settings
from datasets.laboratory.failing_host import build, environment, set_clock
from tests.agents import factories
from tests.agents.conftest import free_port
from tests.agents.processes import (
    Correlation,
    agent_processes,
    needs_prosody,
    served_honeynet,
    until,
)

HONEYNET = """\
name = "test"
domain = "honeynet.test"
[xmpp]
port = {port}
[console]
listen = "127.0.0.1:{console}"
[[node]]
name = "gw1"
agents = ["supervisor", "console", "reaction", "ontology"]
[[node]]
name = "gw2"
agents = ["reaction"]
interfaces = ["lo"]
# A node of its own: the test is not the user that its neighbours would expect.
[[node]]
name = "cell"
agents = ["correlation"]
"""
HOUR, DAY = 3_600, 86_400
START_S = 90
"""Seconds that agents get to start."""
SOON_S = 15.0
"""Seconds, on a machine that does other things as well."""

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xmpp,
    pytest.mark.timeout(240),
    needs_prosody,
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc)"),
]


class Host:
    """A host whose clock can be set."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self._clock = path / "clock"
        self.set(0)
        # In a folder of the program, which every agent may read whatever else it gave up.
        self.environment = environment(build(path), clock=self._clock) | {"PYTHONPATH": str(path)}

    def set(self, ahead_s: int) -> None:
        """Seconds that it is ahead of the right time; negative: behind."""
        set_clock(self._clock, ahead_s)


@pytest.fixture
def honeynet(tmp_path: Path) -> Iterator[Settings]:
    file = tmp_path / "honeynet.toml"
    file.write_text(HONEYNET.format(port=free_port(), console=free_port()))
    with served_honeynet(file) as settings:
        yield settings


@pytest.fixture
def start(honeynet: Settings, tmp_path: Path) -> Iterator[Any]:
    with agent_processes(tmp_path / "honeynet.toml") as run:
        yield run


class World:
    """The honeynet as an operator sees it."""

    def __init__(self, honeynet: Settings, client: ConsoleClient, correlation: Correlation) -> None:
        self.honeynet, self.client, self.correlation = honeynet, client, correlation

    def states(self, source: str) -> dict[str, str]:
        found = self.client.blocks(state="all", source=source, limit=1)
        return {g["gateway"]: g["state"] for b in found for g in b["gateways"]}

    def left_s(self, source: str) -> list[float]:
        """What remains of a block, by the page and by each gateway's last word."""
        [block] = self.client.blocks(source=source)
        now_us = self.client.me()["now_us"]
        ends = [block["expires_us"], *(g["expires_us"] for g in block["gateways"])]
        return [(end - now_us) / 1e6 for end in ends]

    async def blocked(self, name: str, source: str, seconds: int) -> float:
        """Decide on a block; how long it took until both gateways have it, in seconds."""
        begin = time.monotonic()
        made = replace(
            factories.decision(name, source),
            origin=self.correlation.jid,
            duration_s=seconds,
        )
        await self.correlation.send(
            self.honeynet.jids("supervisor")[0], "request", [made], protocol="fipa-request"
        )
        wanted = {"gw1": "active", "gw2": "active"}
        await until(lambda: self.states(source) == wanted, f"{source} is blocked everywhere")
        return time.monotonic() - begin

    def news(self) -> list[str]:
        """What agents say of clocks."""
        return [
            condition["reason"]
            for agent in self.client.agents()
            for condition in agent["conditions"]
            if condition["name"] == "clock"
        ]


def claimed_s(honeynet: Settings, gateway: str, source: str) -> float:
    """Seconds that are left of a block by what the gateway keeps."""
    now = read_clocks()
    file = honeynet.state_dir / honeynet.jid("reaction", gateway) / "blocks.sqlite3"
    with closing(ClaimStore(file)) as store:
        latest = store.load(now)[ip_address(source)].latest
    assert latest is not None
    return latest.end - now.steady_s


@pytest.mark.parametrize(
    ("first_s", "second_s"),
    [
        pytest.param(-HOUR, -HOUR, id="all back by an hour"),
        pytest.param(-DAY, -DAY, id="all back by a day"),
        pytest.param(DAY, DAY, id="all forward by a day"),
        pytest.param(0, -HOUR, id="one gateway back by an hour"),
        pytest.param(0, 30 * DAY, id="one gateway forward by a month"),
        pytest.param(-DAY, HOUR, id="the supervisor's back, a gateway's forward"),
    ],
)
async def test_clocks_that_are_set(
    honeynet: Settings, start: Any, tmp_path: Path, first_s: int, second_s: int
) -> None:
    first, second = Host(tmp_path / "first"), Host(tmp_path / "second")
    for role in ("supervisor", "reaction", "console"):
        start(role, environment=first.environment)
    reaction = start("reaction", "gw2", environment=second.environment)
    await until(operator_socket(honeynet, "gw1").exists, "the console listens", START_S)
    with ConsoleClient(honeynet) as client:
        correlation = Correlation(honeynet, "cell")
        world = World(honeynet, client, correlation)
        async with asyncio.timeout(200), asyncio.TaskGroup() as group:
            group.create_task(correlation.run())
            await correlation.started.wait()
            begin = time.monotonic()
            await world.blocked("d1", "203.0.113.9", 1800)

            def as_ordered() -> bool:
                """Whether so much is left of the first block, by every clock."""
                left_s = 1800 - (time.monotonic() - begin)
                return all(abs(left - left_s) < SOON_S for left in world.left_s("203.0.113.9"))

            first.set(first_s)
            second.set(second_s)
            assert await world.blocked("d2", "203.0.113.10", 600) < SOON_S
            word = "back" if min(first_s, second_s) < 0 else "forward"
            await until(
                lambda: any(word in line for line in world.news()), "status says what happened"
            )

            # A lift arrives as well, and no block has become longer or shorter.
            lifted = await asyncio.to_thread(client.lift, "203.0.113.10", reason="mistake")
            assert lifted["state"] == "lifted"
            await until(lambda: set(world.states("203.0.113.10").values()) == {"lifted"}, "lifted")
            await until(as_ordered, "what is left is what was ordered")
            active = {"gw1": "active", "gw2": "active"}
            # "unknown" for as long as a gateway was silent.
            await until(lambda: world.states("203.0.113.9") == active, "still blocked")

            # A gateway that starts with its clock off goes on with what is left.
            reaction.kill()
            reaction.wait()
            second.set(second_s - 30 * DAY)
            start("reaction", "gw2", environment=second.environment)
            assert await world.blocked("d3", "203.0.113.11", 600) < START_S
            assert world.states("203.0.113.9") == active
            assert as_ordered(), world.left_s("203.0.113.9")
            left_s = world.left_s("203.0.113.9")[0]
            assert abs(claimed_s(honeynet, "gw2", "203.0.113.9") - left_s) < SOON_S
            correlation.stop()


async def test_a_message_that_was_recorded_is_refused_after_the_clocks_are_set_back(
    honeynet: Settings, start: Any, tmp_path: Path
) -> None:
    """To the very time at which it was fresh."""
    host = Host(tmp_path / "first")
    for role in ("supervisor", "reaction", "console"):
        start(role, environment=host.environment)
    await until(operator_socket(honeynet, "gw1").exists, "the console listens", START_S)
    with ConsoleClient(honeynet) as client:
        correlation = Correlation(honeynet, "cell")
        world = World(honeynet, client, correlation)
        async with asyncio.timeout(200), asyncio.TaskGroup() as group:
            group.create_task(correlation.run())
            await correlation.started.wait()
            recorded: list[Any] = []
            routes = correlation._exchange.routes
            transmit = correlation._exchange.delivery._wire

            def record(message: Any, to: str) -> None:
                recorded.append((message, to))
                transmit(message, to)

            correlation._exchange.delivery._wire = record
            made = replace(factories.decision(), origin=correlation.jid)
            supervisor = honeynet.jids("supervisor")[0]
            await correlation.send(supervisor, "request", [made], protocol="fipa-request")
            await until(lambda: world.states("203.0.113.9").get("gw1") == "active", "blocked")
            await asyncio.to_thread(client.lift, "203.0.113.9", reason="mistake")
            orders = [m for m, to in recorded if to == supervisor and m.reply_with]
            assert orders

            def refused() -> int:
                """So often as the supervisor says; its entry is renewed every five seconds."""
                [agent] = [a for a in client.agents() if a["role"] == "supervisor"]
                return sum(int(agent["health"].get(f"refused_{w}", 0)) for w in ("replay", "stale"))

            for number, step_s in enumerate((0, -HOUR, -DAY, DAY), start=1):
                host.set(step_s)
                await asyncio.sleep(2.5)  # more than the agents' look at the clock
                before = refused()
                for order in orders:
                    routes.transmit(order, supervisor)
                await until(lambda: refused() > before, f"refused, {number}")  # noqa: B023
            assert client.blocks() == []
            correlation.stop()
