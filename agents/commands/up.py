"""``ontoidps up FILE``: run this node's agents until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from agents.launcher.launcher import Launcher
from agents.launcher.logs import configure_logging
from agents.settings.honeynet import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="honeynet.toml")
    parser.add_argument(
        "--node",
        action="append",
        metavar="NAME",
        help="run only this node's agents (may be repeated); all nodes by default",
    )
    parser.add_argument("--verbose", action="store_true", help="log every message and decision")


def run(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.file)
    nodes = [settings.node_named(name) for name in arguments.node or []] or list(settings.node)
    configure_logging("launcher", verbose=arguments.verbose)
    launcher = Launcher(settings, arguments.file.resolve(), nodes, verbose=arguments.verbose)
    launcher.prepare()
    return asyncio.run(launcher.run())
