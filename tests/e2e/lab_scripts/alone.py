"""Run inside a sandbox: one node with all agents and no XMPP server; an attack has to be blocked.

Prints one JSON object: what was observed.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from one_node import OneNode

from datasets.laboratory.network import Lab


def main(folder: Path) -> dict[str, Any]:
    with Lab() as lab:
        node = OneNode(lab, folder)
        attacker = node.topology.attacker
        seen: dict[str, Any] = {"up": node.start()}
        node.scan(attacker)
        seen["blocked"] = node.guess_until_blocked(attacker, attacker.ipv4, 16, 90) is not None
        time.sleep(2.0)  # what the launcher knows is a second old
        seen["agents"] = {a["role"]: a["health"] for a in node.agents()}
        seen["launcher"] = node.stop()
        seen["sockets left"] = len(list((node.state / "run" / "gw1").rglob("*.sock")))
        seen["log"] = node.last_lines(60)
    return seen


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
