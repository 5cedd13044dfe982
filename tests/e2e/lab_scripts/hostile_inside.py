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

from agents.clock import now_us
from agents.commands.status import link, read_run_files
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
            return len(found) == 7 and all(
                link(a) == "LOCAL ONLY" and a["health"]["local"] == 6 for a in found
            )

        seen: dict[str, Any] = {"up": until(up, 90)}
        before = {a["role"]: a["pid"] for a in agents()}

        def rules() -> str:
            return lab.run("gw1", ["nft", "-s", "list", "ruleset"]).stdout

        seen["rules before"] = rules()
        for who in HOSTILE:
            done = lab.run(
                "gw1", [sys.executable, str(CODE), str(file), *who.split()],
                check=False, timeout=60, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
            seen[who] = json.loads(done.stdout) if done.returncode == 0 else done.stderr[-2000:]
        time.sleep(3.0)  # an order is carried out within a second; what is known is a second old
        seen["rules after"] = rules()
        found = {a["role"]: a for a in agents()}
        seen["same agents"] = before == {role: a["pid"] for role, a in found.items()}
        seen["restarts"] = sum(a["restarts"] for a in found.values())
        seen["refused"] = {
            name: count
            for name, count in found["reaction"]["health"]["counters"].items()
            if name.startswith("refused")
        }
        # The same order by the supervisor itself, as a control: the way that was tried works.
        done = lab.run(
            "gw1", [sys.executable, str(CODE), str(file), "supervisor"],
            check=False, timeout=60, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        seen["control"] = until(lambda: "192.0.2.99" in rules(), 10)
        launcher.terminate()
        seen["launcher"] = launcher.wait(30)
        log.close()
        seen["log"] = (folder / "agents.log").read_text(errors="replace").splitlines()[-60:]
    return seen


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
