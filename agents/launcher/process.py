"""Entry of an agent: ``python -m agents.launcher.process ROLE NODE FILE [--health-fd N]``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from importlib import import_module
from pathlib import Path

from agents.settings.honeynet import load_settings
from ontology.records import ROLES


def main() -> int:
    """Import only this role's room and run its agent until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m agents.launcher.process")
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("node")
    parser.add_argument("file", type=Path)
    parser.add_argument("--health-fd", type=int, default=None)
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()

    from agents.base import AgentContext, run_agent
    from agents.launcher.launcher import configure_logging

    settings = load_settings(arguments.file)
    configure_logging(f"{arguments.role}.{arguments.node}", verbose=arguments.verbose)
    room = import_module(f"agents.{arguments.role}.agent")
    agent_type = getattr(room, f"{arguments.role.capitalize()}Agent")
    context = AgentContext(settings=settings, role=arguments.role, node=arguments.node)
    return run_agent(agent_type, context, arguments.health_fd)


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # Not sys.exit: it waits for every worker thread, also for one that hangs in a system call.
    sys.stdout.flush()
    os._exit(code)
