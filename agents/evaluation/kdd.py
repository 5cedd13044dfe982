"""K-Means alone on KDD Cup 99: the paper's 25 clusters, named by 2,500 labelled cases."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.case_clusters import CASES, CLUSTERS, UNNAMED, CaseClusters, fit_clusters
from agents.analyzer.kdd_features import WITHOUT_SERVICE, encode
from agents.evaluation.metrics import Judged, confusion, measure, outcomes, roc
from agents.evaluation.plots import Plot, confusion_plot, projection_plot, roc_plot
from agents.evaluation.report import Report, Table, summary, table4
from datasets.kdd.kdd99 import CLASSES, NORMAL, KddRecords

FOLDS = 5
NOVEL = "Unknown"
"""Verdict of a record beyond its cluster's radius, or in a cluster without a name."""
NAMES = (*CLASSES, NOVEL)
SENSORS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """What named clusters say of n records."""

    verdict: NDArray[np.int64]
    """Index into `NAMES`."""
    uncertain: NDArray[np.bool_]
    score: NDArray[np.float64]
    """Share of attacks among the cases of the record's cluster; ties by distance."""


def distinct(records: KddRecords) -> tuple[KddRecords, NDArray[np.int64]]:
    """Every line once, and how often it occurs: copies must not lie on both sides of a split."""
    _, first, copies = np.unique(records.row, return_index=True, return_counts=True)
    return records.take(first.astype(np.int64)), copies.astype(np.int64)


