"""Run inside a sandbox: one node on a disk of its own that fails; attackers have to be blocked.

Prints one JSON object: what was observed.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from one_node import OneNode, until

from datasets.laboratory.failing_host import build, environment, make_read_only, make_writable
from datasets.laboratory.network import Lab

DISK_MIB = 160
LOOK_S = 40.0
"""Within so long all must be well again once a fault is over."""


class World(OneNode):
    """A node whose state is on a disk of its own, and what is seen of it."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        super().__init__(lab, folder, DISK_MIB)
        self.attackers = [self.topology.attacker, self.topology.client, self.topology.monitor]
        self.seen: dict[str, Any] = {"up": [], "launcher": []}
        self.environment: dict[str, str] = {}

    def begin(self) -> None:
        begun = time.monotonic()
        up = self.start(self.environment)
        self.seen["up"].append(up and round(time.monotonic() - begun, 1))

    def end(self) -> None:
        self.seen["launcher"].append(self.stop())

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
        self.scan(attacker)
        found = self.guess_until_blocked(attacker, attacker.ipv4, 16, 150)
        return round(time.monotonic() - begun, 1) if found is not None else None

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
    world.begin()
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
    world.environment = environment(build(world.folder), disk=world.state)
    world.begin()
    make_read_only(world.state)
    world.seen["during"] = world.attack()
    world.seen["told"] = until(world.reasons, 30)
    world.seen["status"] = world.status()
    world.seen["reasons"] = world.reasons()
    make_writable(world.state)
    world.after()


def full_at_start(world: World) -> None:
    world.begin()
    world.end()
    world.fill()
    world.begin()
    world.seen["reasons"] = world.reasons()
    world.seen["status"] = world.status()
    world.seen["during"] = world.attack()
    world.empty()
    world.after()


def damaged(world: World) -> None:
    """Every file of the state, each in another way, between two runs."""
    world.begin()
    world.seen["before"] = world.attack()
    world.end()
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
    world.begin()
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
    world.begin()
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
            world.end()
            world.seen["log lines"] = len(world.last_lines(10**6))
            world.seen["log"] = world.last_lines(120)
    return world.seen


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
