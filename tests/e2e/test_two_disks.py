"""A rule is saved on one host, and another host with a disk of its own decides by it.

Two installations (copies of the packages), each started with ``ontoidps up`` as processes, each
with its own state and keys; between them a real XMPP server and nothing else. The analyzer that
reports and the gateway that is told what to block are played by the test, as a third node.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from agents.base import AgentContext, BaseAgent
from agents.clock import now_us
from agents.messages.acl import AclMessage
from agents.settings.honeynet import load_settings
from ontology.records import Alert, Decision, Record

pytestmark = [
    pytest.mark.xmpp,
    pytest.mark.e2e,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        shutil.which("prosody", path="/usr/bin") is None, reason="prosody is not installed"
    ),
]

ROOT = Path(__file__).parents[2]
PACKAGES = ("agents", "datasets", "ontology", "rules")
POT = "198.51.100.10"
HONEYNET = f"""\
domain = "honeynet.test"
[xmpp]
port = {{port}}
[console]
listen = "127.0.0.1:{{console}}"
[[node]]
name = "hub"
agents = ["ontology", "supervisor"]
[[node]]
name = "brain"
agents = ["correlation"]
[[node]]
name = "gate"
agents = ["analyzer", "reaction"]
[[honeypot]]
address = "{POT}"
node = "gate"
asset_value = 5
"""
CLASS = "https://w3id.org/ontoidps/correlation#HoneypotScanFinding"


class Peer(BaseAgent[None]):
    """The analyzer that reports, and the gateway's reaction agent that is told what to block."""

    def __init__(self, context: AgentContext) -> None:
        self.role = context.role  # type: ignore[misc]
        super().__init__(context)
        self.orders: dict[str, Decision] = {}

    async def on_start(self) -> None:
        """Nothing to open."""

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        self.orders |= {str(r.source): r for r in records if isinstance(r, Decision)}


async def until(condition: Callable[[], object], limit_s: float = 150.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110  it depends on other processes
            await asyncio.sleep(0.02)


class Host:
    """An installation with a disk of its own, and the processes of one node."""

    def __init__(self, folder: Path, node: str, honeynet: str) -> None:
        self.node, self.folder = node, folder
        folder.mkdir()
        for package in PACKAGES:
            shutil.copytree(ROOT / package, folder / package)
        self.file = folder / "honeynet.toml"
        self.file.write_text(honeynet)
        self.state = folder / "state" / "ontology.hub@honeynet.test"
        self._log = folder / "up.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def rules(self) -> dict[str, bytes]:
        """The files that people edit."""
        found = [path for path in (self.folder / "rules").iterdir() if path.is_file()]
        return {path.name: path.read_bytes() for path in found}

    def ontoidps(self, *arguments: str | Path) -> list[str]:
        """The command line of this installation."""
        return [sys.executable, "-m", "agents.main", *map(str, arguments)]

    def run(self, *arguments: str | Path) -> None:
        subprocess.run(
            self.ontoidps(*arguments), cwd=self.folder, env=self._environment(), check=True,
            timeout=60, capture_output=True,
        )  # fmt: skip

    def up(self) -> None:
        command = self.ontoidps("up", self.file, "--node", self.node, "--verbose")
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=self._environment(), stdout=output, stderr=output
            )

    def down(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[tuple[Host, Host]]:
    """The hub with ontology agent, supervisor and XMPP server, which is up, and the host that
    reasons, which is not."""
    port, console = free_ports(2)
    honeynet = HONEYNET.format(port=port, console=console)
    hub, brain = (Host(tmp_path / node, node, honeynet) for node in ("hub", "brain"))
    bundle = tmp_path / "bundle"
    await asyncio.to_thread(hub.run, "enrol", hub.file, "--node", "brain", "--out", bundle)
    await asyncio.to_thread(brain.run, "enrol", brain.file, "--import", bundle)
    shutil.rmtree(bundle)
    try:
        hub.up()
        await until(lambda: "ontology.hub@honeynet.test has started" in hub.log)
        yield hub, brain
    finally:
        for host in (brain, hub):
            await asyncio.to_thread(host.down)


@contextlib.asynccontextmanager
async def gate(hub: Host) -> AsyncIterator[tuple[Peer, Peer]]:
    """Analyzer and reaction agent of the third node, with keys from the hub."""
    settings = load_settings(hub.file)
    analyzer, reaction = (
        Peer(AgentContext(settings=settings, role=role, node="gate"))  # type: ignore[arg-type]
        for role in ("analyzer", "reaction")
    )
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(peer.run()) for peer in (analyzer, reaction)]
        await until(lambda: analyzer.connected and reaction.registered.is_set())
        try:
            yield analyzer, reaction
        finally:
            for peer in (analyzer, reaction):
                peer.stop()
            await asyncio.wait(tasks)


async def report(analyzer: Peer, source: str, classification: str = "FinScan") -> None:
    """Tell correlation of an attack on the honeypot, by somebody who completed a handshake."""
    alert = Alert(
        id=f"urn:uuid:{uuid.uuid4()}",
        classification=classification,
        source=ip_address(source),
        target=ip_address(POT),
        target_port=22,
        protocol=6,
        begin_us=now_us() - 1_000_000,
        end_us=now_us(),
        confidence=0.9,
        verified_source=True,
        sensor="sensor.gate@honeynet.test",
        analyzer=analyzer.jid,
        explanation="a test",
    )
    await analyzer.send(
        "correlation.brain@honeynet.test", "inform", [alert], protocol="fipa-subscribe"
    )


