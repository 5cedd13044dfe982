"""``ontoidps enrol FILE``: keys, accounts and the server's CA; a bundle for each other host.

On the host that runs the XMPP server it makes the keys of all agents, with ``--node`` and ``--out``
also the bundle of one node; on that node's host ``--import`` takes the bundle over.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from agents.settings.honeynet import load_settings
from agents.trust.identity import ensure_keys, export_node, import_bundle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="honeynet.toml")
    parser.add_argument("--node", help="also write the bundle that this node's host needs")
    parser.add_argument("--out", type=Path, help="folder for the bundle (must not exist yet)")
    parser.add_argument(
        "--import",
        dest="bundle",
        type=Path,
        metavar="BUNDLE",
        help="on the other host: take over a bundle",
    )


def run(arguments: argparse.Namespace) -> int:
    settings = load_settings(arguments.file)
    if (arguments.node is None) != (arguments.out is None):
        raise ValueError("--node and --out go together")
    if arguments.bundle is not None:
        if arguments.node is not None:
            raise ValueError("--import stands alone: it is for the other host")
        nodes = import_bundle(settings, arguments.bundle)
        keys = settings.state_dir / "keys"
        print(f"{keys}: this host can run {', '.join(nodes)}; now remove {arguments.bundle}")
        return 0
    if arguments.node is not None:
        settings.node_named(arguments.node)
    ensure_keys(settings)
    print(f"keys of {len(list(settings.agents()))} agents: {settings.state_dir / 'keys'}")
    if arguments.node is not None:
        export_node(settings, arguments.node, arguments.out)
        print(f"bundle for {arguments.node}: {arguments.out} (private keys: keep it secret)")
    return 0
