"""The hybrid classifier on NSL-KDD: trained on one file, judged on another."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.hybrid import ATTACK, UNCERTAIN, HybridModel
from agents.analyzer.hybrid_training import (
    BUDGETS,
    CLEAR,
    SURE,
    Validation,
    fit,
)
from agents.analyzer.kdd_features import WITHOUT_SERVICE, encode
from agents.evaluation.metrics import Judged, confusion, measure, outcomes, roc
from agents.evaluation.plots import confusion_plot, projection_plot, roc_plot
from agents.evaluation.report import Cell, Report, Table, summary, table4
from datasets.kdd.kdd99 import ATTACK_CLASS, CLASSES, NORMAL, KddRecords

SENSORS = (1, 2, 4, 8)
_WORST = 12
_EXAMPLES = 6


def _validation_table(validation: Validation) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for i, budget in enumerate(BUDGETS):
        known = [fold.known[i] for fold in validation.folds]
        new = [fold.new[i] for fold in validation.folds]
        rows.append(
            (
                budget,
                float(np.mean(known)),
                float(np.mean(new)),
                min(new),
                validation.worth[i],
            )
        )
    hidden = "; ".join(" ".join(fold.hidden) for fold in validation.folds)
    return Table(
        "Validation on the training file: attack types left out",
        ("normal records that alarm", "known types", "hidden types", "worst fold", "worth"),
        tuple(rows),
        f"Recall is the mean over classes. Chosen: alarm at {validation.alarm:g}, surely an attack "
        f"at {validation.sure:g}, clearly normal above {validation.clear:g}. Hidden in turn: "
        f"{hidden}.",
    )


def _types_table(test: KddRecords, judged: Judged, to_normal: NDArray[np.float64]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    alarm = judged.verdict != 0
    new = judged.new if judged.new is not None else np.zeros(len(test), bool)
    for name in np.unique(test.labels):
        own = test.labels == name
        if name == NORMAL:
            continue
        rows.append(
            (
                str(name),
                ATTACK_CLASS[str(name)],
                "new" if new[own].any() else "known",
                int(own.sum()),
                float(alarm[own].mean()),
                float(judged.uncertain[own].mean()),
                float(np.median(to_normal[own])),
            )
        )
    # By what each costs: records missed.
    rows.sort(key=lambda row: -float(row[3] or 0) * (1.0 - float(row[4] or 0)))
    return Table(
        "Where it is weak: attack types by records missed",
        ("attack", "class", "in training", "records", "recall", "uncertain", "to normal"),
        tuple(rows[:_WORST]),
        "to normal: median distance to the nearest normal case; the test's own normal records have "
        f"{np.median(to_normal[test.classes == NORMAL]):.4f}. An attack as near as that can't be "
        "distinguished from normal traffic by these 41 features.",
    )


def _examples(model: HybridModel, test: KddRecords, judged: Judged, seed: int) -> Table:
    """Some decisions, explained: of every outcome the first of a seeded shuffle."""
    order = np.random.default_rng(seed).permutation(len(test))
    features = encode(test.take(order))
    outcome = np.where(judged.uncertain, UNCERTAIN, np.where(judged.verdict != 0, ATTACK, 0))[order]
    attack = judged.truth[order] != 0
    rows: list[tuple[Cell, ...]] = []
    for truth in (True, False):
        for said in (ATTACK, UNCERTAIN, 0):
            found = np.flatnonzero((attack == truth) & (outcome == said))[:1]
            for i in found:
                label = str(test.labels[order[i]])
                line = int(test.lines[order[i]])
                rows.append((line, label, str(model.explain(features[i]))))
    return Table(
        "Decisions explained",
        ("line", "truth", "decision"),
        tuple(rows[:_EXAMPLES]),
        "A feature's number is how far the score falls if the record had its nearest normal "
        "case's value there, and rises if that case had the record's (mean of both).",
    )


def _table3(train: KddRecords, test: KddRecords, last: tuple[float, float], *, seed: int) -> Table:
    """Hybrids of one to eight eighths of ``train``; ``last``: seconds and accuracy of them all."""
    share = np.random.default_rng(seed).integers(0, SENSORS[-1], len(train))
    attack = test.classes != NORMAL
    features = encode(test)
    rows: list[tuple[Cell, ...]] = []
    for sensors in SENSORS[:-1]:
        own = train.take(share < sensors)
        begin = time.monotonic()
        try:
            model = fit(own, seed=seed)
        except ValueError:  # too few records of a kind; a small file has such shares
            rows.append((sensors, len(own), None, None))
            continue
        minutes = (time.monotonic() - begin) / 60
        right = float((model.decide(features).alarm == attack).mean())
        rows.append((sensors, len(own), round(minutes, 4), round(100 * right, 2)))
    seconds, accuracy = last
    rows.append((SENSORS[-1], len(train), round(seconds / 60, 4), round(100 * accuracy, 2)))
    return Table(
        "Table 3 of the paper: learning with more sensors",
        ("sensors", "records", "minutes", "accuracy (%)"),
        tuple(rows),
        "Each sensor contributes an eighth of the training file, drawn by chance; accuracy on the "
        "whole test file, every record by its verdict.",
    )


def evaluate(
    train: KddRecords | None,
    test: KddRecords,
    model: HybridModel,
    *,
    dataset: str,
    seed: int,
    train_seconds: float,
    validation: Validation | None = None,
) -> Report:
    """Judge ``test`` by ``model``, which was fitted in ``train_seconds``.

    ``train``: the records it was fitted to, for Table 3; None: leave that table out.
    """
    start = time.monotonic()
    own_clusters = model.clusters
    if own_clusters is None:
        raise ValueError("a model of KDD records has clusters")
    features = encode(test)
    begin = time.monotonic()
    decisions = model.decide(features)
    seconds = time.monotonic() - begin
    codes = {name: index for index, name in enumerate(CLASSES)}
    truth = np.array([codes[str(name)] for name in test.classes])
    new = ~np.isin(test.labels, model.trained)
    judged = Judged(
        classes=CLASSES,
        truth=truth,
        verdict=decisions.kind,
        uncertain=decisions.outcome == UNCERTAIN,
        score=decisions.score,
        new=new,
    )
    odds, to_normal, _ = model.evidence(features)
    begin = time.monotonic()
    member, distance = own_clusters.assign(features[:, :WITHOUT_SERVICE])
    cluster_seconds = time.monotonic() - begin
    cluster_code = np.array([codes[ATTACK_CLASS.get(n, NORMAL)] for n in own_clusters.names])
    novel = distance > own_clusters.radius[member]
    alone = [
        (
            f"K-Means alone, k = {len(own_clusters.names)}",
            outcomes(
                Judged(classes=CLASSES, truth=truth, verdict=cluster_code[member], uncertain=novel)
            ),
            cluster_seconds,
        ),
        (
            "network alone, odds over 1",
            outcomes(
                Judged(
                    classes=CLASSES,
                    truth=truth,
                    verdict=(odds > 0).astype(np.int64),
                    uncertain=np.zeros(len(test), bool),
                )
            ),
            None,
        ),
        ("hybrid", outcomes(judged), seconds),
    ]
    metrics = measure(judged)
    sure = ~judged.uncertain
    right = (truth != 0) == (judged.verdict != 0)
    headline = Table(
        "Beside the accuracy",
        ("", "records", "value"),
        (
            ("accuracy, every record by its verdict", len(test), metrics.accuracy),
            (
                "accuracy of the records it is certain about",
                int(sure.sum()),
                float(right[sure].mean()) if sure.any() else None,
            ),
            ("uncertain share", int((~sure).sum()), metrics.uncertain_share),
            (
                "recall of attack types that training had not",
                int(new.sum()),
                float((judged.verdict[new] != 0).mean()) if new.any() else None,
            ),
        ),
    )
    clusters = Table(
        "Clusters",
        ("cluster", "name", "training records", "purity (cases)", "radius"),
        tuple(
            (
                str(i),
                name,
                int(own_clusters.sizes[i]),
                float(own_clusters.purity[i]),
                round(float(own_clusters.radius[i]), 3),
            )
            for i, name in enumerate(own_clusters.names)
        ),
        f"{len(own_clusters.names)} clusters, named by the labelled cases that each attracts; "
        f"mean purity {own_clusters.purity[own_clusters.purity > 0].mean():.4f}.",
    )
    tables = [*summary(metrics), headline]
    if train is not None:
        tables.append(_table3(train, test, (train_seconds, metrics.accuracy), seed=seed))
    tables.append(table4(alone, "records"))
    if validation is not None:
        tables.append(_validation_table(validation))
    tables += [
        _types_table(test, judged, to_normal),
        _examples(model, test, judged, seed),
        clusters,
    ]
    plots = [
        confusion_plot(
            CLASSES,
            (*CLASSES, "uncertain"),
            confusion(judged),
            "Confusion matrix (rows: truth)",
        )
    ]
    attack = truth != 0
    if attack.any() and not attack.all():
        plots.append(roc_plot(*roc(attack, decisions.score)))
    plots.append(
        projection_plot(
            features[:, :WITHOUT_SERVICE], truth, CLASSES, own_clusters.centers, seed=seed
        )
    )
    return Report(
        dataset=dataset,
        metrics=metrics,
        seconds=train_seconds + time.monotonic() - start,
        tables=tuple(tables),
        plots=tuple(plots),
        notes=_notes(model, train_seconds, metrics.false_alarm_rate),
    )


def _notes(
    model: HybridModel, train_seconds: float, false_alarm_rate: float | None
) -> tuple[str, ...]:
    notes = [
        f"Trained on {model.records} records"
        + (f" in {train_seconds:.1f} s" if train_seconds else " before, and kept")
        + "; the test file was read only to be judged. Settings come from leaving attack types "
        "out of the training file (--validate shows it).",
        f"Thresholds: {SURE:.0%} of held-out normal training records score as a sure attack, "
        f"{CLEAR:.0%} are not clearly normal.",
    ]
    if false_alarm_rate is not None and false_alarm_rate > 2 * CLEAR:
        notes.append(
            f"Weak: {false_alarm_rate:.1%} of the test's normal records alarm where {CLEAR:.0%} of "
            "the training's do: normal traffic of the test file differs from what was learned, and "
            "a detector of novelty answers for it."
        )
    return tuple(notes)
