"""``ontoidps check FILE``."""

from __future__ import annotations

import argparse
from pathlib import Path

from agents.commands.replay import printable
from agents.sensor.signature_files import load_rules
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
    for node in settings.node:
        if node.signatures:
            rules = load_rules(
                node.signatures,
                variables=node.signature_variables,
                sensor=settings.jid("sensor", node.name),
                honeypots=[pot.address for pot in settings.honeypot],
            )
            print(f"node {node.name}: {printable(rules.summary())}")
    return 0