def with_rule(text: str) -> str:
    """``correlation.owl`` with a class and a rule: a scan of a honeypot is a finding."""
    rule = next(r for r in text.split("<swrl:Imp>") if "<rdfs:label>HoneypotBruteForce<" in r)
    rule = rule.partition("</swrl:Imp>")[0]
    for old, new in (
        ("https://w3id.org/ontoidps#HoneypotBruteForceFinding", CLASS),
        ("ontoidps#BruteForce", "ontoidps#Scan"),
        (">HoneypotBruteForce<", ">HoneypotScan<"),
        ("tries passwords", "looks for services"),
    ):
        rule = rule.replace(old, new)
    finding = (
        f'<owl:Class rdf:about="{CLASS}"><rdfs:subClassOf rdf:resource='
        '"https://w3id.org/ontoidps#Finding"/></owl:Class>'
    )
    return text.replace("</rdf:RDF>", f"{finding}<swrl:Imp>{rule}</swrl:Imp></rdf:RDF>")


async def test_a_rule_saved_on_one_host_decides_on_another(hosts: tuple[Host, Host]) -> None:
    hub, brain = hosts
    installed = brain.rules()
    brain.up()
    rules = hub.folder / "rules" / "correlation.owl"
    edited = with_rule(rules.read_text(encoding="utf-8"))
    async with gate(hub) as (analyzer, reaction):
        # A scan blocks nobody yet: it has been thought over when a later attack is answered.
        await report(analyzer, "192.0.2.1")
        await report(analyzer, "192.0.2.101", "FtpBruteForce")
        await until(lambda: "192.0.2.101" in reaction.orders)
        assert "192.0.2.1" not in reaction.orders
        began = time.monotonic()
        rules.write_text(edited, encoding="utf-8")
        await until(lambda: "reaction rules" in brain.log)
        took_s = time.monotonic() - began
        await report(analyzer, "192.0.2.2")
        await until(lambda: "192.0.2.2" in reaction.orders)
        assert reaction.orders["192.0.2.2"].reason.startswith("Rule HoneypotScan: ")
        assert "192.0.2.1" not in reaction.orders
        # It came by message: the disk of the host that reasons has what was installed there.
        assert brain.rules() == installed != hub.rules()
        print(f"in force on the other host {took_s:.2f} s after it was saved")  # for people

        # The ontology agent knows who has which version.
        state = hub.state
        kept = in_force(state)
        await until(lambda: receiver(state)["digest"] == kept["digest"])
        assert receiver(state)["version"] == kept["version"]
        told = f"correlation.brain@honeynet.test: {kept['version']} is in force"
        await until(lambda: told in hub.log)

        # A restart of the host that reasons needs nobody to tell it again.
        await asyncio.to_thread(brain.down)
        brain.up()
        await report(analyzer, "192.0.2.3")
        await until(lambda: "192.0.2.3" in reaction.orders)
        assert reaction.orders["192.0.2.3"].reason.startswith("Rule HoneypotScan: ")
        # And one that was down while the rule was taken away learns it when it is back.
        await asyncio.to_thread(brain.down)
        rules.write_bytes(installed["correlation.owl"])
        await until(lambda: hub.log.count(" rules enabled") == 3)
        loaded = brain.log.count("reaction rules")
        brain.up()
        await until(lambda: brain.log.count("reaction rules") > loaded)
        await report(analyzer, "192.0.2.4")
        await report(analyzer, "192.0.2.104", "FtpBruteForce")
        await until(lambda: "192.0.2.104" in reaction.orders)
        assert "192.0.2.4" not in reaction.orders
        assert brain.log.count("reaction rules") == loaded + 1
        await until(
            lambda: receiver(state)["digest"] == in_force(state)["digest"] != kept["digest"]
        )
        assert "192.0.2.4" not in reaction.orders


async def test_a_version_that_a_host_can_not_use_is_refused_there_and_said_here(
    hosts: tuple[Host, Host],
) -> None:
    """The host that reasons runs a newer program, which needs a term that the hub's ontology has
    not."""
    hub, brain = hosts
    for name, old, new in (
        (
            "vocabulary.py",
            '    pieceNumber: Final = _term("pieceNumber")',
            '    pieceOfNews: Final = _term("pieceOfNews")',
        ),
        (
            "ontoidps.owl",
            "</rdf:RDF>",
            '<owl:DatatypeProperty rdf:about="https://w3id.org/ontoidps#pieceOfNews"/>',
        ),
    ):
        path = brain.folder / "ontology" / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, f"{new}\n{old}"), encoding="utf-8")
    brain.up()
    async with gate(hub) as (analyzer, reaction):
        refusal = "correlation.brain@honeynet.test refuses 1.0.0+"
        await until(lambda: refusal in hub.log)
        (line,) = [line for line in hub.log.splitlines() if refusal in line]
        assert ": ontoidps.owl: " in line and "pieceOfNews" in line and " ERROR " in line
        known = receiver(hub.state)
        assert known["refused"] == in_force(hub.state)["digest"] != known["digest"]
        assert "pieceOfNews" in known["reason"] and known["reason"] in line
        # It goes on with what it has.
        await report(analyzer, "192.0.2.101", "FtpBruteForce")
        await until(lambda: "192.0.2.101" in reaction.orders)
        assert reaction.orders["192.0.2.101"].reason.startswith("Rule HoneypotBruteForce: ")


def receiver(state: Path) -> dict[str, str]:
    """What the ontology agent keeps of the one who reasons."""
    (known,) = json.loads((state / "receivers.json").read_text()).values()
    return dict(known)


def in_force(state: Path) -> dict[str, str]:
    return dict(json.loads((state / "rules" / "in-force.json").read_text()))
