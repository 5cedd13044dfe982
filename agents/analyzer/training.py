"""Labelled connections in, cluster model out. Pure: `agents.commands.train` reads the captures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Address

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.case_clusters import CLUSTERS
from agents.analyzer.clustering import CALIBRATION_FOLDS, NORMAL, SEED, ClusterModel, fit
from agents.analyzer.features import FEATURES, FeatureExtractor
from agents.analyzer.hybrid_training import Plan, learn
from agents.analyzer.live_encoding import LIVE
from ontology.records import Address

_BLOCKS = 25
"""A capture is dealt into so many runs of neighbours, and these into the folds by turns: the
windows' features make neighbours nearly copies of each other, which must not part."""
_EPOCHS = 20
_CASES = (1000, 1500)
"""Normal and attack cases of the live network; 2,500 in all, as in the paper, if there are."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledConnections:
    """The connections of one labelled capture."""

    batches: Sequence[NDArray[np.void]]
    """Each (n,) of `CONNECTION`, as a sensor reported them: windows depend on the order."""
    label: str
    """`NORMAL` or an attack class."""
    attackers: tuple[Address, ...] = ()
    """Whose connections are the attack; empty: all those to ``victim``."""
    victim: Address | None = None


def sixteen(address: Address) -> NDArray[np.uint8]:
    """An address as `CONNECTION` holds it: 16 bytes, IPv4 mapped into IPv6."""
    if address.version == 4:
        address = IPv6Address(0xFFFF << 32 | int(address))
    return np.frombuffer(address.packed, np.uint8)


def _belongs(rows: NDArray[np.void], capture: LabelledConnections) -> NDArray[np.bool_]:
    """The connections that deserve the label: a victim's replies to an attack are no attack."""
    mask = np.ones(len(rows), bool)
    if capture.label == NORMAL:
        return mask
    if capture.attackers:
        mask[:] = False
        for attacker in capture.attackers:
            mask |= (rows["src"] == sixteen(attacker)).all(axis=1)
    elif capture.victim is not None:
        mask = (rows["dst"] == sixteen(capture.victim)).all(axis=1)
    return np.asarray(mask, bool)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRows:
    """All labelled connections, in the captures' order."""

    features: NDArray[np.float64]
    """(n, len(FEATURES))."""
    labels: NDArray[np.str_]
    """(n,)."""
    folds: NDArray[np.int64]
    """(n,) from 0 below `CALIBRATION_FOLDS`."""


def training_rows(
    captures: Iterable[LabelledConnections],
) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Features (n, len(FEATURES)) and one label per row of all captures, in their order."""
    rows = labelled_rows(captures)
    return rows.features, rows.labels


def labelled_rows(captures: Iterable[LabelledConnections]) -> TrainingRows:
    """The connections that deserve their capture's label, with their features."""
    features: list[NDArray[np.float64]] = [np.empty((0, len(FEATURES)))]
    folds: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    labels: list[str] = []
    for capture in captures:
        extractor = FeatureExtractor()
        count = 0
        for rows in capture.batches:
            own = _belongs(rows, capture)
            features.append(extractor.extract(rows)[own])
            count += int(own.sum())
        labels += [capture.label] * count
        folds.append(np.arange(count) * _BLOCKS // max(count, 1) % CALIBRATION_FOLDS)
    return TrainingRows(
        np.concatenate(features), np.array(labels, dtype=np.str_), np.concatenate(folds)
    )


def train(
    captures: Iterable[LabelledConnections], *, clusters: int = CLUSTERS, seed: int = SEED
) -> ClusterModel:
    """A model of ``captures``, its network included; the same captures and seed give the same.

    Raises:
        ValueError: too few connections to fill the clusters, or too few to train a network on.
    """
    return fit_rows(labelled_rows(captures), clusters=clusters, seed=seed)


def fit_rows(rows: TrainingRows, *, clusters: int = CLUSTERS, seed: int = SEED) -> ClusterModel:
    """`train`, of rows that are at hand."""
    model = fit(rows.features, rows.labels, folds=rows.folds, clusters=clusters, seed=seed)
    hybrid = learn(
        rows.features.astype(np.float32),
        rows.labels,
        rows.labels,
        # A fold of normal traffic, in runs of neighbours, shows what normal may look like.
        (rows.labels == NORMAL) & (rows.folds == CALIBRATION_FOLDS - 1),
        np.random.default_rng(seed),
        lines=np.arange(1, len(rows.labels) + 1),
        encoding=LIVE,
        classes=(NORMAL, *sorted(set(rows.labels.tolist()) - {NORMAL})),
        plan=Plan(epochs=_EPOCHS, cases=_CASES, clusters=None),
        seed=seed,
    )
    return replace(model, hybrid=hybrid)


def held_out_novelty(
    rows: TrainingRows, *, clusters: int = CLUSTERS, seed: int = SEED
) -> list[tuple[float, float]]:
    """Share of each fold, and of its normal traffic, that is novel to a model of the other folds.

    Radii are calibrated on the other folds alone, so this is what the promise of
    `agents.analyzer.case_clusters.conformal_radii` comes to on traffic that had no part in it.
    """
    found = []
    for number in range(CALIBRATION_FOLDS):
        own, rest = rows.folds == number, rows.folds != number
        if not own.any():
            continue
        model = fit(
            rows.features[rest],
            rows.labels[rest],
            folds=rows.folds[rest],
            clusters=clusters,
            seed=seed,
        )
        novel = model.assign(rows.features[own]).novel
        normal = rows.labels[own] == NORMAL
        found.append((float(novel.mean()), float(novel[normal].mean()) if normal.any() else 0.0))
    return found
