"""``ontoidps evaluate ablation``: each source of knowledge off in turn, on captures and alerts."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from rich.progress import track

from agents.analyzer.core import load_model
from agents.evaluation.ablation import Knowledge, Source, Told, chosen, sources_of
from agents.evaluation.ablation_report import ablation_report
from agents.evaluation.ablation_runs import Reasoners, run_captures, run_set
from agents.evaluation.alert_sets import FORMATS, read_set
from agents.evaluation.report import Page
from agents.evaluation.truths import TRUTH, Truth, read_truth
from agents.knowledge.load import paper_rules
from agents.settings.honeynet import Policy, load_settings
from ontology.records import Address
from rules.shipped_files import rule_paths, shipped_models, shipped_outcomes
from rules.signatures.parse import load_signatures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run sensor, analyzer and correlation with everything they know, then with each source of "
        "knowledge off in turn, and tell what changes; a source that changes nothing is named "
        "(docs/evaluation.md)."
    )
    parser.add_argument(
        "--captures",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help=f"folder with captures and {TRUTH} (may be repeated)",
    )
    parser.add_argument(
        "--alerts",
        action="append",
        default=[],
        nargs="+",
        metavar="FORMAT FILE",
        help=f"recorded alerts ({', '.join(FORMATS)}): a format, a file, and its truth if it has "
        "one of its own (may be repeated)",
    )
    parser.add_argument(
        "--honeypot",
        action="append",
        default=[],
        type=ip_address,
        metavar="ADDRESS",
        help="this address is a honeypot, in captures with an attack and in alerts (may be "
        "repeated)",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="honeynet.toml: hosts, allow-list, sources"
    )
    parser.add_argument(
        "--rules",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="Snort or Suricata rules for the captures, or a folder of them (may be repeated)",
    )
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        metavar="NAME",
        help="switch only this one off (may be repeated; default: each in turn)",
    )


def evaluate(arguments: argparse.Namespace) -> Page:
    """Run everything. Raises: ValueError, OSError."""
    begin = time.monotonic()
    if not arguments.captures and not arguments.alerts:
        raise ValueError("name captures with --captures DIR, or alerts with --alerts FORMAT FILE")
    knowledge = _knowledge(arguments)
    off = chosen(sources_of(knowledge), arguments.source)
    runs = _runs(arguments)
    whole: dict[str, Told] = {}
    without: dict[str, list[tuple[Source, Told]]] = {name: [] for name in runs}
    with Reasoners() as reasoners:
        for source in track(
            (None, *off), "switching off", transient=True, disable=not sys.stderr.isatty()
        ):
            known = knowledge if source is None else source.without(knowledge)
            for name, run in runs.items():
                told = run(known, reasoners)
                if source is None:
                    whole[name] = told
                else:
                    without[name].append((source, told))
    return ablation_report(whole, without, time.monotonic() - begin)


def _knowledge(arguments: argparse.Namespace) -> Knowledge:
    settings = load_settings(arguments.config) if arguments.config else None
    policy = Policy() if settings is None else settings.policy
    return Knowledge(
        model=load_model(),
        rule_files=(*rule_paths(), *paper_rules(policy)),
        models=shipped_models(),
        outcomes=shipped_outcomes(),
        policy=policy,
        hosts=() if settings is None else settings.host_profiles(),
        sources=() if settings is None else settings.source,
        signatures=load_signatures(arguments.rules).signatures if arguments.rules else (),
    )


Run = Callable[[Knowledge, Reasoners], Told]


def _runs(arguments: argparse.Namespace) -> dict[str, Run]:
    """By data set."""
    honeypots: tuple[Address, ...] = tuple(arguments.honeypot)
    runs: dict[str, Run] = {}
    truths: list[Truth] = []
    for directory in arguments.captures:
        truths += read_truth(directory)[0]
    if truths:
        runs["captures"] = lambda known, reasoners: run_captures(
            known, truths, reasoners, honeypots
        )
    for words in arguments.alerts:
        if words[0] not in FORMATS or not 2 <= len(words) <= 3:
            raise ValueError(
                f"--alerts {' '.join(words)}: not FORMAT FILE [TRUTH], with a format of "
                + ", ".join(FORMATS)
            )
        path = Path(words[1])
        truth = words[2] if len(words) == 3 else None
        alert_set = read_set(words[0], [path], truth, frozenset(honeypots))
        name = path.name.partition(".")[0]
        if name in runs:
            raise ValueError(f"--alerts: {name!r} twice")
        runs[name] = partial(run_set, alert_set=alert_set)
    return runs
