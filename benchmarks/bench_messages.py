"""Agent to agent: signed, acknowledged alerts between two processes over TLS and a real Prosody.

    python benchmarks/bench_messages.py

Prints alerts a second by the number of alerts in a message (the ratio is to one a message), then
the milliseconds from `send` to the receiver's handler for one alert at a time, 20 a second.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from ipaddress import IPv4Address
from pathlib import Path
from typing import cast

from agents.base import AgentContext, BaseAgent, run_agent
from agents.launcher.xmpp_server import XmppServer
from agents.messages.acl import AclMessage
from agents.settings.honeynet import load_settings
from agents.trust.identity import ensure_keys
from ontology.records import AgentDescription, Alert, Record, Role

HONEYNET = """\
[xmpp]
port = {port}
[[node]]
name = "gw1"
agents = ["analyzer", "correlation", "ontology", "supervisor"]
"""
PORT = 15223
BATCHES = (1, 10, 50)
ALERTS = {1: 600, 10: 4000, 50: 10_000}
SINGLES, SINGLE_EVERY_S = 200, 0.05
LIMIT_S = 120.0


def make_alert(analyzer: str) -> Alert:
    """As an analyzer reports a scan; its explanation carries the time of sending."""
    return Alert(
        id=f"urn:uuid:{uuid.uuid4()}",
        classification="SynScan",
        source=IPv4Address("192.0.2.1"),
        target=IPv4Address("192.0.2.2"),
        protocol=6,
        begin_us=1_700_000_000_000_000,
        end_us=1_700_000_001_000_000,
        confidence=0.9,
        verified_source=False,
        sensor="bench",
        analyzer=analyzer,
        explanation=f"{time.monotonic_ns()} 192.0.2.1 sent SYN to 500 ports of 192.0.2.2 in 1.0 s",
    )


class Emitter(BaseAgent[None]):
    """Sends every load in turn, each when the one before is acknowledged; prints its findings."""

    role = "analyzer"

    async def on_start(self) -> None:
        self.spawn(self._emit(), name="emit")

    async def _emit(self) -> None:
        to = self.settings.jids("correlation")[0]
        await self._send(to, 1)
        await self._acknowledged()
        for size in BATCHES:
            began = time.monotonic()
            for _ in range(ALERTS[size] // size):
                await self._send(to, size)
            await self._acknowledged()
            rate = ALERTS[size] / (time.monotonic() - began)
            print(json.dumps({"size": size, "alerts_per_s": rate}), flush=True)
        print(json.dumps({"singles": SINGLES}), flush=True)
        await asyncio.sleep(1.0)
        for _ in range(SINGLES):
            await self._send(to, 1)
            await asyncio.sleep(SINGLE_EVERY_S)
        await self._acknowledged()
        print(json.dumps({"done": True}), flush=True)

    async def _send(self, to: str, size: int) -> None:
        alerts = [make_alert(self.jid) for _ in range(size)]
        await self.send(to, "inform", alerts, protocol="fipa-subscribe")

    async def _acknowledged(self) -> None:
        while self.pending:  # noqa: ASYNC110  the outbox has no event for it
            await asyncio.sleep(0.005)

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """Nobody writes to it."""


class Collector(BaseAgent[None]):
    """Prints the milliseconds on the way of the last `SINGLES` messages when it ends."""

    role = "correlation"

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self._latency_ms: list[float] = []

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        now = time.monotonic_ns()
        first = records[0]
        if isinstance(first, Alert):
            self._latency_ms.append((now - int(first.explanation.split()[0])) / 1e6)

    async def on_stop(self) -> None:
        print(json.dumps(self._latency_ms[-SINGLES:]), flush=True)


class Supervisor(BaseAgent[None]):
    """Answers registrations, so that nobody repeats them all the time."""

    role = "supervisor"

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        if any(isinstance(record, AgentDescription) for record in records):
            await self.reply(message, "inform", ())


ACTORS: dict[Role, type[BaseAgent[None]]] = {a.role: a for a in (Emitter, Collector, Supervisor)}


def act(role: Role, file: Path) -> int:
    """One agent process."""
    context = AgentContext(settings=load_settings(file), role=role, node="gw1")
    return run_agent(ACTORS[role], context, None)


def main() -> int:
    """Returns 0 when everything arrived."""
    with tempfile.TemporaryDirectory(prefix="ontoidps-") as name:
        file = Path(name, "honeynet.toml")
        file.write_text(HONEYNET.format(port=PORT), encoding="utf-8")
        settings = load_settings(file)
        settings.state_dir.mkdir(mode=0o700)
        ensure_keys(settings)
        server = XmppServer(settings)
        server.start()
        actors: dict[str, subprocess.Popen[str]] = {}
        try:
            if not server.ready():
                raise RuntimeError("prosody does not answer")
            with Path(name, "log").open("w", encoding="utf-8") as log:
                for role in ACTORS:
                    command = [sys.executable, __file__, role, str(file)]
                    actors[role] = subprocess.Popen(
                        command, stdout=subprocess.PIPE, stderr=log, text=True
                    )
            return _report(actors["analyzer"], actors["correlation"])
        finally:
            for actor in actors.values():
                actor.kill()
                actor.wait()
            server.stop()


def _report(emitter: subprocess.Popen[str], collector: subprocess.Popen[str]) -> int:
    assert emitter.stdout is not None
    print(f"{'alerts a message':>16} {'alerts/s':>9} {'ratio':>6}")
    base, end = 0.0, time.monotonic() + LIMIT_S
    for line in emitter.stdout:
        said = json.loads(line)
        if "size" in said:
            base = base or said["alerts_per_s"]
            rate = said["alerts_per_s"]
            print(f"{said['size']:>16} {rate:>9.0f} {rate / base:>6.1f}", flush=True)
        if said.get("done") or time.monotonic() > end:
            break
    collector.terminate()
    said, _ = collector.communicate(timeout=10)
    latency = json.loads(said.splitlines()[-1])
    median, p95 = statistics.median(latency), statistics.quantiles(latency, n=20)[-1]
    print(f"one alert: median {median:.1f} ms, p95 {p95:.1f} ms; load {os.getloadavg()[0]:.1f}")
    return 0 if len(latency) == SINGLES else 1


if __name__ == "__main__":
    sys.exit(act(cast(Role, sys.argv[1]), Path(sys.argv[2])) if len(sys.argv) == 3 else main())
