"""Agents forked from one warm process: whose children they are, what they share, what survives."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.trust.pki import ensure_authority

pytestmark = pytest.mark.e2e

HONEYNET = """\
[xmpp]
embedded = false
ca = "ca.crt"
port = {port}
[policy]
dry_run = true
[[node]]
name = "control"
agents = ["supervisor", "correlation", "ontology"]
[[node]]
name = "gw1"
agents = ["reaction", "analyzer"]
"""


def status(pid: int) -> dict[str, str]:
    """proc(5), status."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def runs(pid: int) -> bool:
    try:
        return not status(pid)["State"].startswith(("Z", "X"))
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(pid: int) -> list[int]:
    """Of its main thread, zombies too."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(word) for word in text.split()]


def words(pid: int) -> list[str]:
    data = Path(f"/proc/{pid}/cmdline").read_bytes()
    return [word.decode() for word in data.split(b"\0") if word]


class Node:
    """gw1 with its launcher; its XMPP server is away."""

    def __init__(self, file: Path, environment: dict[str, str]) -> None:
        self.file = file
        self.launcher = subprocess.Popen(
            [sys.executable, "-m", "agents.main", "up", str(file), "--node", "gw1"],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    def agents(self) -> dict[str, dict[str, Any]]:
        path = self.file.parent / "state" / "run" / "gw1.json"
        try:
            return {a["role"]: a for a in json.loads(path.read_text(encoding="utf-8"))["agents"]}
        except FileNotFoundError:
            return {}

    def pids(self) -> dict[str, int]:
        return {role: agent["pid"] for role, agent in self.agents().items()}

    def forks(self) -> list[int]:
        return [p for p in descendants(self.launcher.pid) if words(p) == ["ontoidps-forks"]]

    def up(self) -> bool:
        found = self.agents()
        return len(found) == 2 and all(
            a["state"] == "running" and a["health"].get("local") == 1 for a in found.values()
        )


def until(condition: Callable[[], object], limit_s: float = 40.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def start(tmp_path: Path, new_port: Callable[[], int]) -> Iterator[Callable[..., Node]]:
    found: list[Node] = []
    ensure_authority(tmp_path)
    file = tmp_path / "honeynet.toml"
    file.write_text(HONEYNET.format(port=new_port()))

    def make(**environment: str) -> Node:
        # The keys of a node that is not the server's come from it; here they are made at once.
        from agents.settings.honeynet import load_settings
        from agents.trust.identity import ensure_keys

        ensure_keys(load_settings(file))
        found.append(Node(file, environment))
        until(found[-1].up)
        return found[-1]

    yield make
    for node in found:
        node.launcher.terminate()
        node.launcher.communicate(timeout=30)


def test_agents_are_the_launchers_children_and_share_its_pages(start: Callable[..., Node]) -> None:
    node = start()
    [server] = node.forks()
    for role, pid in node.pids().items():
        assert words(pid) == ["ontoidps-agent", role, "gw1", str(node.file)]
        assert status(pid)["Name"] == f"{role}.gw1"
        assert int(status(pid)["PPid"]) == node.launcher.pid
        assert os.getsid(pid) == pid
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        sizes = {k: int(v) for k, v in re.findall(r"^(\w+):\s+(\d+) kB", rollup, re.MULTILINE)}
        # What all agents import takes about 40 MiB of heap; alone, none of it would be shared.
        assert sizes["Shared_Dirty"] >= 25 * 1024, sizes
    assert int(status(server)["Threads"]) == 1
    assert sorted(descendants(node.launcher.pid)) == sorted([server, *node.pids().values()])


def test_the_end_of_the_fork_server_ends_no_agent_and_the_next_start_makes_another(
    start: Callable[..., Node],
) -> None:
    node = start()
    [server] = node.forks()
    pids = node.pids()
    os.kill(server, signal.SIGKILL)
    time.sleep(2.5)
    assert node.pids() == pids and all(map(runs, pids.values()))
    os.kill(pids["reaction"], signal.SIGKILL)
    until(lambda: node.up() and node.pids()["reaction"] != pids["reaction"])
    assert node.pids()["analyzer"] == pids["analyzer"]
    [another] = node.forks()
    assert another != server
    reaction = node.agents()["reaction"]
    assert int(status(reaction["pid"])["PPid"]) == node.launcher.pid
    # The first attempt found the old server gone; the code is of one of the two ends.
    assert reaction["restarts"] == 2
    until(lambda: not [p for p in descendants(node.launcher.pid) if not runs(p)], 5)


def test_nothing_outlives_a_killed_launcher(start: Callable[..., Node]) -> None:
    node = start()
    left = descendants(node.launcher.pid)
    assert len(left) == 3
    node.launcher.kill()
    until(lambda: not any(map(runs, left)), 15)


def test_exit_codes_and_signals_are_told(start: Callable[..., Node]) -> None:
    node = start()
    os.kill(node.pids()["analyzer"], signal.SIGKILL)
    until(lambda: node.agents()["analyzer"]["last_code"] == -signal.SIGKILL)
    until(node.up)
    os.kill(node.pids()["analyzer"], signal.SIGTERM)
    until(lambda: node.agents()["analyzer"]["last_code"] == 0)


def test_a_known_hash_seed_is_never_shared(start: Callable[..., Node]) -> None:
    """With PYTHONHASHSEED set, the launcher is no parent: the server is a process of its own."""
    node = start(PYTHONHASHSEED="0")
    [server] = node.forks()
    environment = Path(f"/proc/{server}/environ").read_bytes().split(b"\0")
    assert b"PYTHONHASHSEED=random" in environment
    for pid in node.pids().values():
        assert b"PYTHONHASHSEED=random" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


SIBLINGS = """\
import asyncio, os, random, socket, sys
import numpy
from agents.launcher import fork_server, process

def run(role, node, file, *, health_fd, verbose):
    said = [random.random(), numpy.random.random(), hash("key"), os.isatty(0)]
    socket.socket(fileno=health_fd).sendall(repr(said).encode())
    return int(node)

process.run = run
server = fork_server.ForkServer([])
server.start()

async def main():
    for code in (3, 4):
        ours, theirs = socket.socketpair()
        child = await server.fork({"role": "x", "node": str(code), "file": "f"}, theirs)
        theirs.close()
        assert await child.wait() == code
        print(ours.recv(1000).decode())
    server.close()

asyncio.run(main())
"""


def test_siblings_draw_other_numbers_and_hash_alike() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIBLINGS], capture_output=True, text=True, timeout=60, check=True
    )
    one, other = (json.loads(line.replace("False", "false")) for line in done.stdout.splitlines())
    assert one[0] != other[0] and one[1] != other[1] and one[2] == other[2]
