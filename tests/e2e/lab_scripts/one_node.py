"""For scripts that run inside a sandbox: a laboratory with one gateway, on which a node runs all
agents without an XMPP server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agents.clock import now_us
from agents.commands.status import link, read_run_files
from agents.settings.honeynet import load_settings
from agents.trust.identity import ensure_keys
from agents.trust.pki import ensure_authority
from datasets.laboratory.network import Lab
from datasets.laboratory.topology import LabHost, build_honeynet

# Nobody listens at the server's address; its CA is made up.
HONEYNET = """\
[xmpp]
embedded = false
host = "{control}"
ca = "ca.crt"
[console]
listen = "127.0.0.1:8080"
[[node]]
name = "gw1"
agents = ["supervisor", "ontology", "correlation", "sensor", "analyzer", "reaction"]
interfaces = ["{interface}"]
addresses = [{addresses}]
[[honeypot]]
address = "{pot}"
node = "gw1"
"""
ROLES = 6
QUIET: dict[str, Any] = {
    "stdin": subprocess.DEVNULL,
    "stdout": subprocess.DEVNULL,
    "stderr": subprocess.DEVNULL,
}


def until(condition: Callable[[], object], limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


class OneNode:
    """The laboratory, a decoy, and the node's settings and keys; `start` starts its agents.

    Args:
        disk_mib: the state is on a tmpfs of this size.
    """

    def __init__(self, lab: Lab, folder: Path, disk_mib: int | None = None) -> None:
        self.lab, self.folder = lab, folder
        self.topology = build_honeynet(lab, 1)
        self.gateway, self.pot = self.topology.gateways[0], self.topology.honeypots[0]
        ensure_authority(folder)
        self.file = folder / "honeynet.toml"
        self.file.write_text(
            HONEYNET.format(
                control=self.topology.control.ipv4,
                interface=self.gateway.wan.interface,
                addresses=", ".join(f'"{address}"' for address in self.gateway.addresses),
                pot=self.pot.ipv4,
            )
        )
        self.settings = load_settings(self.file)
        self.state = self.settings.state_dir
        if disk_mib is not None:
            self.state.mkdir(parents=True)
            tmpfs = ["mount", "-t", "tmpfs", "-o", f"size={disk_mib}m", "none", str(self.state)]
            subprocess.run(tmpfs, check=True)
        ensure_keys(self.settings)
        decoy = lab.popen(
            self.pot.namespace,
            [
                *(sys.executable, "-m", "datasets.laboratory.decoy"),
                *(str(self.pot.ipv4), str(self.pot.ipv6)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert decoy.stdout is not None and decoy.stdout.readline() == "ready\n"
        self.words = folder / "passwords.txt"
        self.words.write_text("".join(f"password{n}\n" for n in range(5000)))
        self.log = folder / "agents.log"
        self._launcher: subprocess.Popen[str] | None = None

    def start(self, environment: Mapping[str, str] | None = None) -> bool:
        """Whether all agents were up within 90 s."""
        with self.log.open("a") as log:
            self._launcher = self.lab.popen(
                "gw1",
                [sys.executable, "-m", "agents.main", "up", str(self.file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | dict(environment or {}),
            )
        return until(self._is_up, 90)

    def stop(self) -> int:
        """The launcher's exit code."""
        assert self._launcher is not None
        self._launcher.terminate()
        return self._launcher.wait(60)

    def agents(self) -> list[dict[str, Any]]:
        found = read_run_files(self.state, now_us())
        return [agent for node in found for agent in node["agents"]]

    def _is_up(self) -> bool:
        found = self.agents()
        return len(found) == ROLES and all(
            link(a) == "LOCAL ONLY"
            and a["health"]["local"] == ROLES - 1
            and (a["health"]["registered"] or a["role"] == "supervisor")
            for a in found
        )

    def last_lines(self, count: int) -> list[str]:
        """Of what the agents said."""
        return self.log.read_text(errors="replace").splitlines()[-count:]

    def scan(self, attacker: LabHost) -> None:
        """Ports of the honeypot."""
        nmap = ["nmap", "-n", "-Pn", "-sS", "-p1-200", "-T4", str(self.pot.ipv4)]
        self.lab.popen(attacker.namespace, nmap, **QUIET).wait(60)

    def guess(self, attacker: LabHost, at_once: int) -> subprocess.Popen[str]:
        """Passwords of the honeypot's FTP server, until the process is killed."""
        hydra = ["hydra", "-I", "-q", "-t", str(at_once), "-l", "root", "-P", str(self.words)]
        return self.lab.popen(
            attacker.namespace, [*hydra, f"ftp://{self.pot.ipv4}"], cwd=self.folder, **QUIET
        )

    def blocks(self, address: object) -> bool:
        """Whether the kernel has it in its set."""
        wanted = ["nft", "get", "element", "inet", "ontoidps", "block4", f"{{ {address} }}"]
        return self.lab.run("gw1", wanted, check=False).returncode == 0

    def guess_until_blocked(
        self, attacker: LabHost, address: object, at_once: int, limit_s: float
    ) -> float | None:
        """Seconds from the first password; None: it took longer than ``limit_s``."""
        begun = time.monotonic()
        process = self.guess(attacker, at_once)
        found = until(lambda: self.blocks(address), limit_s)
        lasted = time.monotonic() - begun
        process.kill()
        process.wait()
        return round(lasted, 2) if found else None
