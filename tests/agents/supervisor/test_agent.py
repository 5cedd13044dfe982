"""Supervisor, console and a (dry-run) reaction agent as processes, on a real XMPP server."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from agents.base import AgentContext, BaseAgent
from agents.console.client import ConsoleClient, ConsoleError
from agents.launcher.xmpp_server import XmppServer
from agents.messages.acl import AclMessage
from agents.settings.honeynet import load_settings
from agents.trust.identity import ensure_keys

pytestmark = [
    pytest.mark.xmpp,
    pytest.mark.e2e,
    pytest.mark.skipif(
        shutil.which("prosody", path="/usr/bin") is None, reason="prosody is not installed"
    ),
]
LIMIT_S = 30


class Correlation(BaseAgent[None]):
    """Sends what it is told to, and keeps the answers."""

    role = "correlation"

    def __init__(self, settings) -> None:
        super().__init__(AgentContext(settings=settings, role="correlation", node="gw1"))
        self.answers: list[tuple[str, str, str]] = []
        self.started = asyncio.Event()
        self.refused: list[str] = []

    async def on_start(self) -> None:
        self.started.set()

    async def on_message(self, message: AclMessage, records) -> None:
        for record in records:
            self.answers.append((message.performative, record.id, record.reason))

    async def on_refused(self, receiver: str, reply_with: str, reason: str) -> None:
        self.refused.append(reason)


async def until(condition, what):
    """Wait for a condition that may ask the console (in a thread)."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        with contextlib.suppress(ConsoleError, LookupError):
            found = await asyncio.to_thread(condition)
            if found:
                return found
        assert time.monotonic() < deadline, f"not in {LIMIT_S} s: {what}"
        await asyncio.sleep(0.05)


@pytest.fixture
def honeynet(honeynet_file, new_port):
    with honeynet_file.open("a") as file:
        file.write('[policy]\ndry_run = true\nallow = ["198.51.100.0/24"]\n')
        file.write(f'[console]\nlisten = "127.0.0.1:{new_port()}"\n')
    settings = load_settings(honeynet_file)
    ensure_keys(settings)
    server = XmppServer(settings)
    server.start()
    assert server.ready()
    yield settings
    server.stop()


@pytest.fixture
def start(honeynet, honeynet_file):
    """Starts agents as processes; ends them after the test, cleanly."""
    processes = {}
    log = (honeynet_file.parent / "agents.log").open("ab")

    def run(role, node="gw1"):
        command = [sys.executable, "-m", "agents.launcher.process", role, node, str(honeynet_file)]
        processes[role, node] = subprocess.Popen(command, stdout=log, stderr=log)
        return processes[role, node]

    yield run
    for process in processes.values():
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    codes = {name: process.wait(20) for name, process in processes.items()}
    log.close()
    text = (honeynet_file.parent / "agents.log").read_text()
    assert set(codes.values()) <= {0, -signal.SIGKILL}, f"{codes}\n{text}"
    assert "Traceback" not in text, text


async def test_a_decision_is_propagated_reported_lifted_and_survives_kills(honeynet, start, kit):
    supervisor = start("supervisor")
    start("reaction")
    start("console")
    token = honeynet.state_dir / "console-token"
    await until(token.exists, "the console makes its token")
    correlation = Correlation(honeynet)
    made = replace(kit.decision(), origin=correlation.jid)
    allowed = replace(kit.decision("d2", "198.51.100.7"), origin=correlation.jid)
    forged = replace(kit.decision("d3", "203.0.113.99"), origin="user:operator")

    with ConsoleClient(honeynet) as client:

        def gateways():
            found = client.blocks(state="all", source="203.0.113.9")
            assert len(found) <= 1
            states = {g["gateway"]: g["state"] for b in found for g in b["gateways"]}
            return states or {"gw1": "unheard of"}

        async with asyncio.timeout(100), asyncio.TaskGroup() as group:
            group.create_task(correlation.run())
            await correlation.started.wait()
            incident, alerts = kit.evidence(made)

            async def ask(*records):
                await correlation.send(
                    honeynet.jids("supervisor")[0], "request", records, protocol="fipa-request"
                )

            await ask(made, incident, *alerts)
            await ask(allowed)
            await ask(forged)
            await until(lambda: gateways()["gw1"] == "active", "gw1 reports the block")
            await until(lambda: len(correlation.answers) == 2, "both decisions are answered")
            await until(lambda: correlation.refused, "the forged origin is refused")
            assert correlation.answers[0][:2] == ("agree", made.id)
            performative, name, reason = correlation.answers[1]
            assert (performative, name) == ("refuse", allowed.id)
            assert "allow-list" in reason
            assert correlation.refused == ["role"]
            assert gateways()["gw2"] == "pending"
            (block,) = client.blocks()
            detail = client.block(block["id"])
            assert detail["incidents"][0]["rule"] == "ScanThenBruteForce"
            assert len(detail["alerts"]) == 2

            # A gateway that comes later gets what remains.
            start("reaction", "gw2")
            await until(lambda: gateways()["gw2"] == "active", "gw2 gets the block when it comes")

            # The supervisor dies without a word, and comes back with all it knew.
            supervisor.kill()
            supervisor.wait()
            start("supervisor")
            await until(lambda: client.blocks(), "the new supervisor knows the block")
            lifted = client.lift("203.0.113.9", reason="false positive")
            assert lifted["state"] == "lifted"
            await until(
                lambda: set(gateways().values()) == {"lifted"}, "both gateways confirm the lift"
            )
            whats = [line["what"] for line in client.audit()["lines"]]
            assert whats.count("block: blocked") == 1
            states = {(a["role"], a["node"]): a["state"] for a in client.agents()}
            assert states["supervisor", "gw1"] == "up"
            correlation.stop()
