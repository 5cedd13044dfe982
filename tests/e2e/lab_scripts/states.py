"""Run inside a sandbox: a whole node, to which one thing after another happens; what does
``ontoidps status`` say, and how soon?

Prints one JSON object: by happening, what the status said, its exit code, and the seconds until it
said so; the same for its end. `tests/e2e/test_states.py` judges.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.clock import now_us
from agents.commands.status import is_good, read_run_files
from agents.console.client import ConsoleClient, ConsoleError
from agents.settings.honeynet import load_settings

HONEYNET = """\
state_dir = "{state}"
[console]
listen = "127.0.0.1:8080"
[[node]]
name = "gw1"
agents = ["supervisor", "console", "ontology", "correlation", "sensor", "analyzer", "reaction"]
interfaces = ["wan0"]
addresses = ["192.0.2.1"]
[[node.inputs]]
kind = "cowrie"
path = "{log}"
[[honeypot]]
address = "192.0.2.18"
node = "gw1"
"""
LIMIT_S = 45.0
ONTOIDPS = [sys.executable, "-m", "agents.main"]


def sh(command: str) -> None:
    subprocess.run(["sh", "-ec", command], check=True, capture_output=True)


class Node:
    """The node with its launcher, and what was seen of it."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.state.mkdir()
        # Small enough to be filled in a moment; what agents keep in reserve has room.
        sh(f"mount -t tmpfs -o size=400m tmpfs {self.state}")
        self.log, self.file = folder / "cowrie.json", folder / "honeynet.toml"
        self.file.write_text(HONEYNET.format(state=self.state, log=self.log))
        self.settings = load_settings(self.file)
        self.output = (folder / "agents.log").open("w")
        self.launcher = subprocess.Popen(
            [*ONTOIDPS, "up", str(self.file)],
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output,
            start_new_session=True,
        )  # fmt: skip
        self.seen: dict[str, Any] = {}

    def nodes(self) -> list[dict[str, Any]]:
        return read_run_files(self.state, now_us())

    def good(self) -> bool:
        found = self.nodes()
        return bool(found) and all(map(is_good, found))

    def told(self) -> str:
        """All that is wrong, as the launcher has it."""
        return json.dumps(
            [
                [node.get("trouble"), node["stale"]]
                + [[a["role"], a["state"], a["health"].get("conditions")] for a in node["agents"]]
                for node in self.nodes()
            ]
        )

    def agent(self, role: str) -> dict[str, Any]:
        [found] = [a for node in self.nodes() for a in node["agents"] if a["role"] == role]
        return found

    def counter(self, role: str, name: str) -> int:
        return int(self.agent(role)["health"].get("counters", {}).get(name, 0))

    def status(self) -> dict[str, Any]:
        done = subprocess.run(
            [*ONTOIDPS, "status", str(self.file)], capture_output=True, text=True, check=False
        )
        return {"code": done.returncode, "said": done.stdout + done.stderr}

    def console(self, ask: Callable[[ConsoleClient], Any]) -> Any:
        try:
            with ConsoleClient(self.settings) as client:
                return ask(client)
        except ConsoleError as e:
            return str(e)

    def shown(self) -> str:
        """What the page has of it."""
        return json.dumps(self.console(lambda c: [a["conditions"] for a in c.agents()]))

    def until(self, condition: Callable[[], object]) -> float | None:
        began = time.monotonic()
        while time.monotonic() - began < LIMIT_S:
            if condition():
                return round(time.monotonic() - began, 1)
            time.sleep(0.05)
        return None

    def happens(
        self, name: str, begin: Callable[[], object], words: str, end: Callable[[], object]
    ) -> dict[str, Any]:
        """Let something happen, and end."""
        begin()
        found = self.seen[name] = {"told_s": self.until(lambda: re.search(words, self.told()))}
        found["page_s"] = self.until(lambda: re.search(words, self.shown()))
        found |= self.status()
        end()
        found["over_s"] = self.until(self.good)
        found["after"] = self.told() if found["over_s"] is None else ""
        print(name, found, file=sys.stderr, flush=True)
        return found


def interfaces(node: Node) -> None:
    def pair() -> None:
        sh("ip link add wan0 type veth peer name far0; ip link set wan0 up; ip link set far0 up;"
           "ip addr add 192.0.2.1/24 dev wan0; ip neigh add 192.0.2.9 dev wan0 lladdr"
           " 02:00:00:00:00:09")  # fmt: skip

    def captures() -> bool:
        before = node.counter("sensor", "capture.wan0.packets")

        def one_more() -> bool:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"x", ("192.0.2.9", 9))
            return node.counter("sensor", "capture.wan0.packets") > before

        return node.until(one_more) is not None

    def back() -> None:
        sh("ip link set lan9 down; ip link set lan9 name wan0; ip link set wan0 up;"
           "ip neigh replace 192.0.2.9 dev wan0 lladdr 02:00:00:00:00:09")  # fmt: skip

    gone = "captures nothing: no interface wan0"
    rename = "ip link set wan0 down; ip link set wan0 name lan9; ip link set lan9 up"
    node.happens("renamed", lambda: sh(rename), gone, back)["captures"] = captures()
    node.happens("deleted", lambda: sh("ip link del wan0"), gone, pair)["captures"] = captures()
    down = "captures nothing: interface wan0 is down"
    up = "ip link set wan0 up; ip neigh replace 192.0.2.9 dev wan0 lladdr 02:00:00:00:00:09"
    found = node.happens("down", lambda: sh("ip link set wan0 down"), down, lambda: sh(up))
    found["captures"] = captures()


