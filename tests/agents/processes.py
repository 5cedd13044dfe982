"""Agents as processes on a real XMPP server, and one in the test that talks to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.base import AgentContext, BaseAgent
from agents.console.client import ConsoleError
from agents.launcher.xmpp_server import XmppServer
from agents.messages.acl import AclMessage
from agents.settings.honeynet import Settings, load_settings
from agents.trust.identity import ensure_keys
from ontology.records import Decision

LIMIT_S = 30
needs_prosody = pytest.mark.skipif(
    shutil.which("prosody", path="/usr/bin") is None, reason="prosody is not installed"
)


class Correlation(BaseAgent[None]):
    """Sends what it is told to, and keeps the answers."""

    role = "correlation"

    def __init__(self, settings, node="gw1") -> None:
        super().__init__(AgentContext(settings=settings, role="correlation", node=node))
        self.answers: list[tuple[str, str, str]] = []
        self.started = asyncio.Event()
        self.refused: list[str] = []

    async def on_start(self) -> None:
        self.started.set()

    async def on_message(self, message: AclMessage, records) -> None:
        for record in records:
            if isinstance(record, Decision):  # a gateway also says what its kernel has
                self.answers.append((message.performative, record.id, record.reason))

    async def on_refused(self, receiver: str, reply_with: str, reason: str) -> None:
        self.refused.append(reason)


async def until(condition, what, limit_s=LIMIT_S):
    """Wait for a condition that may ask the console (in a thread)."""
    deadline = time.monotonic() + limit_s
    while True:
        with contextlib.suppress(ConsoleError, LookupError):
            found = await asyncio.to_thread(condition)
            if found:
                return found
        assert time.monotonic() < deadline, f"not in {limit_s} s: {what}"
        await asyncio.sleep(0.05)


@contextlib.contextmanager
def served_honeynet(honeynet_file: Path) -> Iterator[Settings]:
    """A honeynet with keys, a dry-run policy, and its XMPP server up."""
    with honeynet_file.open("a") as file:
        file.write('[policy]\ndry_run = true\nallow = ["198.51.100.0/24"]\n')
    settings = load_settings(honeynet_file)
    ensure_keys(settings)
    server = XmppServer(settings)
    server.start()
    assert server.ready()
    yield settings
    server.stop()


@contextlib.contextmanager
def agent_processes(honeynet_file: Path):
    """Starts agents as processes; ends them afterwards, cleanly."""
    processes = {}
    log = (honeynet_file.parent / "agents.log").open("ab")

    def run(role, node="gw1", environment=None):
        command = [sys.executable, "-m", "agents.launcher.process", role, node, str(honeynet_file)]
        env = {**os.environ, **(environment or {})}
        processes[role, node] = subprocess.Popen(command, stdout=log, stderr=log, env=env)
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
