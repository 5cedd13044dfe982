"""``ontoidps check FILE``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from agents.base.host_peers import NameLookups
from agents.base.kernel_addresses import KernelAddressesError, read_kernel_addresses
from agents.base.protected import Protected
from agents.commands.blocks import address_argument
from agents.commands.output import one_line, printable, shown
from agents.sensor.inputs.table_places import table_fault
from agents.sensor.signatures.rule_files import check_variable, load_rules
from agents.settings.honeynet import Node, Settings, SettingsError, read_settings
from agents.settings.problems import Problem, did_you_mean
from agents.settings.sense import doubts
from ontology.rule_switches import rule_states
from ontology.taxonomy import ATTACK_CLASSES, INCIDENT_CLASSES
from rules.shipped_files import paper_rules_path, rule_paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="honeynet.toml")
    parser.add_argument(
        "--node",
        metavar="NAME",
        help="this host is NAME: its rule files and tables must be here (without it, files that "
        "are missing here are a warning: another host may have them), and --address asks its "
        "kernel",
    )
    parser.add_argument(
        "--address",
        metavar="ADDRESS",
        action="append",
        default=[],
        type=address_argument,
        help="say whether ADDRESS may be blocked, and if not, why (may be repeated)",
    )


def run(arguments: argparse.Namespace) -> int:
    """0 if the file is good, also with warnings; 1 if it has errors, all of them told."""
    try:
        settings, source = read_settings(arguments.file)
    except SettingsError as e:
        for line in e.lines:
            print(f"ontoidps check: {one_line(line)}", file=sys.stderr)
        return 1
    if arguments.node is not None:
        settings.node_named(arguments.node)
    found, warnings = [], []
    faults: list[str] = []
    for node in settings.node:
        for path in (entry.table for entry in node.inputs):
            if path is None:
                continue
            try:
                fault = table_fault(path)
            except FileNotFoundError:
                missing_here = f"node {node.name}: {shown(path)}: not on this host"
                if node.name == arguments.node:
                    faults.append(missing_here)
                else:
                    warnings.append(f"{missing_here}; the table was not checked")
                continue
            except (OSError, ValueError) as e:
                fault = f"{shown(path)}: {e}"
            if fault:
                faults.append(f"node {node.name}: {fault}")
    if faults:
        for line in faults:
            print(f"ontoidps check: {one_line(line)}", file=sys.stderr)
        return 1
    for node in settings.node:
        if not node.signatures:
            continue
        for name, value in node.signature_variables.items():
            check_variable(name, value)
        missing = [path for path in node.signatures if not path.exists()]
        if missing and node.name != arguments.node:
            warnings.append(
                f"node {node.name}: {shown(missing[0])}: not on this host; nothing of its "
                f"signatures was checked (on {node.name}: ontoidps check FILE --node {node.name})"
            )
        else:
            found.append(f"node {node.name}: {_rules(settings, node)}")
    warnings += [source.told(problem) for problem in (*doubts(settings), *_strange_modes(settings))]
    protected = Protected.from_settings(settings)
    if arguments.address and arguments.node is not None:
        names = NameLookups(settings.xmpp.host, settings.policy.allow_hosts)
        try:
            protected = protected.with_kernel(read_kernel_addresses(arguments.node, names))
        except KernelAddressesError as e:
            warnings.append(f"what this host's kernel has is not known: {e}")
        for name, why in names.failed.items():
            warnings.append(f"policy.allow_hosts: {name} can't be looked up here: {why}")
    for address in arguments.address:
        refusal = protected.refusal(address)
        found.append(
            f"{address}: may be blocked, unless it is one that a gateway's kernel has"
            + ("" if arguments.node is None else " (here it is none)")
            if refusal is None
            else f"{address}: never blocked: {refusal}"
        )
    agents = list(settings.agents())
    print(
        f"{arguments.file}: good: {len(settings.node)} nodes, {len(agents)} agents, "
        f"{len(settings.honeypot)} honeypots, {len(settings.allow_networks())} never blocked"
    )
    for line in found:
        print(line)
    for line in warnings:
        print(f"ontoidps check: warning: {one_line(line)}", file=sys.stderr)
    return 0


def _strange_modes(settings: Settings) -> Iterator[Problem]:
    """Modes of what no file here knows; the knowledge engineer may have made it elsewhere."""
    named = settings.policy.modes
    if not named:
        return
    known = {"Incident", *INCIDENT_CLASSES, "Attack", *ATTACK_CLASSES, "Manual"}
    for path in (*rule_paths(), paper_rules_path()):
        known |= rule_states(path.read_bytes()).keys()
    for name in named:
        if name not in known:
            yield Problem(
                ("policy", "modes", name),
                f"no class of incidents and no rule is called {name!r} here"
                + did_you_mean(name, known),
            )


def _rules(settings: Settings, node: Node) -> str:
    rules = load_rules(
        node.signatures,
        variables=node.signature_variables,
        sensor=settings.jid("sensor", node.name),
        honeypots=[pot.address for pot in settings.honeypot],
    )
    return printable(rules.summary())
