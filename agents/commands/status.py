"""``ontoidps status FILE``: the launchers' run files of this host, an agent a line."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from agents.clock import now_us
from agents.settings import load_settings

# The launcher writes each second; older than this, it hangs or died without cleaning up.
STALE_US = 5_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="honeynet.toml")
    parser.add_argument("--json", action="store_true", help="a JSON object per node")


def read_run_files(state_dir: Path, now: int) -> list[dict[str, Any]]:
    """Every node that a launcher of this host runs; ``stale``: its word no longer counts."""
    nodes = []
    for path in sorted((state_dir / "run").glob("*.json")):
        node = json.loads(path.read_text(encoding="utf-8"))
        node["stale"] = now - node["updated_us"] > STALE_US
        nodes.append(node)
    return nodes


def run(arguments: argparse.Namespace) -> int:
    """0: every agent is running and connected; 3: some are not; 1: no launcher runs here."""
    settings = load_settings(arguments.file)
    nodes = read_run_files(settings.state_dir, now_us())
    if not nodes:
        raise RuntimeError(f"no launcher runs here (nothing in {settings.state_dir / 'run'})")
    good = True
    for node in nodes:
        good &= not node["stale"] and node["xmpp"] is not False
        good &= all(agent["connected"] for agent in node["agents"])
        if arguments.json:
            print(json.dumps(node))
            continue
        server = {True: ", XMPP server up", False: ", XMPP server DOWN", None: ""}[node["xmpp"]]
        stale = ", STALE: the launcher does not answer" if node["stale"] else ""
        print(f"{node['node']} (launcher pid {node['pid']}{server}{stale})")
        for agent in node["agents"]:
            link = "connected" if agent["connected"] else "NOT CONNECTED"
            memory = agent["health"].get("rss_kib", 0) // 1024
            last = f" (last exit code {agent['last_code']})" if agent["restarts"] else ""
            print(
                f"  {agent['role']:<12} {agent['state']:<9} {link:<14} "
                f"pid {agent['pid'] or '-':<8} {memory:>4} MiB  restarts {agent['restarts']}{last}"
            )
    return 0 if good else 3
