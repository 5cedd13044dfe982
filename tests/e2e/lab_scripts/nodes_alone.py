"""Run inside a sandbox: a honeynet whose gateways decide alone, with the others dead.

Every gateway runs a correlation agent of its own; the control room runs the supervisor, the
console, the ontology agent and the XMPP server. Each round has an attacker's address of its own:
nmap, then hydra on the honeypot behind gw1. Prints one JSON object: what was observed, and seconds
from the start of hydra to the kernel of gw1.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agents.clock import now_us
from agents.commands.status import read_run_files
from agents.demo.world import World
from datasets.laboratory.network import Lab
from datasets.laboratory.topology import WAN4


def until(condition: Callable[[], bool], limit_s: float = 45.0) -> bool:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Cells:
    """The world, and its attackers."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.world = World(lab, folder, block_s=900, cells=True)
        self.gateways = [g.namespace for g in self.world.topology.gateways]
        self.words = folder / "passwords.txt"
        self.words.write_text("".join(f"password{n}\n" for n in range(5000)))
        self.rounds = 0

    def agents(self, node: str | None = None) -> list[dict[str, Any]]:
        found = read_run_files(self.world.settings.state_dir, now_us())
        return [a for n in found for a in n["agents"] if node in (None, n["node"])]

    def all_up(self) -> bool:
        wanted = {self.world.settings.jid(r, n) for r, n in self.world.settings.agents()}
        up = {a["jid"] for a in self.agents() if a["state"] == "running" and a["connected"]}
        return up >= wanted

    def blocked(self, gateway: str, address: str) -> bool:
        return self.world.kernel_blocks(gateway, address)

    def attack(self) -> tuple[str, bool, float]:
        """(address, blocked on gw1, seconds from the start of hydra)."""
        self.rounds += 1
        attacker, pot = self.world.topology.attacker, self.world.topology.honeypots[0]
        address = str(WAN4[150 + self.rounds])
        self.lab.address(attacker.namespace, attacker.interface, f"{address}/{WAN4.prefixlen}")
        route = ["ip", "route", "replace", str(pot.ipv4), "via"]
        route += [str(self.world.topology.gateways[0].wan.ipv4), "src", address]
        self.lab.run(attacker.namespace, route)
        scan = self.world.tool(
            attacker, "nmap", "-n", "-Pn", "-sS", "-p1-300", "--max-rate", "500", str(pot.ipv4)
        )
        scan.wait(30)
        began = time.monotonic()
        brute = self.world.tool(
            attacker, "hydra", "-I", "-q", "-t", "4", "-l", "root", "-P", str(self.words),
            f"ftp://{pot.ipv4}",
        )  # fmt: skip
        blocked = until(lambda: self.blocked("gw1", address), 40)
        took = time.monotonic() - began
        brute.terminate()
        brute.wait(10)
        return address, blocked, round(took, 2)

    @contextlib.contextmanager
    def dead(self, role: str) -> Iterator[None]:
        """Kill every process of one role as often as its launcher starts it again."""
        over = threading.Event()

        def kill() -> None:
            while not over.wait(0.1):
                for agent in self.agents():
                    if agent["role"] == role and agent["pid"]:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(agent["pid"], signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            time.sleep(1.5)  # the first shot, and the run file that tells of it
            yield
        finally:
            over.set()
            thread.join()

    def end_launcher(self, node: str) -> None:
        """The whole host dies: launcher, agents and, on the control host, the XMPP server."""
        pids = [a["pid"] for a in self.agents(node) if a["pid"]]
        launcher = self.world.launchers[node]
        os.kill(launcher.pid, signal.SIGKILL)
        launcher.wait(10)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if node == self.world.settings.server_node:
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    command = (process / "cmdline").read_bytes()
                except OSError:
                    continue
                if b"prosody.cfg.lua" in command:
                    os.kill(int(process.name), signal.SIGKILL)


def main(folder: Path) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    with Lab() as lab:
        cells = Cells(lab, folder)
        cells.world.start()
        seen["up"] = {"all agents": until(cells.all_up, 90)}
        time.sleep(5)  # the reasoners' Java warms up behind the agents

        def everywhere(address: str, but: str = "") -> bool:
            return all(cells.blocked(g, address) for g in cells.gateways if g != but)

        address, blocked, calm_s = cells.attack()
        seen["calm"] = {
            "blocked here": blocked,
            "and everywhere": until(lambda: everywhere(address), 10),
        }

        # The supervisor alone.
        with cells.dead("supervisor"):
            address, blocked, took_s = cells.attack()
            seen["no supervisor"] = {
                "blocked here": blocked,
                "as fast": took_s <= calm_s + 1.0,
                "and everywhere": until(lambda: everywhere(address), 15),
            }

        # The control room with the XMPP server.
        cells.end_launcher("control")
        address, blocked, alone_s = cells.attack()
        seen["no server"] = {
            "blocked here": blocked,
            "as fast": alone_s <= calm_s + 1.0,
            "nowhere else yet": not cells.blocked("gw2", address),
        }
        cells.world.start_launcher("control")
        seen["no server"]["everywhere once it is back"] = until(lambda: everywhere(address), 40)
        seen["no server"]["all agents"] = until(cells.all_up, 40)

        # Another node.
        cells.end_launcher("gw2")
        address, blocked, other_s = cells.attack()
        seen["no gw2"] = {
            "blocked here": blocked,
            "as fast": other_s <= calm_s + 1.0,
            "on gw3, too": until(lambda: everywhere(address, but="gw2"), 10),
        }
        cells.world.start_launcher("gw2")
        seen["no gw2"]["there once it is back"] = until(lambda: everywhere(address), 40)
        seen["figures"] = {
            "calm s": calm_s, "no supervisor s": took_s, "no server s": alone_s,
            "no gw2 s": other_s,
        }  # fmt: skip
        seen["log"] = cells.world.log.read_text(errors="replace").splitlines()[-80:]
        cells.world.stop()
    return seen


if __name__ == "__main__":
    try:
        print(json.dumps(main(Path(sys.argv[1]))))
    except subprocess.SubprocessError as e:
        sys.exit(f"{e}")
