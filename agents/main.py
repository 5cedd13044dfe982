"""The ``ontoidps`` command: a module of `agents.commands` per word, imported only when used."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

COMMANDS = {
    "up": "run this node's agents, supervised",
    "status": "are the agents up, connected and healthy?",
    "check": "check a honeynet.toml",
    "enrol": "keys and accounts for the agents of another host",
    "alerts": "list and show alerts, with the packet that each rests on",
    "blocks": "list, add, lift, extend blocks",
    "messages": "what agents say to each other, with fragments and filters",
    "records": "captures to KDD Cup 99 connection records",
    "replay": "captures to alerts, incidents and decisions, offline",
    "ontology": "import signatures, count what the files hold",
    "rules": "list, explain and compile rules, attack models and reactions",
    "train": "train the cluster model from labelled captures",
    "evaluate": "measure detection on data with known answers",
    "demo": "three gateways, a real attack, a block on each",
}


class Command(Protocol):
    """What a module of `agents.commands` offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int: ...


def usage() -> str:
    """The list of commands, for ``--help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "usage: ontoidps COMMAND … (ontoidps COMMAND --help for its options)\n\n" + "\n".join(
        lines
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Errors a user can mend are one line on stderr."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if words else 2
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"ontoidps {version('ontoidps')}")
        return 0
    if words[0] not in COMMANDS:
        print(
            f"ontoidps: no command {words[0]!r} (there are: {', '.join(COMMANDS)})", file=sys.stderr
        )
        return 2
    try:
        command: Command = import_module(f"agents.commands.{words[0]}")
    except KeyboardInterrupt:  # loading takes a second or two
        return 130
    parser = argparse.ArgumentParser(prog=f"ontoidps {words[0]}", description=COMMANDS[words[0]])
    command.add_arguments(parser)
    arguments = parser.parse_args(words[1:])
    try:
        return command.run(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `ontoidps replay … | head`: the reader has seen enough.
        sys.stderr.close()
        return 141
    except (ValueError, OSError, RuntimeError) as e:
        print(f"ontoidps {words[0]}: {' '.join(_reason(e).split())}", file=sys.stderr)
        return 1


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"  # without Python's "[Errno 2]"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
