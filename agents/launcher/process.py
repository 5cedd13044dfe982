"""Entry of an agent, forked or started: ``python -m agents.launcher.process ROLE NODE FILE``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from importlib import import_module
from pathlib import Path

from agents.base import AgentContext, run_agent
from agents.launcher.logs import configure_logging
from agents.settings.honeynet import load_settings
from ontology.records import ROLES, Role


def run(
    role: Role, node: str, file: Path, *, health_fd: int | None = None, verbose: bool = False
) -> int:
    """Run one agent in this process until SIGTERM; only its own role's room is imported.

    Returns the exit code (`agents.base.run_agent`). Raises: SettingsError, ImportError.
    """
    settings = load_settings(file)
    configure_logging(f"{role}.{node}", verbose=verbose)
    room = import_module(f"agents.{role}.agent")
    agent_type = getattr(room, f"{role.capitalize()}Agent")
    return run_agent(agent_type, AgentContext(settings=settings, role=role, node=node), health_fd)


def main() -> int:
    """As `run`, with arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m agents.launcher.process")
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("node")
    parser.add_argument("file", type=Path)
    parser.add_argument("--health-fd", type=int, default=None)
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    return run(
        arguments.role,
        arguments.node,
        arguments.file,
        health_fd=arguments.health_fd,
        verbose=arguments.verbose,
    )


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # Not sys.exit: it waits for every worker thread, also for one that hangs in a system call.
    sys.stdout.flush()
    os._exit(code)
