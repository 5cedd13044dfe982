"""`ontoidps up` on one node with one real agent: what `ontoidps status` says of it, and when."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.xmpp, pytest.mark.e2e]

ONTOIDPS = [sys.executable, "-m", "agents.main"]
HONEYNET = """\
[xmpp]
node = "gw1"
port = {port}
[policy]
dry_run = true
[[node]]
name = "control"
agents = ["supervisor", "correlation", "ontology"]
[[node]]
name = "gw1"
agents = ["reaction"]
"""


class Node:
    """Node gw1 with its launcher."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.launcher = subprocess.Popen(
            [*ONTOIDPS, "up", str(file), "--node", "gw1"], stderr=subprocess.PIPE, text=True
        )

    def status(self) -> tuple[int, dict[str, Any]]:
        """Exit code and the agent's line."""
        done = subprocess.run(
            [*ONTOIDPS, "status", "--json", str(self.file)],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, json.loads(done.stdout)["agents"][0] if done.stdout else {}

    def agent(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            (self.file.parent / "state" / "run" / "gw1.json").read_text(encoding="utf-8")
        )["agents"][0]
        return found

    def until(self, condition: Callable[[dict[str, Any]], object], limit_s: float) -> float:
        """Seconds until the agent's entry in the run file is as wanted."""
        began = time.monotonic()
        while True:
            try:
                if condition(self.agent()):
                    return time.monotonic() - began
            except FileNotFoundError:
                pass  # not written yet
            assert time.monotonic() - began < limit_s, self.agent()
            time.sleep(0.05)


@pytest.fixture
def node(tmp_path: Path, new_port: Callable[[], int]) -> Iterator[Node]:
    file = tmp_path / "honeynet.toml"
    file.write_text(HONEYNET.format(port=new_port()))
    found = Node(file)
    try:
        found.until(lambda agent: agent["connected"], 60)
        yield found
    finally:
        found.launcher.terminate()
        found.launcher.communicate(timeout=30)


def test_a_frozen_agent_is_noticed_and_killed_agents_and_launchers_end_well(node: Node) -> None:
    # Its supervisor is on another node, which nobody started: connected, but not registered.
    code, agent = node.status()
    assert code == 3 and agent["connected"] and not agent["health"]["registered"]
    pid = node.agent()["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert node.until(lambda agent: agent["state"] == "silent", 20) <= 6.0
        code, agent = node.status()
        assert code == 3 and not agent["connected"]
    finally:
        os.kill(pid, signal.SIGCONT)
    node.until(lambda agent: agent["state"] == "running" and agent["connected"], 10)
    assert node.agent()["pid"] == pid and node.agent()["restarts"] == 0

    os.kill(pid, signal.SIGKILL)
    node.until(lambda agent: agent["connected"] and agent["pid"] != pid, 30)
    assert node.agent()["restarts"] == 1

    second = subprocess.run(
        [*ONTOIDPS, "up", str(node.file), "--node", "gw1"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1 and "already run by another launcher" in second.stderr

    pid = node.agent()["pid"]
    node.launcher.terminate()
    assert node.launcher.wait(20) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert node.status()[0] == 1  # no launcher runs here
