"""``ontoidps check FILE``."""

from __future__ import annotations

import argparse
from pathlib import Path

from agents.settings import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="honeynet.toml")


def run(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.file)
    agents = list(settings.agents())
    print(
        f"{arguments.file}: good: {len(settings.node)} nodes, {len(agents)} agents, "
        f"{len(settings.honeypot)} honeypots, {len(settings.allow_networks())} never blocked"
    )
    return 0
