"""``ontoidps status FILE``: what this host's launchers say of their agents, an agent a line."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.base.clock_watch import CLOCK
from agents.base.conditions import described, from_json
from agents.clock import now_us
from agents.launcher.node_state import ask_launcher, launcher_runs
from agents.settings.honeynet import load_settings

# The launcher writes each second; older than this, it hangs or died without cleaning up.
STALE_US = 5_000_000
CLOCKS = " (do the hosts' clocks differ?)"


DRY_RUN = "policy.dry_run is on: blocks are decided and listed, but no packet is dropped"
WORKS = ("running", "degraded")
"""States of an agent that answers."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="honeynet.toml")
    parser.add_argument("--json", action="store_true", help="a JSON object per node")


def read_run_files(state_dir: Path, now: int) -> list[dict[str, Any]]:
    """Every node of a launcher of this host, as it says itself, or as it said last.

    ``stale``: nobody says it now; ``trouble`` says why, or what else is wrong.
    """
    run = state_dir / "run"
    names = {path.stem for kind in ("*.json", "*.sock") for path in run.glob(kind)}
    nodes = [_node(run, name, now) for name in sorted(names)]
    return [node for node in nodes if node is not None]


def _node(run: Path, name: str, now: int) -> dict[str, Any] | None:
    hangs = False
    try:
        return ask_launcher(run / f"{name}.sock") | {"stale": False}
    except TimeoutError:
        hangs = True
        silent = "does not answer: it hangs, or the machine is overloaded"
    except (OSError, ValueError) as e:
        silent = f"can't be asked ({e})"
    path = run / f"{name}.json"
    try:
        node: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        written_us, pid = node["updated_us"], node["pid"]
    except FileNotFoundError:
        return None  # the launcher has just stopped
    except (ValueError, KeyError) as e:
        raise RuntimeError(f"{path}: not a run file of the launcher: {e}") from e
    if not launcher_runs(run / f"{name}.lock"):
        at = datetime.fromtimestamp(written_us / 1e6, UTC)
        silent = f"is dead since {at:%Y-%m-%d %H:%M:%S} UTC, and its agents with it"
    elif not hangs and abs(now - written_us) <= STALE_US:
        return node | {"stale": False}  # it has no socket yet
    last = [agent | {"state": "unknown", "connected": False} for agent in node["agents"]]
    trouble = f"the launcher (pid {pid}) {silent}"
    return node | {"stale": True, "trouble": trouble, "agents": last}


def link(agent: dict[str, Any]) -> str:
    """``connected``: to the XMPP server, and heard by the supervisor; else what is wrong.

    ``LOCAL ONLY``: without the server it works with the agents of its node, and with no other. An
    agent that is connected and not heard (clocks, keys) is as good as not there.
    """
    if not agent["connected"]:
        works = agent["state"] in WORKS and agent["health"].get("local")
        return "LOCAL ONLY" if works else "NOT CONNECTED"
    if agent["role"] != "supervisor" and not agent["health"].get("registered"):
        return "NOT REGISTERED"
    return "connected"


def is_good(node: dict[str, Any]) -> bool:
    """Whether all of its agents do all of their work, connected and registered."""
    good = not node["stale"] and node["xmpp"] is not False and not node.get("trouble")
    return good and all(
        agent["state"] == "running" and link(agent) == "connected" for agent in node["agents"]
    )


def run(arguments: argparse.Namespace) -> int:
    """0: every agent does its work, is connected and registered; 3: some do not; 1: no launcher
    runs. Losses are told, and change nothing as long as they are small."""
    settings = load_settings(arguments.file)
    nodes = read_run_files(settings.state_dir, now_us())
    if not nodes:
        raise RuntimeError(f"no launcher runs here (nothing in {settings.state_dir / 'run'})")
    if settings.policy.dry_run:
        print(DRY_RUN, file=sys.stderr)
    for node in nodes:
        print(json.dumps(node) if arguments.json else "\n".join(_lines(node)))
    return 0 if all(map(is_good, nodes)) else 3


def _lines(node: dict[str, Any]) -> list[str]:
    server = {True: ", XMPP server up", False: ", XMPP server DOWN", None: ""}[node["xmpp"]]
    stale = ", STALE" if node["stale"] else ""
    lines = [f"{node['node']} (launcher pid {node['pid']}{server}{stale})"]
    if node.get("trouble"):
        lines.append(f"    {node['trouble']}")
    if node.get("shared_user"):
        lines.append(f"    agents have no users of their own: {node['shared_user']}")
    told = (c["name"] for a in node["agents"] for c in a["health"].get("conditions", []))
    if node.get("clock") and CLOCK not in told:
        lines.append(f"    warning: {node['clock']}")
    for agent in node["agents"]:
        lines += _agent(agent)
    return lines


def _agent(agent: dict[str, Any]) -> list[str]:
    health = agent["health"]
    last = f" (last exit code {agent['last_code']})" if agent["restarts"] else ""
    lines = [
        f"  {agent['role']:<12} {agent['state']:<9} {link(agent):<14} "
        f"node {health.get('local', 0)}/{health.get('local_peers', 0)}  "
        f"pid {agent['pid'] or '-':<8} {health.get('rss_kib', 0) // 1024:>4} MiB  "
        f"restarts {agent['restarts']}{last}"
    ]
    for condition in from_json(health.get("conditions", [])):
        lines.append(f"    {condition.level}: {described(condition)}")
    if agent.get("last_words"):
        lines.append(f"    ended: {agent['last_words']}")
    if health.get("server_error"):
        lines.append(f"    XMPP server: {health['server_error']}")
    refused = {
        name.removeprefix("refused_"): count
        for name, count in health.get("counters", {}).items()
        if name in ("refused_stale", "refused_bad-signature", "refused_unknown-sender")
    }
    if refused:
        words = ", ".join(f"{count} {name}" for name, count in refused.items())
        lines.append(f"    messages refused: {words}{CLOCKS if 'stale' in refused else ''}")
    return lines
