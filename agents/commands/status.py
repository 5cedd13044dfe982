"""``ontoidps status FILE``: the launchers' run files of this host, an agent a line."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from agents.clock import now_us
from agents.settings.honeynet import load_settings

# The launcher writes each second; older than this, it hangs or died without cleaning up.
STALE_US = 5_000_000
CLOCKS = " (do the hosts' clocks differ?)"


DRY_RUN = "policy.dry_run is on: blocks are decided and listed, but no packet is dropped"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="honeynet.toml")
    parser.add_argument("--json", action="store_true", help="a JSON object per node")


def read_run_files(state_dir: Path, now: int) -> list[dict[str, Any]]:
    """Every node that a launcher of this host runs; ``stale``: its word no longer counts."""
    nodes = []
    for path in sorted((state_dir / "run").glob("*.json")):
        try:
            node = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue  # the launcher has just stopped
        except ValueError as e:
            raise RuntimeError(f"{path}: not a run file of the launcher: {e}") from e
        node["stale"] = now - node["updated_us"] > STALE_US
        nodes.append(node)
    return nodes


def link(agent: dict[str, Any]) -> str:
    """``connected``: to the XMPP server, and heard by the supervisor; else what is wrong.

    ``LOCAL ONLY``: without the server it works with the agents of its node, and with no other. An
    agent that is connected and not heard (clocks, keys) is as good as not there.
    """
    if not agent["connected"]:
        works = agent["state"] == "running" and agent["health"].get("local")
        return "LOCAL ONLY" if works else "NOT CONNECTED"
    if agent["role"] != "supervisor" and not agent["health"].get("registered"):
        return "NOT REGISTERED"
    return "connected"


def run(arguments: argparse.Namespace) -> int:
    """0: every agent runs, is connected and registered; 3: some are not; 1: no launcher runs."""
    settings = load_settings(arguments.file)
    nodes = read_run_files(settings.state_dir, now_us())
    if not nodes:
        raise RuntimeError(f"no launcher runs here (nothing in {settings.state_dir / 'run'})")
    good = True
    if settings.policy.dry_run:
        print(DRY_RUN, file=sys.stderr)
    for node in nodes:
        good &= not node["stale"] and node["xmpp"] is not False
        good &= all(link(agent) == "connected" for agent in node["agents"])
        if arguments.json:
            print(json.dumps(node))
            continue
        server = {True: ", XMPP server up", False: ", XMPP server DOWN", None: ""}[node["xmpp"]]
        stale = ", STALE: the launcher does not answer" if node["stale"] else ""
        print(f"{node['node']} (launcher pid {node['pid']}{server}{stale})")
        for agent in node["agents"]:
            memory = agent["health"].get("rss_kib", 0) // 1024
            refused = {
                name.removeprefix("refused_"): count
                for name, count in agent["health"].get("counters", {}).items()
                if name in ("refused_stale", "refused_bad-signature", "refused_unknown-sender")
            }
            last = f" (last exit code {agent['last_code']})" if agent["restarts"] else ""
            print(
                f"  {agent['role']:<12} {agent['state']:<9} {link(agent):<14} "
                f"node {agent['health'].get('local', 0)}/{agent['health'].get('local_peers', 0)}  "
                f"pid {agent['pid'] or '-':<8} {memory:>4} MiB  restarts {agent['restarts']}{last}"
            )
            if agent["health"].get("server_error"):
                print(f"    XMPP server: {agent['health']['server_error']}")
            if refused:
                words = ", ".join(f"{count} {name}" for name, count in refused.items())
                print(f"    messages refused: {words}{CLOCKS if 'stale' in refused else ''}")
    return 0 if good else 3