def pick_cases(
    cluster: NDArray[np.int64], copies: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """The records that an analyst labels: of every cluster a hundred, 2,500 in all, by chance.

    ``cluster`` and ``copies``: (n,) of the distinct records; one with more copies is drawn more.
    """
    chosen = []
    for index in range(CLUSTERS):
        own = np.flatnonzero(cluster == index)
        if len(own):
            share = copies[own] / copies[own].sum()
            chosen.append(rng.choice(own, CASES // CLUSTERS, p=share))
    return np.concatenate(chosen)


def apply(
    clusters: CaseClusters,
    attack_share: NDArray[np.float64],
    features: NDArray[np.float32],
) -> Verdicts:
    """``attack_share``: (k,) of each cluster's cases; ``features``: (n, WITHOUT_SERVICE)."""
    cluster, distance = clusters.assign(features)
    novel = distance > clusters.radius[cluster]
    code = np.array([NAMES.index(NOVEL if n == UNNAMED else n) for n in clusters.names])
    # A novel record's tentative verdict is an alarm: nothing like it was there before.
    verdict = np.where(novel, NAMES.index(NOVEL), code[cluster])
    uncertain = verdict == NAMES.index(NOVEL)
    closeness = distance / np.maximum(clusters.radius[cluster], 1e-9)
    score = attack_share[cluster] + 1e-3 * np.minimum(closeness, 10.0)
    return Verdicts(verdict, uncertain, np.where(novel, np.maximum(score, 0.5), score))


def learn(
    records: KddRecords, features: NDArray[np.float32], copies: NDArray[np.int64], *, seed: int
) -> tuple[CaseClusters, NDArray[np.float64]]:
    """Clusters of ``features`` without labels, named by cases; and the cases' attack shares."""
    clusters = fit_clusters(features, seed=seed, copies=copies)
    member, _ = clusters.assign(features)
    cases = pick_cases(member, copies, np.random.default_rng(seed))
    classes = records.take(cases).classes
    clusters = clusters.named_by(features[cases], classes)
    member, _ = clusters.assign(features[cases])
    total = np.bincount(member, minlength=CLUSTERS)
    attacks = np.bincount(member[classes != NORMAL], minlength=CLUSTERS)
    return clusters, np.where(total, attacks / np.maximum(total, 1), 0.5)


def _table3(
    records: KddRecords, features: NDArray[np.float32], copies: NDArray[np.int64], *, seed: int
) -> Table:
    """One to eight sensors, each with a tenth of the distinct records."""
    rng = np.random.default_rng(seed)
    share = rng.integers(0, 10, len(records))  # 0..7: a sensor each; 8, 9: to be judged
    judged = share >= 8
    attack = records.classes[judged] != NORMAL
    rows: list[tuple[str | int | float | None, ...]] = []
    for sensors in SENSORS:
        start = time.monotonic()
        seen = share < sensors
        clusters, shares = learn(records.take(seen), features[seen], copies[seen], seed=seed)
        minutes = (time.monotonic() - start) / 60
        verdict = apply(clusters, shares, features[judged]).verdict
        right = float(np.average((verdict != 0) == attack, weights=copies[judged]))
        rows.append((sensors, int(seen.sum()), round(minutes, 4), round(100 * right, 2)))
    return Table(
        "Table 3 of the paper: learning with more sensors",
        ("sensors", "records", "minutes", "accuracy (%)"),
        tuple(rows),
        "Each sensor contributes a tenth of the distinct lines; accuracy on the records of "
        "the two tenths that no sensor saw.",
    )


def _cluster_table(
    clusters: CaseClusters,
    classes: NDArray[np.str_],
    features: NDArray[np.float32],
    copies: NDArray[np.int64],
) -> Table:
    member, _ = clusters.assign(features)
    rows: list[tuple[str | int | float | None, ...]] = []
    pure = 0
    for index, name in enumerate(clusters.names):
        own = classes[member == index]
        weight = copies[member == index]
        right = int(weight[own == name].sum())
        pure += right
        rows.append(
            (
                str(index),
                name,
                int(weight.sum()),
                len(own),
                float(clusters.purity[index]),
                right / int(weight.sum()) if len(own) else None,
                round(float(clusters.radius[index]), 3),
            )
        )
    return Table(
        "Clusters",
        ("cluster", "name", "records", "distinct", "purity (cases)", "purity (all)", "radius"),
        tuple(rows),
        f"{len(rows)} clusters, named by the labelled cases that each attracts. Overall purity "
        f"{pure / int(copies.sum()):.4f}: the share of records in a cluster of their class's name.",
    )


def evaluate(records: KddRecords, test: KddRecords | None, *, dataset: str, seed: int) -> Report:
    """Judge ``test``, or without one ``records`` by five-fold cross-validation.

    Raises: ValueError: too few distinct records to fill the clusters.
    """
    start = time.monotonic()
    unique, copies = distinct(records)
    features = encode(unique)[:, :WITHOUT_SERVICE]
    notes = [
        "Clustering sees no label. 100 randomly drawn records of each cluster, 2,500 of the "
        "training part in all, are the labelled cases that name the clusters.",
        "Distances use 52 columns: all features but the service (log scale, all in [0, 1]).",
    ]
    seconds = 0.0
    if test is None:
        fold = np.random.default_rng(seed).integers(0, FOLDS, len(unique))
        verdict = np.zeros(len(unique), np.int64)
        uncertain, score = np.zeros(len(unique), bool), np.zeros(len(unique))
        for number in range(FOLDS):
            rest, own = fold != number, fold == number
            clusters, shares = learn(
                unique.take(rest), features[rest], copies[rest], seed=seed + number
            )
            begin = time.monotonic()
            said = apply(clusters, shares, features[own])
            seconds += time.monotonic() - begin
            verdict[own], uncertain[own], score[own] = said.verdict, said.uncertain, said.score
        # Back from distinct lines to the file's records: a copy gets its line's verdict.
        back = np.searchsorted(unique.row, records.row)
        judged_records, drawn = records, features
        verdict, uncertain, score = verdict[back], uncertain[back], score[back]
        drawn_truth = unique.classes
        notes.append(
            f"{FOLDS}-fold cross-validation over distinct lines: no record is judged by clusters "
            "that it, or a copy of it, helped to make or to name. The cluster table and the "
            "projection are of the last fold."
        )
        new = None
    else:
        clusters, shares = learn(unique, features, copies, seed=seed)
        drawn = encode(test)[:, :WITHOUT_SERVICE]
        begin = time.monotonic()
        said = apply(clusters, shares, drawn)
        seconds = time.monotonic() - begin
        verdict, uncertain, score = said.verdict, said.uncertain, said.score
        judged_records, drawn_truth = test, test.classes
        new = ~np.isin(test.labels, np.unique(records.labels))
        notes.append("Clusters and cases come from the training file alone.")
    codes = {name: index for index, name in enumerate(NAMES)}
    names, inverse = np.unique(judged_records.classes, return_inverse=True)
    truth = np.array([codes[str(name)] for name in names])[inverse]
    judged = Judged(
        classes=NAMES, truth=truth, verdict=verdict, uncertain=uncertain, score=score, new=new
    )
    metrics = measure(judged)
    for kind in CLASSES[1:]:
        of = metrics.per_class.get(kind)
        if of is not None and of.recall is not None and of.recall < 0.5:
            notes.append(
                f"Weak: of {of.records} {kind} records {of.recall:.1%} raise an alarm. By these "
                "features alone they look like the normal sessions they are hidden in, and 25 "
                "clusters have none to spare for so few; the hybrid classifier is there for them."
            )
    drawn_codes = np.array([codes[str(name)] for name in drawn_truth])
    plots: list[Plot] = [
        confusion_plot(
            NAMES[: len(CLASSES)],
            (*CLASSES, "uncertain"),
            np.delete(confusion(judged)[: len(CLASSES)], NAMES.index(NOVEL), axis=1),
            "Confusion matrix (rows: truth)",
        )
    ]
    attack = truth != 0
    if attack.any() and not attack.all():
        plots.append(roc_plot(*roc(attack, score)))
    plots.append(projection_plot(drawn, drawn_codes, CLASSES, clusters.centers, seed=seed))
    tables = (
        *summary(metrics),
        _table3(unique, features, copies, seed=seed),
        table4([("K-Means, k = 25", outcomes(judged), seconds)], "records"),
        _cluster_table(clusters, unique.classes, features, copies),
    )
    return Report(
        dataset=dataset,
        metrics=metrics,
        seconds=time.monotonic() - start,
        tables=tables,
        plots=tuple(plots),
        notes=tuple(notes),
    )
