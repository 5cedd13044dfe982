"""``ontoidps evaluate WORD``: the papers' tables and figures from data."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from agents.analyzer.core import AnalyzerCore, load_model
from agents.analyzer.features import FEATURES, FeatureExtractor
from agents.analyzer.hybrid import HybridModel
from agents.analyzer.hybrid_training import SEED, fit, validate
from agents.analyzer.kdd_features import ENCODING
from agents.commands import evaluate_ablation, evaluate_bans, evaluate_correlation
from agents.commands.output import check_writable
from agents.commands.train import connection_batches
from agents.evaluation import captures, kdd, nsl_kdd, truths
from agents.evaluation.report import Page, Report, as_html, as_text
from datasets.kdd.kdd99 import CLASSES, read_kdd
from datasets.kdd.nsl_kdd import read_nsl_kdd
from ontology.records import Alert


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Measure detection on data with known answers: accuracy, classes, confusion matrix, ROC, "
        "clusters, the papers' tables; ban policies on logs of several sensors. Seeded: the same "
        "data give the same result."
    )
    words = parser.add_subparsers(dest="data", required=True, metavar="WORD")
    one = words.add_parser("kdd", help="K-Means alone on KDD Cup 99")
    one.add_argument("file", type=Path, help="kddcup.data or kddcup.data_10_percent, also .gz")
    one.add_argument(
        "--test", type=Path, help="judge this file (default: five-fold cross-validation of FILE)"
    )
    two = words.add_parser("nsl-kdd", help="the hybrid classifier on NSL-KDD")
    source = two.add_mutually_exclusive_group(required=True)
    source.add_argument("--train", type=Path, metavar="FILE", help="learn from KDDTrain+.txt")
    source.add_argument(
        "--model", type=Path, metavar="FILE", help="use what `ontoidps train nsl-kdd` kept"
    )
    two.add_argument("--test", type=Path, required=True, metavar="FILE", help="KDDTest+.txt")
    two.add_argument(
        "--validate",
        action="store_true",
        help="also show the validation on left-out attack types of the training file (minutes)",
    )
    three = words.add_parser("captures", help="sensor and analyzer on labelled captures")
    three.add_argument(
        "directories",
        type=Path,
        nargs="+",
        metavar="directory",
        help=f"folder with captures and {truths.TRUTH}, or {truths.RECIPE} of datasets.recipe",
    )
    three.add_argument(
        "--model", type=Path, metavar="FILE", help="of `ontoidps train` (default: the shipped one)"
    )
    four = words.add_parser("bans", help="ban policies replayed on logs of several sensors")
    evaluate_bans.add_arguments(four)
    five = words.add_parser("correlation", help="the whole correlation on recorded alerts")
    evaluate_correlation.add_arguments(five)
    six = words.add_parser("ablation", help="each source of knowledge off in turn")
    evaluate_ablation.add_arguments(six)
    for word in (one, two, three, four, five, six):
        word.add_argument("--json", action="store_true", help="one JSON object (docs/evaluation)")
        word.add_argument("--html", type=Path, metavar="FILE", help="write a self-contained page")
        word.add_argument(
            "--details", type=Path, metavar="FILE", help="write all tables and notes as JSON"
        )
        if word in (one, two):
            word.add_argument("--seed", type=int, default=SEED)


def _kdd(arguments: argparse.Namespace) -> Report:
    test = read_kdd(arguments.test) if arguments.test else None
    return kdd.evaluate(read_kdd(arguments.file), test, dataset="kdd", seed=arguments.seed)


def _nsl_kdd(arguments: argparse.Namespace) -> Report:
    test = read_nsl_kdd(arguments.test)
    if arguments.model:
        if arguments.validate:
            raise ValueError("--validate needs --train: it leaves types out of the training file")
        model = HybridModel.load(arguments.model, ENCODING)
        if model.classes != CLASSES:
            raise ValueError(f"{arguments.model}: tells other classes apart than {CLASSES}")
        return nsl_kdd.evaluate(
            None, test, model, dataset="nsl-kdd", seed=arguments.seed, train_seconds=0.0
        )
    train = read_nsl_kdd(arguments.train)
    start = time.monotonic()
    model = fit(train, seed=arguments.seed)
    seconds = time.monotonic() - start
    validation = None
    if arguments.validate:

        def shown(folds: Sequence[tuple[str, ...]]) -> Sequence[tuple[str, ...]]:
            quiet = not sys.stderr.isatty()
            return list(folds) if quiet else tuple(track(folds, "validating", transient=True))

        validation = validate(train, seed=arguments.seed, progress=shown)
    # Table 3 trains three more models: not for a contract that has no place for it.
    tables = not arguments.json or arguments.html or arguments.details
    return nsl_kdd.evaluate(
        train if tables else None,
        test,
        model,
        dataset="nsl-kdd",
        seed=arguments.seed,
        train_seconds=seconds,
        validation=validation,
    )


def _captures(arguments: argparse.Namespace) -> Report:
    known: list[truths.Truth] = []
    left_out: list[str] = []
    for directory in arguments.directories:
        found, not_judged = truths.read_truth(directory)
        known += found
        left_out += not_judged
    model = load_model(arguments.model) if arguments.model else load_model()

    def analyze(truth: truths.Truth) -> captures.Capture:
        core = AnalyzerCore(model, analyzer="evaluate", honeypots=truth.honeypots)
        extractor = FeatureExtractor()
        packets = 0
        alerts: list[Alert] = []
        features = [np.empty((0, len(FEATURES)))]
        sources = [np.empty((0, 16), np.uint8)]
        for batch in connection_batches(truth.file, alerts=alerts):
            packets += batch.packets
            alerts += core.on_batch(batch)
            features.append(extractor.extract(batch.connections))
            sources.append(batch.connections["src"])
        return captures.Capture(
            packets, tuple(alerts), np.concatenate(features), np.concatenate(sources)
        )

    return captures.evaluate(
        known,
        left_out,
        analyze,
        model,
        dataset="captures",
        progress=lambda rows: track(
            rows, "captures", transient=True, disable=not sys.stderr.isatty()
        ),
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure, write what was asked for, print the rest."""
    check_writable(arguments.html, arguments.details)
    measure: dict[str, Callable[[argparse.Namespace], Page]] = {
        "kdd": _kdd,
        "nsl-kdd": _nsl_kdd,
        "captures": _captures,
        "bans": evaluate_bans.evaluate_bans,
        "correlation": evaluate_correlation.evaluate,
        "ablation": evaluate_ablation.evaluate,
    }
    report = measure[arguments.data](arguments)
    if arguments.html:
        arguments.html.write_text(as_html(report), encoding="utf-8")
    if arguments.details:
        text = json.dumps(report.details(), indent=1, allow_nan=False)
        arguments.details.write_text(text + "\n", encoding="utf-8")
    if arguments.json:
        print(json.dumps(report.contract(), allow_nan=False))
    else:
        print(as_text(report))
    return 0