def firewall(node: Node) -> None:
    """A block, and a gateway that can't look at its rules."""
    node.console(lambda c: c.add("203.0.113.77", duration_s=3000, reason="test"))

    def where() -> Any:
        blocks = node.console(lambda c: c.blocks())
        return [g["state"] for g in blocks[0]["gateways"]] if blocks else blocks

    def dropped() -> bool:
        done = subprocess.run(
            ["/usr/sbin/nft", "get", "element", "inet", "ontoidps", "block4", "{ 203.0.113.77 }"],
            capture_output=True, check=False,
        )  # fmt: skip
        return done.returncode == 0

    seen: dict[str, Any] = {"active_s": node.until(lambda: where() == ["active"])}

    # Another program makes our table its own: the kernel lets nobody else change it.
    other = subprocess.Popen(
        ["/usr/sbin/nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert other.stdin is not None
    stdin = other.stdin

    def harm() -> None:
        table = "table inet ontoidps"
        stdin.write(f"delete {table}; add {table} {{ flags owner; }}\n")
        stdin.flush()
        seen["unknown_s"] = node.until(lambda: where() == ["unknown"])

    def leave() -> None:
        stdin.close()
        other.wait()

    found = node.happens("firewall", harm, "nobody knows what the kernel drops", leave)
    found |= seen | {"again_s": node.until(lambda: where() == ["active"]), "dropped": dropped()}
    flushed = "our nftables rules were changed by somebody else"
    found = node.happens(
        "flushed", lambda: sh("/usr/sbin/nft delete table inet ontoidps"), flushed, lambda: None
    )
    found["dropped"] = dropped()


def reasoner(node: Node) -> None:
    def kill() -> None:
        listed = subprocess.run(
            ["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True
        ).stdout
        for line in listed.splitlines():
            if "ontology.reasoner.worker" in line:
                os.kill(int(line.split()[0]), signal.SIGKILL)

    node.happens("reasoner", kill, "reasoner", lambda: None)


def full(node: Node) -> None:
    filler = node.state / "filler"

    def fill() -> None:
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 12))
            except OSError:
                pass

    node.happens("full", fill, "No space left on device", filler.unlink)


def main(folder: Path) -> dict[str, Any]:
    sh("ip link set lo up; ip link add wan0 type veth peer name far0; ip link set wan0 up;"
       "ip link set far0 up; ip addr add 192.0.2.1/24 dev wan0; ip neigh add 192.0.2.9 dev wan0"
       " lladdr 02:00:00:00:00:09")  # fmt: skip
    node = Node(folder)
    began = node.until(lambda: "no file" in node.told())
    found: dict[str, Any] = {"told_s": began}
    node.until(lambda: all(a["connected"] for n in node.nodes() for a in n["agents"]))
    found |= node.status()
    node.log.write_text("")
    found["over_s"] = node.until(node.good)
    found["after"] = node.told() if found["over_s"] is None else ""
    node.seen["log missing"] = found

    def junk() -> None:
        with node.log.open("a") as file:
            file.write("Nov 29 12:00:00 host kernel: something else\n" * 20)

    def session() -> None:
        line = {
            "eventid": "cowrie.session.connect", "src_ip": "203.0.113.9", "src_port": 4000,
            "dst_ip": "192.0.2.18", "dst_port": 22, "session": "a1", "protocol": "ssh",
            "timestamp": "2026-11-29T12:00:00.000000Z", "sensor": "x", "message": "x",
        }  # fmt: skip
        with node.log.open("a") as file:
            file.write(json.dumps(line) + "\n")

    node.happens("log of another kind", junk, "no line of", session)
    interfaces(node)
    firewall(node)
    reasoner(node)
    full(node)
    node.launcher.send_signal(signal.SIGSTOP)
    hung = node.status()
    node.launcher.send_signal(signal.SIGCONT)
    node.launcher.kill()
    node.launcher.wait()
    node.seen["launcher"] = {"hung": hung, "dead": node.status()}
    node.output.close()
    log = (folder / "agents.log").read_text(errors="replace").splitlines()
    return node.seen | {"log": log[-200:]}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
