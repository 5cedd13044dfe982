"""Agent to agent: signed, acknowledged messages between processes, within a node and between two.

    python benchmarks/bench_messages.py

Three ways: alerts from another node, over TLS and a real Prosody; the same within a node, over its
unix sockets; and a sensor's batches of 100 connections to the analyzer of its node. Prints records
a second by the number of records in a message and the sender's CPU time for a message, then the
milliseconds from `send` to the receiver's handler for one message at a time, 20 a second.
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

import numpy as np

from agents.base import AgentContext, BaseAgent, run_agent
from agents.launcher.xmpp_server import XmppServer
from agents.messages.acl import AclMessage
from agents.settings.honeynet import load_settings
from agents.trust.identity import ensure_keys
from ontology.records import (
    CONNECTION,
    AgentDescription,
    Alert,
    ConnectionBatch,
    Record,
    Role,
)

HONEYNET = """\
[xmpp]
port = {port}
[[node]]
name = "gw1"
agents = ["sensor", "analyzer", "correlation", "ontology", "supervisor"]
interfaces = ["lo"]
[[node]]
name = "gw2"
agents = ["analyzer"]
"""
PORT = 15223
BATCHES = (1, 10, 50)
ALERTS = {1: 600, 10: 4000, 50: 10_000}
SINGLES, SINGLE_EVERY_S = 200, 0.05
CONNECTIONS = 100
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


def make_batch(sensor: str) -> ConnectionBatch:
    """What a sensor under a scan sends; the id carries the time of sending."""
    rows = np.zeros(CONNECTIONS, CONNECTION)
    rows["start_us"] = 1_700_000_000_000_000 + np.arange(CONNECTIONS) * 1000
    rows["duration_us"], rows["orig_packets"], rows["resp_packets"] = 900, 1, 1
    rows["protocol"], rows["ip_version"] = 6, 4
    rows["src_port"], rows["dst_port"] = 40_000, np.arange(CONNECTIONS)
    return ConnectionBatch(
        id=f"urn:uuid:{time.monotonic_ns()}",
        sensor=sensor,
        begin_us=1_700_000_000_000_000,
        end_us=1_700_000_001_000_000,
        packets=2 * CONNECTIONS,
        dropped=0,
        malformed=0,
        connections=rows,
    )


class Emitter(BaseAgent[None]):
    """Sends every load in turn, each when the one before is acknowledged; prints its findings."""

    def __init__(self, context: AgentContext) -> None:
        self.role = context.role  # type: ignore[misc]
        super().__init__(context)

    async def on_start(self) -> None:
        self.spawn(self._emit(), name="emit")

    async def _emit(self) -> None:
        sensor = self.role == "sensor"
        to = self.settings.jid("analyzer" if sensor else "correlation", "gw1")
        for _ in range(20):  # until it has registered, and both have met their first message
            await self._send(to, 1)
            await self._acknowledged()
        await asyncio.sleep(1.0)
        for size in (1,) if sensor else BATCHES:
            began, cpu = time.monotonic(), time.process_time()
            for _ in range(ALERTS[size] // size):
                await self._send(to, size)
            await self._acknowledged()
            rate = ALERTS[size] / (time.monotonic() - began)
            used = 1e3 * (time.process_time() - cpu) / (ALERTS[size] / size)
            found = {"size": size, "per_s": rate, "cpu_ms": used}
            print(json.dumps(found), flush=True)
        await asyncio.sleep(1.0)
        for _ in range(SINGLES):
            await self._send(to, 1)
            await asyncio.sleep(SINGLE_EVERY_S)
        await self._acknowledged()
        print(json.dumps({"done": True}), flush=True)

    async def _send(self, to: str, size: int) -> None:
        records: list[Record] = (
            [make_batch(self.jid)]
            if self.role == "sensor"
            else [make_alert(self.jid) for _ in range(size)]
        )
        await self.send(to, "inform", records, protocol="fipa-subscribe")

    async def _acknowledged(self) -> None:
        while self.pending:  # noqa: ASYNC110  the outbox has no event for it
            await asyncio.sleep(0.005)

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """Nobody writes to it."""


class Collector(BaseAgent[None]):
    """Prints the milliseconds on the way of the last `SINGLES` messages when it ends."""

    def __init__(self, context: AgentContext) -> None:
        self.role = context.role  # type: ignore[misc]
        super().__init__(context)
        self._latency_ms: list[float] = []

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        now = time.monotonic_ns()
        first = records[0]
        if isinstance(first, Alert):
            self._latency_ms.append((now - int(first.explanation.split()[0])) / 1e6)
        elif isinstance(first, ConnectionBatch):
            self._latency_ms.append((now - int(first.id.rpartition(":")[2])) / 1e6)

    async def on_stop(self) -> None:
        print(json.dumps(self._latency_ms[-SINGLES:]), flush=True)


class Supervisor(BaseAgent[None]):
    """Answers registrations, so that nobody repeats them all the time."""

    role = "supervisor"

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        if any(isinstance(record, AgentDescription) for record in records):
            await self.reply(message, "inform", ())


ACTORS: dict[str, type[BaseAgent[None]]] = {
    "emit": Emitter,
    "collect": Collector,
    "supervise": Supervisor,
}
WAYS = (
    ("alerts, between two nodes", ("analyzer", "gw2"), ("correlation", "gw1")),
    ("alerts, within a node", ("analyzer", "gw1"), ("correlation", "gw1")),
    ("batches of 100 connections, within a node", ("sensor", "gw1"), ("analyzer", "gw1")),
)


def act(job: str, role: str, node: str, file: Path) -> int:
    """One agent process."""
    context = AgentContext(settings=load_settings(file), role=cast(Role, role), node=node)
    return run_agent(ACTORS[job], context, None)


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
        try:
            if not server.ready():
                raise RuntimeError("prosody does not answer")
            return max([_one_way(file, *way) for way in WAYS])
        finally:
            server.stop()


def _one_way(file: Path, title: str, emitter: tuple[str, str], collector: tuple[str, str]) -> int:
    actors: dict[str, subprocess.Popen[str]] = {}
    jobs = (("supervise", ("supervisor", "gw1")), ("collect", collector), ("emit", emitter))
    try:
        with file.with_name("log").open("a", encoding="utf-8") as log:
            for job, who in jobs:
                command = [sys.executable, __file__, job, *who, str(file)]
                actors[job] = subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=log, text=True
                )
        return _report(title, actors["emit"], actors["collect"])
    finally:
        for actor in actors.values():
            actor.kill()
            actor.wait()


def _report(title: str, emitter: subprocess.Popen[str], collector: subprocess.Popen[str]) -> int:
    assert emitter.stdout is not None
    print(title)
    print(f"{'records a message':>18} {'records/s':>10} {'ratio':>6} {'sender CPU ms/message':>22}")
    base, end = 0.0, time.monotonic() + LIMIT_S
    for line in emitter.stdout:
        said = json.loads(line)
        if "size" in said:
            base = base or said["per_s"]
            ratio = said["per_s"] / base
            row = f"{said['size']:>18} {said['per_s']:>10.0f} {ratio:>6.1f} {said['cpu_ms']:>22.2f}"
            print(row, flush=True)
        if said.get("done") or time.monotonic() > end:
            break
    collector.terminate()
    told, _ = collector.communicate(timeout=10)
    latency = json.loads(told.splitlines()[-1])
    median, p95 = statistics.median(latency), statistics.quantiles(latency, n=20)[-1]
    load = os.getloadavg()[0]
    print(f"one record: median {median:.1f} ms, p95 {p95:.1f} ms; load {load:.1f}\n", flush=True)
    return 0 if len(latency) == SINGLES else 1


if __name__ == "__main__":
    words = sys.argv[1:]
    if len(words) != 4:
        sys.exit(main())
    job, role, node, file = words
    sys.exit(act(job, role, node, Path(file)))
