"""``ontoidps evaluate correlation``: the running engine on sets of alerts with known answers."""

from __future__ import annotations

import argparse
import sys
from ipaddress import ip_address
from pathlib import Path

from rich.progress import track

from agents.correlation.engine import CorrelationEngine
from agents.correlation.reasoner_thread import ReasonerThread
from agents.evaluation.alert_sets import FORMATS, NING, AlertSet, read_set
from agents.evaluation.correlation import correlate
from agents.evaluation.correlation_report import correlation_report
from agents.evaluation.report import Page
from agents.knowledge.load import find_joins, load_theory
from agents.settings.honeynet import Policy
from ontology.reasoner.client import PelletWorker
from ontology.records import HostProfile

REASON_TIMEOUT_S = 60.0
"""Nobody waits for an answer here; a slow machine must not change the result."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Hand recorded alerts to filtration, fusion, reasoner and scenarios, and compare what they "
        "make of them with what is known (docs/evaluation.md: where the sets come from)."
    )
    parser.add_argument("--format", required=True, choices=FORMATS, help="whose alerts they are")
    parser.add_argument(
        "--truth",
        metavar="FILE",
        help="realsecure: ids or names of the attack's alerts, or the word "
        f"{NING!r} (those that Ning et al. count); eve: signature to stage; sotm34: "
        "Incidents_Description.txt (default: what the files themselves say)",
    )
    parser.add_argument(
        "--honeypot",
        action="append",
        default=[],
        type=ip_address,
        metavar="ADDRESS",
        help="this address is a honeypot (may be repeated; of sotm34 they are known)",
    )
    parser.add_argument("file", nargs="+", type=Path, help="files of one set")


def evaluate(arguments: argparse.Namespace) -> Page:
    """Read, correlate, judge. Raises: ValueError, OSError."""
    honeypots = frozenset(arguments.honeypot)
    alert_set = read_set(arguments.format, arguments.file, arguments.truth, honeypots)
    name = "+".join(path.name.partition(".")[0] for path in arguments.file)
    return run_set(name, alert_set)


def run_set(name: str, alert_set: AlertSet) -> Page:
    """One set through an engine of its own."""
    hosts = [
        HostProfile(id=f"urn:ontoidps:profile:{a}", address=a, roles=("Honeypot",), asset_value=2)
        for a in sorted(alert_set.honeypots, key=lambda a: (a.version, int(a)))
    ]
    worker = PelletWorker(load_theory())
    ahead = ReasonerThread(worker)
    try:
        engine = CorrelationEngine(
            hosts,
            Policy(),
            origin="evaluate",
            reasoner=worker,
            submit=ahead.submit,
            joins=find_joins(worker.theory),
            reads=worker.theory.reads,
            reason_timeout_s=REASON_TIMEOUT_S,
        )
        result = correlate(
            alert_set.alerts,
            engine,
            silent=alert_set.silent,
            progress=lambda steps: track(
                steps, "correlating", transient=True, disable=not sys.stderr.isatty()
            ),
        )
    finally:
        worker.close()
        ahead.close()
    return correlation_report(name, alert_set, result)
