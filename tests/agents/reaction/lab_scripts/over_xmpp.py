"""Runs inside a sandbox: the reaction agent as a process, a real server, a scripted supervisor.

Usage: ``over_xmpp.py FOLDER``. Prints one JSON object; ``test_agent.py`` judges.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import uvloop

from agents.base import AgentContext, BaseAgent
from agents.clock import now_us
from agents.launcher.xmpp_server import XmppServer
from agents.messages.acl import AclMessage
from agents.settings.honeynet import load_settings
from agents.trust.identity import ensure_keys
from ontology.blocks_in_force import sum_up
from ontology.records import (
    Address,
    AgentDescription,
    Block,
    BlocksInForce,
    Decision,
    GatewayAddresses,
    Record,
)

HONEYNET = """\
name = "test"
domain = "honeynet.test"
[xmpp]
port = 5223
[policy]
allow = ["192.0.2.20"]
allow_hosts = ["no-such-host.invalid"]
{policy}
[[node]]
name = "gw1"
agents = ["correlation", "ontology", "supervisor", "reaction"]
responders = ["nftables", "tcp-reset"]
addresses = ["192.0.2.101"]
"""


class Orderer(BaseAgent[None]):
    """Gives orders, and writes down every answer."""

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self.heard: list[tuple[str, Block | None, str]] = []
        self.kernel: list[GatewayAddresses] = []
        self.sums: list[BlocksInForce] = []
        self.conditions_told = ""

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        if message.conversation_id.startswith("registration"):
            self.registered.set()
            for record in records:
                if isinstance(record, AgentDescription):
                    self.conditions_told = record.conditions
            await self.reply(message, "inform", ())
            return
        self.kernel += [record for record in records if isinstance(record, GatewayAddresses)]
        self.sums += [record for record in records if isinstance(record, BlocksInForce)]
        blocks = [record for record in records if isinstance(record, Block)]
        for block in blocks or [None]:
            self.heard.append((message.performative, block, message.conversation_id))

    async def until(self, condition: Callable[[], object], limit_s: float = 20.0) -> float:
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > limit_s:
                raise TimeoutError(f"not within {limit_s} s; heard {self.heard}")
            await asyncio.sleep(0.002)
        return time.monotonic() - began

    async def order(self, *wanted: tuple[Address, int]) -> list[tuple[str, str]]:
        """Send one request; (performative, state) of the answers."""
        decisions = [
            Decision(
                id=f"urn:x:{address}-{now_us()}",
                action="block" if seconds else "unblock",
                source=address,
                classification="SynScan",
                origin=self.settings.jid("correlation", "gw1"),
                decided_us=now_us(),
                duration_s=seconds,
                reason="test",
            )
            for address, seconds in wanted
        ]
        message = await self.send(
            self.settings.jid("reaction", "gw1"), "request", decisions, protocol="fipa-request"
        )
        talk = message.conversation_id

        def answers() -> list[tuple[str, str]]:
            return [(p, b.state if b else "") for p, b, c in self.heard if c == talk]

        await self.until(lambda: sum(1 for _, state in answers() if state) == len(decisions))
        return answers()

    async def compare(self, part_digests: str) -> str:
        """Say what we believe that the gateway has; what it has."""
        count = len(self.sums)
        believed = BlocksInForce(id="urn:x:believed", node="gw1", part_digests=part_digests)
        receiver = self.settings.jid("reaction", "gw1")
        await self.send(receiver, "query-ref", [believed], protocol="fipa-query")
        await self.until(lambda: len(self.sums) > count)
        return self.sums[-1].part_digests

    def states(self, state: str) -> list[str]:
        return [str(b.source) for _, b, _ in self.heard if b is not None and b.state == state]


class Correlation(Orderer):
    """The correlation agent of the gateway's node."""

    role = "correlation"


