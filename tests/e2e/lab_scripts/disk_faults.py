"""Run inside a sandbox: one node on a disk of its own that fails; attackers have to be blocked.

Prints one JSON object: what was observed.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.clock import now_us
from agents.commands.status import link, read_run_files
from agents.settings.honeynet import load_settings
from agents.trust.identity import ensure_keys
from agents.trust.pki import ensure_authority
from datasets.laboratory.failing_host import build, environment, make_read_only, make_writable
from datasets.laboratory.network import Lab
from datasets.laboratory.topology import LabHost, build_honeynet

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
DISK_MIB = 160
LOOK_S = 40.0
"""Within so long all must be well again once a fault is over."""


def until(condition: Callable[[], object], limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


class World:
    """A laboratory with one gateway, and a node whose state is on a tmpfs of its own."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        topology = build_honeynet(lab, 1)
        gateway, self.pot = topology.gateways[0], topology.honeypots[0]
        self.attackers = [topology.attacker, topology.client, topology.monitor]
        ensure_authority(folder)
        self.file = folder / "honeynet.toml"
        self.file.write_text(
            HONEYNET.format(
                control=topology.control.ipv4,
                interface=gateway.wan.interface,
                addresses=", ".join(f'"{address}"' for address in gateway.addresses),
                pot=self.pot.ipv4,
            )
        )
        self.settings = load_settings(self.file)
        self.state = self.settings.state_dir
        self.state.mkdir(parents=True)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "none", self.state], check=True
        )
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
        (folder / "passwords.txt").write_text("".join(f"password{n}\n" for n in range(5000)))
        self.seen: dict[str, Any] = {}
        self.words: dict[str, str] = {}
        """Of the agents' environment, beside ours."""
        self.launcher: subprocess.Popen[str] | None = None

    def start(self) -> None:
        log = (self.folder / "agents.log").open("a")
        begun = time.monotonic()
        self.launcher = self.lab.popen(
            "gw1",
            [sys.executable, "-m", "agents.main", "up", str(self.file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | self.words,
        )
        up = until(self._is_up, 90)
        self.seen.setdefault("up", []).append(up and round(time.monotonic() - begun, 1))

    def stop(self) -> None:
        assert self.launcher is not None
        self.launcher.terminate()
        self.seen.setdefault("launcher", []).append(self.launcher.wait(40))

    def agents(self) -> list[dict[str, Any]]:
        found = read_run_files(self.state, now_us())
        return [agent for node in found for agent in node["agents"]]

    def _is_up(self) -> bool:
        found = self.agents()
        return len(found) == 6 and all(
            link(a) == "LOCAL ONLY"
            and a["health"]["local"] == 5
            and (a["health"]["registered"] or a["role"] == "supervisor")
            for a in found
        )

    def counter(self, role: str, name: str) -> int:
        found = [a for a in self.agents() if a["role"] == role]
        return int(found[0]["health"].get("counters", {}).get(name, 0)) if found else 0

    def reasons(self) -> list[str]:
        return [
            condition["reason"]
            for agent in self.agents()
            for condition in agent["health"].get("conditions", [])
            if str(self.state) in condition["reason"]
        ]

    def status(self) -> tuple[int, str]:
        done = self.lab.run(
            "gw1", [sys.executable, "-m", "agents.main", "status", str(self.file)], check=False
        )
        return done.returncode, done.stdout

    def attack(self) -> float | None:
        """The next stranger scans and guesses passwords; seconds until it is blocked."""
        attacker = self.attackers.pop(0)
        begun = time.monotonic()
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        self.lab.popen(
            attacker.namespace,
            ["nmap", "-n", "-Pn", "-sS", "-p1-200", "-T4", str(self.pot.ipv4)],
            **quiet,
        ).wait(60)
        guess = self.lab.popen(
            attacker.namespace,
            [
                *("hydra", "-I", "-q", "-t", "16", "-l", "root"),
                *("-P", str(self.folder / "passwords.txt"), f"ftp://{self.pot.ipv4}"),
            ],
            cwd=self.folder,
            stderr=subprocess.DEVNULL,
            **quiet,
        )
        found = until(lambda: self._is_blocked(attacker), 90)
        lasted = time.monotonic() - begun
        guess.kill()
        guess.wait()
        return round(lasted, 1) if found else None

    def _is_blocked(self, host: LabHost) -> bool:
        wanted = ["nft", "get", "element", "inet", "ontoidps", "block4", f"{{ {host.ipv4} }}"]
        return self.lab.run("gw1", wanted, check=False).returncode == 0

    def fill(self) -> None:
        with (self.state / "filler").open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def empty(self) -> None:
        (self.state / "filler").unlink()

    def after(self) -> None:
        """The fault is over: all goes on by itself, on disk."""
        self.seen["well again"] = until(lambda: not self.reasons(), LOOK_S)
        self.seen["left"] = self.reasons()
        before = self.counter("ontology", "archived")
        self.seen["after"] = self.attack()
        self.seen["archive goes on"] = until(
            lambda: self.counter("ontology", "archived") > before, LOOK_S
        )


def full(world: World) -> None:
    """The disk fills while all agents run, and stays full for longer than any reserve lasts."""
    world.start()
    world.fill()
    world.seen["during"] = world.attack()
    for _ in range(20):  # the rest of the room, as it becomes free
        world.fill()
        time.sleep(0.2)
    world.seen["told"] = until(world.reasons, 30)
    world.seen["status"] = world.status()
    world.seen["reasons"] = world.reasons()
    world.empty()
    world.after()


def read_only(world: World) -> None:
    """The disk becomes read-only under all open files."""
    world.words = environment(build(world.folder), disk=world.state)
    world.start()
    make_read_only(world.state)
    world.seen["during"] = world.attack()
    world.seen["told"] = until(world.reasons, 30)
    world.seen["status"] = world.status()
    world.seen["reasons"] = world.reasons()
    make_writable(world.state)
    world.after()


def full_at_start(world: World) -> None:
    world.start()
    world.stop()
    world.fill()
    world.start()
    world.seen["reasons"] = world.reasons()
    world.seen["status"] = world.status()
    world.seen["during"] = world.attack()
    world.empty()
    world.after()


def damaged(world: World) -> None:
    """Every file of the state, each in another way, between two runs."""
    world.start()
    world.seen["before"] = world.attack()
    world.stop()
    node = "gw1@honeynet.localdomain"
    found = {path.name.split(".")[0]: path for path in world.state.iterdir() if "@" in path.name}
    ledger = found["supervisor"] / "ledger.sqlite3"
    data = bytearray(ledger.read_bytes())
    data[4096 * 8 : 4096 * 12] = bytes(4096 * 4)
    ledger.write_bytes(data)
    (found["correlation"] / "alerts.sqlite3").write_bytes(b"no database at all " * 500)
    claims = found["reaction"] / "blocks.sqlite3"
    claims.write_bytes(claims.read_bytes()[:5000])
    (found["analyzer"] / "mail.sqlite3").write_bytes(bytes(8192))
    (found["sensor"] / "mail.sqlite3").write_bytes(b"")
    for path in (found["ontology"] / "archive").glob("MANIFEST-*"):
        path.write_bytes(path.read_bytes()[:20])
    for path in (found["correlation"] / "rules").rglob("*.owl"):
        path.write_bytes(path.read_bytes()[:1000])
    (found["correlation"] / "subscribers.json").write_text('{"Alert": [')
    for path in (world.state / "messages").rglob("messages.fipa"):
        path.write_bytes(path.read_bytes()[:-37])
    world.seen["node"] = node
    world.start()
    world.seen["reasons"] = world.reasons()
    world.seen["status"] = world.status()
    world.seen["during"] = world.attack()
    world.seen["after"] = world.attack()


def limit_descriptors(pid: int, soft: int | None) -> None:
    """None: as many as it may have. As its own user, who alone may do that to it."""
    status = Path(f"/proc/{pid}/status").read_text()
    ids = {line.split()[0]: int(line.split()[1]) for line in status.splitlines() if "id:" in line}
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    subprocess.run(
        ["prlimit", "--pid", str(pid), f"--nofile={hard if soft is None else soft}:"],
        check=True,
        user=ids["Uid:"],
        group=ids["Gid:"],
        extra_groups=[],
        cwd="/",
    )


def no_descriptors(world: World) -> None:
    """Not one more file or socket can be opened by any agent."""
    world.start()
    pids = {agent["pid"] for agent in world.agents()}
    for pid in pids:
        limit_descriptors(pid, max(int(n) for n in os.listdir(f"/proc/{pid}/fd")) + 1)
    world.seen["during"] = world.attack()
    world.seen["status"] = world.status()
    for pid in pids:
        limit_descriptors(pid, None)
    world.after()
    world.seen["same processes"] = {a["pid"] for a in world.agents()} == pids


SCENARIOS = {f.__name__: f for f in (full, read_only, full_at_start, damaged, no_descriptors)}


def main(folder: Path, scenario: str) -> dict[str, Any]:
    with Lab() as lab:
        world = World(lab, folder)
        try:
            SCENARIOS[scenario](world)
            world.seen["task_errors"] = {
                a["role"]: a["health"]["counters"].get("task_errors", 0) for a in world.agents()
            }
        finally:
            world.stop()
            log = (folder / "agents.log").read_text(errors="replace").splitlines()
            world.seen["log lines"] = len(log)
            world.seen["log"] = log[-120:]
    return world.seen


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
