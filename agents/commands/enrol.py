"""``ontoidps enrol FILE``: keys, accounts and the server's CA; a bundle for each other host."""

from __future__ import annotations

import argparse
from pathlib import Path

from agents.identity import ensure_keys, export_node
from agents.settings import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="honeynet.toml")
    parser.add_argument("--node", help="also write the bundle that this node's host needs")
    parser.add_argument("--out", type=Path, help="folder for the bundle (must not exist yet)")


def run(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.file)
    if (arguments.node is None) != (arguments.out is None):
        raise ValueError("--node and --out go together")
    ensure_keys(settings)
    print(f"keys of {len(list(settings.agents()))} agents: {settings.state_dir / 'keys'}")
    if arguments.node is not None:
        settings.node_named(arguments.node)
        export_node(settings, arguments.node, arguments.out)
        print(f"bundle for {arguments.node}: {arguments.out} (private keys: keep it secret)")
    return 0
