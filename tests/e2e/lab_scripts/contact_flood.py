"""Run inside a sandbox: one node with all agents; a flood of forged contacts with its honeypot.

``contact_flood.py FOLDER [SECONDS [AFTER_S [PACKETS_PER_S [KINDS]]]]``: a password is guessed in
calm, and again, from another address, in the midst of the flood; ``AFTER_S`` after its end the
state is looked at. Prints one JSON object: what was observed. The cases of issue 10 are 75 s and
240 s at 1,500 a second.
"""

import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from one_node import OneNode

from datasets.laboratory.network import Lab
from datasets.laboratory.topology import WAN4

HERE = Path(__file__).parent


def main(
    folder: Path, seconds: float = 20.0, after_s: float = 5.0, rate: int = 1500, kinds: str = "ack"
) -> dict[str, Any]:
    with Lab() as lab:
        node = OneNode(lab, folder)
        gateway, pot, attacker = node.gateway, node.pot, node.topology.attacker

        def guess(number: int) -> float | None:
            """Seconds until the kernel drops the guesser; None: not within a minute."""
            address = str(WAN4[130 + number])
            lab.address(attacker.namespace, attacker.interface, f"{address}/{WAN4.prefixlen}")
            route = ["ip", "route", "replace", str(pot.ipv4), "via", str(gateway.wan.ipv4)]
            lab.run(attacker.namespace, [*route, "src", address])
            return node.guess_until_blocked(attacker, address, 4, 60)

        seen: dict[str, Any] = {"up": node.start()}
        pids = {a["role"]: a["pid"] for a in node.agents()}
        time.sleep(5.0)  # the reasoner warms up
        seen["calm s"] = [guess(number) for number in range(2)]
        (device,) = json.loads(
            lab.run("gw1", ["ip", "-j", "link", "show", gateway.wan.interface]).stdout
        )
        flood = lab.popen(
            attacker.namespace,
            [sys.executable, str(HERE / "forged_contacts.py"), attacker.interface,
             device["address"], str(pot.ipv4), str(rate), str(seconds), kinds],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        time.sleep(min(5.0, seconds / 4))
        seen["flooded s"] = [guess(number) for number in range(2, 4)]
        seen["guessed in the flood"] = flood.poll() is None
        seen["packets"] = int(flood.communicate(timeout=seconds + 60)[0])
        time.sleep(after_s)
        state = {a["role"]: a for a in node.agents()}
        seen["restarts"] = {role: a["pid"] != pids.get(role) for role, a in state.items()}
        seen["states"] = {role: a["state"] for role, a in state.items()}
        seen["counters"] = {role: a["health"].get("counters", {}) for role, a in state.items()}
        seen["peak MiB"] = {role: peak_mib(a["pid"]) for role, a in state.items()}
        seen["after s"] = guess(4)
        seen["still blocked"] = all(node.blocks(WAN4[130 + n]) for n in range(5))
        seen["launcher"] = node.stop()
        seen["log bytes"] = node.log.stat().st_size
        seen["state bytes"] = {
            str(path.relative_to(node.state)): path.stat().st_size
            for path in sorted(node.state.rglob("*"))
            if path.is_file() and path.stat().st_size > 100_000
        }
        (journal,) = node.state.rglob("alerts.sqlite3")
        with sqlite3.connect(journal) as database:
            seen["journal rows"] = database.execute("SELECT count(*) FROM alert").fetchone()[0]
        seen["log"] = node.last_lines(60)
    return seen


def peak_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


if __name__ == "__main__":
    numbers = [float(word) for word in sys.argv[2:4]]
    more = [int(sys.argv[4])] if len(sys.argv) > 4 else []
    print(json.dumps(main(Path(sys.argv[1]), *numbers, *more, *sys.argv[5:6])))
