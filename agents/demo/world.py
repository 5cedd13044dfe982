"""The demo's honeynet: topology, ``honeynet.toml``, decoys and a launcher for each node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from agents.settings.honeynet import Settings, load_settings
from agents.trust.identity import ensure_keys
from datasets.laboratory.network import Lab, LabError
from datasets.laboratory.topology import HoneynetTopology, LabHost, build_honeynet

GATEWAYS = 3
XMPP_PORT = 5223
ONTOIDPS = (sys.executable, "-m", "agents.main")
CURL = ("curl", "--silent", "--output", os.devnull, "--max-time", "1.5")


def honeynet_toml(
    topology: HoneynetTopology, folder: Path, block_s: int, *, cells: bool = False
) -> str:
    """The file an operator would write for this topology.

    Args:
        cells: a correlation agent on every gateway, instead of one on the control host.
    """
    control = topology.control
    central = ["supervisor", "ontology", "console"]
    local = ["sensor", "analyzer", "reaction"]
    (local if cells else central).append("correlation")
    lines = [
        'name = "demo"',
        f'state_dir = "{folder / "state"}"',
        "[xmpp]",
        'node = "control"',
        f'host = "{control.ipv4}"',
        f"port = {XMPP_PORT}",
        "[console]",
        f'listen = "unix:{folder / "console.sock"}"',
        "[policy]",
        f'block_duration = "{block_s}s"',
        "# The monitoring host scans and logs in all day; it must never be locked out.",
        f'allow = ["{topology.monitor.ipv4}", "{topology.monitor.ipv6}"]',
        "[[node]]",
        'name = "control"',
        f"agents = {json.dumps(central)}",
        f'addresses = ["{control.ipv4}", "{control.ipv6}"]',
    ]
    for gateway in topology.gateways:
        own = ", ".join(f'"{address}"' for address in gateway.addresses)
        lines += [
            "[[node]]",
            f'name = "{gateway.namespace}"',
            f"agents = {json.dumps(local)}",
            f'interfaces = ["{gateway.wan.interface}"]',
            f'sides = {{ {gateway.wan.interface} = "outside" }}',
            f"addresses = [{own}]",
        ]
    for gateway in topology.gateways:
        for address in (gateway.honeypot.ipv4, gateway.honeypot.ipv6):
            lines += [
                "[[honeypot]]",
                f'address = "{address}"',
                f'node = "{gateway.namespace}"',
                'operating_system = "Debian 12"',
                "open_ports = [21, 80]",
            ]
    return "\n".join(lines) + "\n"


class World:
    """Topology, decoys and launchers, all running; used inside a sandbox."""

    def __init__(self, lab: Lab, folder: Path, block_s: int, *, cells: bool = False) -> None:
        self._lab = lab
        self._folder = folder
        self.topology = build_honeynet(lab, GATEWAYS)
        self.file = folder / "honeynet.toml"
        self.file.write_text(
            honeynet_toml(self.topology, folder, block_s, cells=cells), encoding="utf-8"
        )
        self.settings: Settings = load_settings(self.file)
        self.launchers: dict[str, subprocess.Popen[str]] = {}
        """By node."""

    @property
    def log(self) -> Path:
        """What all agents said."""
        return self._folder / "agents.log"

    def start(self) -> None:
        """Keys and decoys first, then the launchers; returns when the decoys answer."""
        # All hosts of the demo share one state_dir: what `ontoidps enrol` does, and no bundles.
        ensure_keys(self.settings)
        for host in self.topology.honeypots:
            decoy = self._lab.popen(
                host.namespace,
                [sys.executable, "-m", "datasets.laboratory.decoy", str(host.ipv4), str(host.ipv6)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            )
            if decoy.stdout is None or decoy.stdout.readline() != "ready\n":
                raise LabError(f"the decoy in {host.namespace} did not start")
        for node in self.settings.node:
            self.start_launcher(node.name)

    def start_launcher(self, node: str) -> None:
        """Start a node's launcher, at first or after its host has died."""
        with self.log.open("a", encoding="utf-8") as log:
            self.launchers[node] = self._lab.popen(
                node,
                [*ONTOIDPS, "up", str(self.file), "--node", node],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the demo, which then stops the launchers in order.
                start_new_session=True,
                env=os.environ,
            )

    def dead_launcher(self) -> str | None:
        """What the log's last line says, if a launcher ended by itself."""
        if all(launcher.poll() is None for launcher in self.launchers.values()):
            return None
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "a launcher ended without a word"

    def stop(self) -> list[int]:
        """SIGTERM to every launcher; their exit codes."""
        launchers = [*self.launchers.values()]
        for launcher in reversed(launchers):
            launcher.terminate()
        return [launcher.wait(20) for launcher in launchers]

    def reaches(self, host: LabHost, honeypot: LabHost) -> bool:
        """Does ``host`` get the honeypot's web page (a full TCP connection) within 1.5 s?"""
        done = self._lab.run(
            host.namespace,
            [*CURL, f"http://{honeypot.ipv4}/"],
            check=False,
        )
        return done.returncode == 0

    def kernel_blocks(self, gateway: str, address: str) -> bool:
        """Is the address in the gateway's nftables set, as the kernel has it?"""
        done = self._lab.run(
            gateway, ["nft", "get", "element", "inet", "ontoidps", "block4", f"{{ {address} }}"],
            check=False,
        )  # fmt: skip
        return done.returncode == 0

    def tool(self, host: LabHost, *argv: str) -> subprocess.Popen[str]:
        """Run an attack tool, quietly."""
        return self._lab.popen(
            host.namespace,
            argv,
            # hydra leaves a hydra.restore where it stands when it is cut off, as a block does.
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """An ``ontoidps`` command, typed on the control host."""
        return self._lab.run("control", [*ONTOIDPS, *words], check=False)