class Supervisor(Orderer):
    """Follows `script`."""

    role = "supervisor"

    def __init__(self, context: AgentContext, folder: Path, correlation: Correlation) -> None:
        super().__init__(context)
        self.folder = folder
        self.correlation = correlation
        self.result: dict[str, Any] = {}

    async def on_start(self) -> None:
        self.spawn(self._follow(), name="script")

    async def _follow(self) -> None:
        try:
            async with asyncio.timeout(70):
                await self.script()
        finally:
            self.correlation.stop()
            self.stop()

    def start_reaction(self) -> subprocess.Popen[bytes]:
        self.registered.clear()
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "agents.launcher.process",
                "reaction",
                "gw1",
                self.folder / "h.toml",
            ]
        )

    async def act_alone(self) -> dict[str, Any]:
        """The correlation agent orders its gateway; then the supervisor has the last word."""
        cell, stranger = self.correlation, IPv4Address("203.0.113.77")
        result: dict[str, Any] = {"block": await cell.order((stranger, 300))}
        await self.until(lambda: str(stranger) in self.states("active"))
        result["kept"] = await self.order((stranger, 20))
        result["withdrawn"] = await cell.order((stranger, 0))
        result["blocked"] = str(stranger) in _elements()
        await cell.order((stranger, 300))
        result["lift"] = await self.order((stranger, 0))
        await cell.until(lambda: str(stranger) in cell.states("lifted"))
        result["vetoed"] = await cell.order((stranger, 300))
        result["elements"] = _elements()
        return result

    async def script(self) -> None:
        attacker, other = IPv4Address("192.0.2.66"), IPv6Address("2001:db8:1::42")
        result = self.result
        reaction = self.start_reaction()
        await self.until(self.registered.is_set)
        result["block"] = await self.order((attacker, 600), (other, 600))
        await self.until(_resetting)  # the assistant has caught up
        result["mixed"] = await self.order(
            (IPv4Address("192.0.2.20"), 60), (IPv4Address("192.0.2.101"), 60), (attacker, 700)
        )
        result["refused"] = await self.order((IPv4Address("192.0.2.20"), 60))
        result["lift"] = await self.order((other, 0))
        result["short"] = await self.order((IPv4Address("203.0.113.9"), 1))
        result["expired_s"] = await self.until(lambda: self.states("expired"))
        result["expired"] = self.states("expired")
        result["elements"] = _elements()
        result["alone"] = await self.act_alone()
        await self.until(lambda: self.kernel)
        result["own"] = [str(address) for address in self.kernel[0].own_addresses]
        await self.until(lambda: "allow-hosts" in self.conditions_told)
        result["conditions"] = self.conditions_told

        await asyncio.to_thread(subprocess.run, ["nft", "flush", "ruleset"], check=True)
        result["mended_s"] = await self.until(lambda: _elements() == ["192.0.2.66"])

        heard = len(self.states("active"))
        reaction.send_signal(signal.SIGKILL)
        reaction.wait()
        result["after_kill"] = _elements()
        await self.until(lambda: not _resetting())
        reaction = self.start_reaction()
        await self.until(self.registered.is_set)
        digests = await self.compare(sum_up([]))
        await self.until(lambda: len(self.states("active")) > heard)
        result["digests_alike"] = await self.compare(digests) == digests
        await self.compare(digests)
        result["reported_again"] = self.states("active")[heard:]
        [last] = [b for _, b, _ in self.heard if b is not None and b.state == "active"][heard:]
        result["digests_right"] = digests == sum_up([(str(last.source), last.decision)])
        reaction.terminate()
        result["exit"] = reaction.wait(20)
        result["after_stop"] = _elements()

        agent = [sys.executable, "-m", "agents.launcher.process", "reaction", "gw1", "h.toml"]
        bare = await asyncio.to_thread(
            subprocess.run,
            ["setpriv", "--bounding-set=-net_admin", *agent],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        result["bare_exit"] = bare.returncode
        result["bare_lines"] = [x for x in bare.stderr.splitlines() if "ERROR" in x]


def _resetting() -> bool:
    """Whether scapy's process of the responder ``tcp-reset`` runs in this sandbox."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"agents.reaction.reset_worker" in path.read_bytes():
                return True
        except OSError:
            continue
    return False


def _elements() -> list[str]:
    out = []
    for version in (4, 6):
        done = subprocess.run(
            ["nft", "-j", "list", "set", "inet", "ontoidps", f"block{version}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            for entry in json.loads(done.stdout)["nftables"]:
                out += [e["elem"]["val"] for e in entry.get("set", {}).get("elem", [])]
    return sorted(out)


def main() -> None:
    folder = Path(sys.argv[1])
    os.chdir(folder)
    (folder / "h.toml").write_text(HONEYNET.format(policy=""))
    settings = load_settings(folder / "h.toml")
    ensure_keys(settings)
    server = XmppServer(settings)
    server.start()
    try:
        assert server.ready()
        correlation = Correlation(AgentContext(settings=settings, role="correlation", node="gw1"))
        context = AgentContext(settings=settings, role="supervisor", node="gw1")
        supervisor = Supervisor(context, folder, correlation)

        async def both() -> None:
            await asyncio.gather(supervisor.run(), correlation.run())

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(both())
        print(json.dumps(supervisor.result))
    finally:
        server.stop()


main()
