"""Run inside a sandbox: a node with all agents and real rules; hostile code as several of them.

Prints one JSON object: what each could do, and what the kernel and the agents say afterwards.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.settings.honeynet import load_settings
from agents.trust.identity import ensure_keys
from agents.trust.pki import ensure_authority
from datasets.laboratory.network import Lab

# Nobody listens at the server's address; its CA is made up.
HONEYNET = """\
[xmpp]
embedded = false
ca = "ca.crt"
[console]
listen = "127.0.0.1:8080"
[[node]]
name = "gw1"
agents = ["supervisor", "ontology", "correlation", "console", "sensor", "analyzer", "reaction"]
interfaces = ["lo"]
"""
CODE = Path(__file__).with_name("hostile_code.py")
HOSTILE = ("sensor", "analyzer", "ontology", "console", "correlation worker")
"""Of those that may order nothing; Pellet is the worker of correlation."""


def until(condition: Callable[[], object], limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def main(folder: Path) -> dict[str, Any]:
    with Lab() as lab:
        lab.namespace("gw1")
        ensure_authority(folder)
        file = folder / "honeynet.toml"
        file.write_text(HONEYNET)
        settings = load_settings(file)
        ensure_keys(settings)
        log = (folder / "agents.log").open("w")
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        quiet = {"stdin": subprocess.DEVNULL, "stderr": log, "env": environment}

        def start(role: str) -> subprocess.Popen[str]:
            words = ["-m", "agents.launcher.process", role, "gw1", str(file)]
            return lab.popen("gw1", [sys.executable, *words], stdout=log, **quiet)

        def hostile(*words: str) -> Any:
            done = lab.run(
                "gw1", [sys.executable, str(CODE), str(file), *words],
                check=False, timeout=90, stdout=subprocess.PIPE, **quiet,
            )  # fmt: skip
            return json.loads(done.stdout) if done.returncode == 0 else done.stdout

        def rules() -> str:
            return lab.run("gw1", ["nft", "-s", "list", "ruleset"]).stdout

        agents = {role: start(role) for role in settings.node_named("gw1").agents}
        text = folder / "agents.log"
        seen: dict[str, Any] = {
            "up": until(lambda: text.read_text().count(" has started") == len(agents), 90)
        }
        seen["rules before"] = rules()
        for who in HOSTILE:
            role, *rest = who.split()
            if not rest:  # the agent makes room for what has got into it
                agents[role].terminate()
                agents[role].wait(20)
            seen[who] = hostile(role, *rest)
            if not rest:
                agents[role] = start(role)
        time.sleep(3.0)  # an order is carried out within a second
        seen["rules after"] = rules()
        seen["ended"] = [role for role, agent in agents.items() if agent.poll() is not None]
        # The same way by one who may give orders, as a control.
        agents["supervisor"].terminate()
        agents["supervisor"].wait(20)
        seen["control"] = hostile("supervisor")
        seen["control blocked"] = until(lambda: "192.0.2.99" in rules(), 10)
        for agent in agents.values():
            agent.terminate()
        seen["codes"] = sorted({agent.wait(30) for agent in agents.values()})
        log.close()
        seen["log"] = text.read_text(errors="replace").splitlines()[-60:]
    return seen


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
