"""Run inside a sandbox: kill parts of a whole honeynet and see the main job done all the same.

Prints one JSON object: what was observed.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.clock import now_us
from agents.commands.status import read_run_files
from agents.console_client import ConsoleClient, ConsoleError
from agents.demo.world import World
from datasets.lab import Lab


def until(condition: Callable[[], bool], limit_s: float = 45.0) -> bool:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def main(folder: Path) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    with Lab() as lab:
        world = World(lab, folder, block_s=300)
        state = world.settings.state_dir
        topology = world.topology
        gateways = [g.namespace for g in topology.gateways]
        bad = str(topology.attacker.ipv4)

        def agents() -> dict[str, dict[str, Any]]:
            found = read_run_files(state, now_us())
            return {a["jid"].split("@")[0]: a for node in found for a in node["agents"]}

        def all_connected() -> bool:
            found = agents()
            return len(found) == 12 and all(a["connected"] for a in found.values())

        def registered() -> bool:
            try:
                with ConsoleClient(world.settings) as console:
                    return sum(a["state"] == "up" for a in console.agents()) == 12
            except ConsoleError:
                return False

        def kill(name: str) -> None:
            os.kill(agents()[name]["pid"], signal.SIGKILL)

        def again(name: str, pid: int) -> bool:
            agent = agents().get(name)
            return agent is not None and agent["connected"] and agent["pid"] != pid

        def blocked_everywhere() -> bool:
            return all(world.kernel_blocks(g, bad) for g in gateways)

        world.start()
        seen["up"] = until(all_connected, 90) and until(registered)
        seen["status"] = world.command("status", str(world.file)).returncode

        # 1. Agents and the XMPP server die before the attack.
        old = {n: agents()[n]["pid"] for n in ("correlation.control", "analyzer.gw1")}
        for name in old:
            kill(name)
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes()
            except OSError:
                continue  # it has just ended
            if b"prosody.cfg.lua" in command:
                os.kill(int(process.name), signal.SIGKILL)
        seen["agents came back"] = until(lambda: all(again(n, p) for n, p in old.items()))
        seen["server came back"] = until(all_connected) and until(registered)
        seen["restarts"] = {n: agents()[n]["restarts"] for n in old}

        # 2. Somebody flushes a gateway's firewall; the attack comes.
        lab.run(gateways[1], ["nft", "flush", "ruleset"])
        pot = topology.honeypots[0]
        words = folder / "passwords.txt"
        words.write_text("".join(f"password{n}\n" for n in range(40)))
        scan = world.tool(
            topology.attacker, "nmap", "-n", "-Pn", "-sS", "-p1-300", "-T4", str(pot.ipv4)
        )
        scan.wait(60)
        world.tool(
            topology.attacker, "hydra", "-I", "-q", "-t", "4", "-l", "root", "-P", str(words),
            f"ftp://{pot.ipv4}",
        )  # fmt: skip
        seen["blocked everywhere"] = until(blocked_everywhere, 60)

        # 3. A reaction agent dies while it blocks: the kernel goes on, and it reports again.
        reaction = agents()["reaction.gw3"]["pid"]
        kill("reaction.gw3")
        seen["kernel blocks on without the agent"] = world.kernel_blocks("gw3", bad)
        seen["reaction came back"] = until(lambda: again("reaction.gw3", reaction))
        seen["still blocked"] = blocked_everywhere()

        # 4. The supervisor dies; what it knew is still known, and a lift reaches every gateway.
        supervisor = agents()["supervisor.control"]["pid"]
        kill("supervisor.control")
        seen["supervisor came back"] = until(lambda: again("supervisor.control", supervisor))
        seen["registered again"] = until(registered)
        listed = world.command("blocks", "list", str(world.file))
        seen["listed"] = bad in listed.stdout and "gw1 gw2 gw3 active" in listed.stdout
        lifted = world.command("blocks", "lift", str(world.file), bad, "--reason", "a test")
        seen["lift"] = lifted.returncode
        seen["lifted everywhere"] = until(
            lambda: not any(world.kernel_blocks(g, bad) for g in gateways)
        )
        audit = world.command("blocks", "list", str(world.file), "--state", "lifted", "--json")
        seen["ledger says lifted"] = '"state": "lifted"' in audit.stdout
        seen["log"] = world.log.read_text(errors="replace").splitlines()[-60:]
        seen["exit codes"] = world.stop()
    return seen


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
