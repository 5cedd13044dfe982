"""Run inside a sandbox: one node with all agents and no XMPP server; an attack has to be blocked.

Prints one JSON object: what was observed.
"""

import json
import os
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
from datasets.laboratory.network import Lab
from datasets.laboratory.topology import build_honeynet

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


def until(condition: Callable[[], object], limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def main(folder: Path) -> dict[str, Any]:
    with Lab() as lab:
        topology = build_honeynet(lab, 1)
        gateway, pot, attacker = topology.gateways[0], topology.honeypots[0], topology.attacker
        ensure_authority(folder)
        file = folder / "honeynet.toml"
        file.write_text(
            HONEYNET.format(
                control=topology.control.ipv4,
                interface=gateway.wan.interface,
                addresses=", ".join(f'"{address}"' for address in gateway.addresses),
                pot=pot.ipv4,
            )
        )
        settings = load_settings(file)
        ensure_keys(settings)
        decoy = lab.popen(
            pot.namespace,
            [sys.executable, "-m", "datasets.laboratory.decoy", str(pot.ipv4), str(pot.ipv6)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert decoy.stdout is not None and decoy.stdout.readline() == "ready\n"
        log = (folder / "agents.log").open("w")
        launcher = lab.popen(
            "gw1", [sys.executable, "-m", "agents.main", "up", str(file)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env=os.environ,
        )  # fmt: skip

        def agents() -> list[dict[str, Any]]:
            found = read_run_files(settings.state_dir, now_us())
            return [agent for node in found for agent in node["agents"]]

        def up() -> bool:
            found = agents()
            return len(found) == 6 and all(
                link(a) == "LOCAL ONLY"
                and a["health"]["local"] == 5
                and (a["health"]["registered"] or a["role"] == "supervisor")
                for a in found
            )

        seen: dict[str, Any] = {"up": until(up, 60)}
        words = folder / "passwords.txt"
        words.write_text("".join(f"password{n}\n" for n in range(5000)))
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        lab.popen(
            attacker.namespace,
            ["nmap", "-n", "-Pn", "-sS", "-p1-200", "-T4", str(pot.ipv4)],
            **quiet,
        ).wait(60)
        guess = lab.popen(
            attacker.namespace,
            ["hydra", "-I", "-q", "-t", "16", "-l", "root", "-P", str(words), f"ftp://{pot.ipv4}"],
            cwd=folder, stderr=subprocess.DEVNULL, **quiet,
        )  # fmt: skip

        def blocked() -> bool:
            wanted = [
                "nft",
                "get",
                "element",
                "inet",
                "ontoidps",
                "block4",
                f"{{ {attacker.ipv4} }}",
            ]
            return lab.run("gw1", wanted, check=False).returncode == 0

        seen["blocked"] = until(blocked, 90)
        guess.kill()
        guess.wait()
        time.sleep(2.0)  # what the launcher knows is a second old
        seen["agents"] = {a["role"]: a["health"] for a in agents()}
        launcher.terminate()
        seen["launcher"] = launcher.wait(30)
        log.close()
        seen["sockets left"] = len(list((settings.state_dir / "run" / "gw1").rglob("*.sock")))
        seen["log"] = (folder / "agents.log").read_text(errors="replace").splitlines()[-60:]
    return seen


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
