"""The real console and the real supervisor, each a process, on a real XMPP server."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import threading
import time
from dataclasses import replace

import httpx
import psutil
import pytest

from agents.console.client import ConsoleClient
from agents.console.operator_socket import operator_socket
from tests.agents.processes import (
    Correlation,
    agent_processes,
    needs_prosody,
    served_honeynet,
    until,
)

pytestmark = [pytest.mark.xmpp, pytest.mark.e2e, pytest.mark.timeout(240), needs_prosody]

READERS = 8
VIEWERS = 20
LOAD_S = 8.0
DECISIONS = 40


@pytest.fixture
def honeynet(honeynet_file):
    # A node of its own: the test is not the user that its neighbours would expect.
    with honeynet_file.open("a") as file:
        file.write('[[node]]\nname = "cell"\nagents = ["correlation"]\n')
    with served_honeynet(honeynet_file) as settings:
        yield settings


@pytest.fixture
def start(honeynet, honeynet_file):
    with agent_processes(honeynet_file) as run:
        yield run


@contextlib.asynccontextmanager
async def correlating(honeynet):
    agent = Correlation(honeynet, "cell")
    async with asyncio.TaskGroup() as group:
        group.create_task(agent.run())
        await agent.started.wait()
        yield agent
        agent.stop()


async def decide(honeynet, agent, made, *evidence):
    """Ask for a block; returns how long the supervisor took to answer, in seconds."""
    begin, before = time.monotonic(), len(agent.answers)
    await agent.send(
        honeynet.jids("supervisor")[0], "request", [made, *evidence], protocol="fipa-request"
    )
    async with asyncio.timeout(90):
        while len(agent.answers) == before:  # noqa: ASYNC110  (the agent has no event for it)
            await asyncio.sleep(0.002)
    return time.monotonic() - begin


async def test_whoever_dies_the_console_is_in_step_again(honeynet, start, kit):
    """The console restarts and goes on from its own store; the supervisor restarts and tells."""
    supervisor, console = start("supervisor"), start("console")
    await until(operator_socket(honeynet, "gw1").exists, "the console listens")
    first = replace(kit.decision(), origin=f"correlation.cell@{honeynet.domain}")
    second = replace(kit.decision("d2", "203.0.113.10"), origin=first.origin)
    third = replace(kit.decision("d3", "203.0.113.11"), origin=first.origin)
    with ConsoleClient(honeynet) as client:

        def sources():
            return {block["source"] for block in client.blocks()}

        async with asyncio.timeout(220), correlating(honeynet) as agent:
            await decide(honeynet, agent, first, *flat(kit.evidence(first)))
            await until(lambda: sources() == {"203.0.113.9"}, "the page shows the block")

            console.kill()
            console.wait()
            await decide(honeynet, agent, second)
            supervisor.kill()
            supervisor.wait()
            start("console")
            # Alone, with what it knew: the page answers, and says how old that is.
            await until(lambda: sources() == {"203.0.113.9"}, "the console reads its store")
            assert client.me()["heard_us"] == 0
            with pytest.raises(Exception, match="the supervisor does not answer"):
                await asyncio.to_thread(client.lift, "203.0.113.9", reason="too early")
            start("supervisor")
            await until(lambda: len(sources()) == 2, "the restarted supervisor tells all")
            await decide(honeynet, agent, third)
            await until(lambda: len(sources()) == 3, "and every change")
            await until(lambda: client.me()["heard_us"] > 0, "the supervisor is heard")
            (block,) = client.blocks(source="203.0.113.9")
            assert len(client.block(block["id"])["alerts"]) == 2
            lifted = await asyncio.to_thread(client.lift, "203.0.113.9", reason="mistake")
            assert lifted["ended_by"] == "user:cli"

            def up():
                states = {a["role"]: a["state"] for a in client.agents() if a["node"] == "gw1"}
                return states["console"] == states["supervisor"] == "up"

            await until(up, "both are in the directory again")


def flat(evidence):
    incident, alerts = evidence
    return (incident, *alerts)


async def test_commands_wait_until_their_socket_can_be_made(honeynet, start):
    """As on a disk that is full or read-only when the console starts."""
    path = operator_socket(honeynet, "gw1")
    path.mkdir(parents=True)
    start("supervisor"), start("console")
    page = f"http://{honeynet.console.listen}/api/v1/health"
    async with httpx.AsyncClient() as visitor:

        async def answers() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return (await visitor.get(page)).status_code < 500
            return False

        async with asyncio.timeout(60):
            while not await answers():  # noqa: ASYNC110  another process
                await asyncio.sleep(0.1)
    assert path.is_dir()
    path.rmdir()
    await until(path.is_socket, "commands are served")
    with ConsoleClient(honeynet) as client:
        assert client.me()


async def test_a_busy_page_costs_the_supervisor_nothing_and_delays_no_order(honeynet, start, kit):
    """Readers and viewers keep the console busy; the supervisor's process does not notice."""
    processes = {name: psutil.Process(start(name).pid) for name in ("supervisor", "console")}
    await until(operator_socket(honeynet, "gw1").exists, "the console listens")
    base = f"http://{honeynet.console.listen}"
    ended = threading.Event()
    asked = [0] * READERS

    def cookies():
        password = (honeynet.state_dir / "console-password").read_text().strip()
        with httpx.Client(base_url=base, headers={"Origin": base}, timeout=30) as client:
            client.post("/login", data={"user": "operator", "password": password})
            assert client.cookies
            return client.cookies

    logged_in = await asyncio.to_thread(cookies)

    def read(number):
        with httpx.Client(base_url=base, cookies=logged_in, timeout=30) as client:
            while not ended.is_set():
                for path in ("blocks?state=all", "audit", "incidents", "agents"):
                    assert client.get(f"/api/v1/{path}").status_code == 200
                    asked[number] += 1

    async def view(client):
        async with client.stream("GET", f"{base}/api/v1/events") as stream:
            async for _ in stream.aiter_bytes():
                pass

    def spent(name):
        times = processes[name].cpu_times()
        return times.user + times.system

    async with asyncio.timeout(220), correlating(honeynet) as agent:
        origin = agent.jid
        await decide(honeynet, agent, replace(kit.decision("first"), origin=origin))

        async def series(name):
            taken = []
            for n in range(DECISIONS):
                made = kit.decision(f"{name}-{n}", f"203.0.113.{100 + n}")
                taken.append(await decide(honeynet, agent, replace(made, origin=origin)))
            return taken

        alone = await series("alone")
        async with httpx.AsyncClient(cookies=logged_in, timeout=60) as client:
            viewers = [asyncio.ensure_future(view(client)) for _ in range(VIEWERS)]
            threads = [threading.Thread(target=read, args=(n,)) for n in range(READERS)]
            for thread in threads:
                thread.start()
            before = {name: spent(name) for name in processes}
            await asyncio.sleep(LOAD_S)
            used = {name: spent(name) - before[name] for name in processes}
            loaded = await series("loaded")
            ended.set()
            for thread in threads:
                await asyncio.to_thread(thread.join)
            for viewer in viewers:
                viewer.cancel()
            await asyncio.gather(*viewers, return_exceptions=True)
    shown = f"{used}, {sum(asked)} requests, {statistics.median(alone)} {statistics.median(loaded)}"
    print(shown)
    assert sum(asked) > 100, shown
    assert used["console"] > 1.0, f"the load was none: {shown}"
    assert used["supervisor"] < 0.2 * used["console"], shown
    # The machine is as busy as the readers make it; an order still takes no part of a second.
    assert statistics.median(loaded) < max(0.25, 5 * statistics.median(alone)), shown
