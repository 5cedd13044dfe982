"""Fits the hybrid classifier, and validates its settings with attacks it has never been shown.

`fit` uses training records only; `learn` is the same for any encoding, live connections' included.
`validate` is where the settings below come from: the attack *types* of the training file are dealt
into four folds; each fold hides its types from training altogether and then plays them, with a
fifth of all other records, as the test. A random split would not do: it asks only for attacks that
were learned, while a test file such as KDDTest+ brings others. Test files are never read here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.case_clusters import CASES, CLUSTERS, fit_clusters
from agents.analyzer.encoding import Encoding
from agents.analyzer.hybrid import HybridModel, Layers
from agents.analyzer.kdd_features import ENCODING, encode
from datasets.kdd.kdd99 import ATTACK_CLASS, CLASSES, NORMAL, KddRecords

SEED = 20260101
BUDGETS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.10, 0.15)
"""Shares of normal records that may score higher than a threshold; `validate` tries all."""
CLEAR, ALARM, SURE = 0.05, 0.05, 0.01
"""The budgets that `validate` chose on KDDTrain+."""
UNCERTAIN_COST = 0.25
"""Of an uncertain answer, where a wrong one costs 1: what the thresholds of certainty weigh."""
HELD_OUT = 0.2
"""Of the normal records, to measure rarity and thresholds; no network or case sees them."""
MEMBERS = 2
"""Networks whose odds are averaged."""
_HIDDEN = (64, 32)
_EPOCHS = 8
_BATCH = 512
_RATE = 2e-3
_RARE = 0.5
"""Exponent of the weight ``count ** -0.5`` of an attack type: between every record alike (53
guessed passwords against 41,000 neptune floods are never learned) and every type alike (noise)."""
_NORMAL_CASES = 1600
_ATTACK_CASES = CASES - _NORMAL_CASES
_POOL = 20_000
"""Records that cases are chosen from, per side."""
FOLDS = 4


@dataclass(frozen=True, slots=True)
class Fold:
    """What one fold of `validate` measured."""

    hidden: tuple[str, ...]
    """Attack types that training never saw."""
    known: tuple[float, ...]
    """Recall of attacks of known type, mean over classes, per budget of `BUDGETS`."""
    new: tuple[float, ...]
    """The same of the hidden types."""


@dataclass(frozen=True, slots=True)
class Validation:
    """All folds, and what follows."""

    folds: tuple[Fold, ...]
    worth: tuple[float, ...]
    """Per budget: half the normal records passed, a quarter each known and hidden recall."""
    clear: float
    alarm: float
    sure: float
    """The budgets chosen."""


def _weights(labels: NDArray[np.str_]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights = counts[inverse].astype(np.float64) ** -_RARE
    return np.asarray(weights / weights.mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to train; the defaults are those that `validate` settled."""

    budgets: tuple[float, float, float] = (CLEAR, ALARM, SURE)
    epochs: int = _EPOCHS
    cases: tuple[int, int] = (_NORMAL_CASES, _ATTACK_CASES)
    """Normal and attack cases, at most."""
    clusters: int | None = CLUSTERS
    """How many clusters; None: the caller has some."""


PLAN = Plan()


def _network(
    features: NDArray[np.float32],
    classes: NDArray[np.str_],
    weights: NDArray[np.float64],
    names: tuple[str, ...],
    epochs: int,
    seed: int,
) -> Layers:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier(
        _HIDDEN,
        batch_size=min(_BATCH, len(features)),
        max_iter=epochs,
        learning_rate_init=_RATE,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # A fixed number of epochs is the regularisation, not an accident.
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(features, classes, sample_weight=weights)
    layers = [
        (w.astype(np.float32), b.astype(np.float32))
        for w, b in zip(network.coefs_, network.intercepts_, strict=True)
    ]
    if len(network.classes_) == 2:
        # scikit-learn gives two classes one output, the second's odds.
        weights_out, biases_out = layers[-1]
        layers[-1] = (
            np.hstack((np.zeros_like(weights_out), weights_out)),
            np.concatenate((np.zeros_like(biases_out), biases_out)),
        )
    weights_out, biases_out = layers[-1]
    # Columns in the order of ``names``; a class that training lacks can't win.
    full = np.zeros((len(weights_out), len(names)), np.float32)
    bias = np.full(len(names), -1e4, np.float32)
    for column, name in enumerate(network.classes_):
        full[:, names.index(str(name))] = weights_out[:, column]
        bias[names.index(str(name))] = biases_out[column]
    layers[-1] = (full, bias)
    return tuple(layers)


def _spread(
    features: NDArray[np.float32],
    weights: NDArray[np.float64],
    wanted: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Indices of up to ``wanted`` records that cover ``features``: the seeding of k-means++."""
    from sklearn.cluster import kmeans_plusplus

    size = min(_POOL, len(features))
    pool = rng.choice(len(features), size, replace=False, p=weights / weights.sum())
    distinct = len(np.unique(features[pool], axis=0))
    _, chosen = kmeans_plusplus(
        features[pool], min(wanted, distinct), random_state=int(rng.integers(2**31))
    )
    return np.asarray(pool[chosen], dtype=np.int64)


def fit(records: KddRecords, *, seed: int = SEED, clusters: int = CLUSTERS) -> HybridModel:
    """Train on ``records``; the same records and seed give the same model.

    Raises:
        ValueError: no normal records or no attacks, or too few to calibrate.
    """
    rng = np.random.default_rng(seed)
    normal = records.classes == NORMAL
    held = normal & (rng.random(len(records)) < HELD_OUT)
    return learn(
        encode(records),
        records.labels,
        records.classes,
        held,
        rng,
        lines=records.lines,
        encoding=ENCODING,
        classes=CLASSES,
        plan=replace(PLAN, clusters=clusters),
        seed=seed,
    )


def learn(
    features: NDArray[np.float32],
    labels: NDArray[np.str_],
    kinds: NDArray[np.str_],
    held: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    lines: NDArray[np.int64],
    encoding: Encoding,
    classes: tuple[str, ...],
    plan: Plan,
    seed: int,
) -> HybridModel:
    """Train on encoded records.

    Args:
        features: (n, encoding.columns).
        labels: (n,) names that cases carry, ``classes[0]`` for normal records.
        kinds: (n,) of ``classes``, which the network distinguishes.
        held: (n,) normal records kept aside, to measure rarity and thresholds on.
        lines: (n,) where a person finds each record.

    Raises:
        ValueError: no normal records or no attacks, or too few to calibrate.
    """
    from threadpoolctl import threadpool_limits

    normal = kinds == classes[0]
    if normal.sum() < 100 or (~normal).sum() < 2:
        raise ValueError(
            f"{normal.sum()} normal records and {(~normal).sum()} attacks are too few to train on"
        )
    rows = np.flatnonzero(~held)
    # One BLAS thread: a sum in another order would give another model on another machine.
    with threadpool_limits(limits=1):
        weights = _weights(labels[rows])
        networks = tuple(
            _network(features[rows], kinds[rows], weights, classes, plan.epochs, seed + member)
            for member in range(MEMBERS)
        )
        sides = [np.flatnonzero(~held & normal), np.flatnonzero(~normal)]
        cases = np.concatenate(
            [
                side[_spread(features[side], _weights(labels[side]), wanted, rng)]
                for side, wanted in zip(sides, plan.cases, strict=True)
            ]
        )
        clusters = None
        if plan.clusters is not None:
            columns = slice(None, encoding.clustered)
            clusters = fit_clusters(features[rows, columns], seed=seed, k=plan.clusters)
            clusters = clusters.named_by(features[cases, columns], labels[cases])
        raw = HybridModel(
            encoding=encoding,
            classes=classes,
            networks=networks,
            cases=features[cases],
            case_labels=labels[cases],
            case_lines=lines[cases],
            clusters=clusters,
            reference=np.zeros((3, 1)),
            thresholds=(0.0, 0.0, 0.0),
            trained=np.unique(labels),
            records=len(labels),
        )
        evidence = raw.evidence(features[held])
    model = replace(raw, reference=np.sort(evidence, axis=1))
    score = model.rarity(evidence).sum(axis=0)
    low, alarm, high = (float(np.quantile(score, 1.0 - budget)) for budget in plan.budgets)
    return replace(model, thresholds=(low, alarm, high))


def deal(labels: NDArray[np.str_], folds: int = FOLDS) -> list[tuple[str, ...]]:
    """Attack types dealt into ``folds``, class by class, the frequent first."""
    dealt: list[list[str]] = [[] for _ in range(folds)]
    number = 0
    names, counts = np.unique(labels, return_counts=True)
    for kind in CLASSES[1:]:
        own = [(-int(n), str(name)) for name, n in zip(names, counts, strict=True)]
        for _, name in sorted(pair for pair in own if ATTACK_CLASS[pair[1]] == kind):
            dealt[number % folds].append(name)
            number += 1
    return [tuple(fold) for fold in dealt]


def validate(
    records: KddRecords,
    *,
    seed: int = SEED,
    progress: Callable[[Sequence[tuple[str, ...]]], Sequence[tuple[str, ...]]] = lambda folds: (
        folds
    ),
) -> Validation:
    """Measure the budgets on hidden attack types of the training records, and choose.

    ``progress`` may wrap the list of folds. Raises: ValueError: as `fit`, or too few attack types.
    """
    rng = np.random.default_rng(seed)
    aside = rng.integers(0, 5, len(records)) == 0
    classes = records.classes
    normal = classes == NORMAL
    dealt = deal(records.labels)
    if not all(dealt):
        raise ValueError(f"validation needs at least {FOLDS} attack types")
    folds: list[Fold] = []
    for hidden in progress(dealt):
        new = np.isin(records.labels, hidden)
        model = fit(records.take(~aside & ~new), seed=seed)
        played = np.flatnonzero(aside | new)
        score = model.score(encode(records.take(played)))
        passed = score[normal[played]]
        known_recall: list[float] = []
        new_recall: list[float] = []
        for budget in BUDGETS:
            above = score >= np.quantile(passed, 1.0 - budget)
            for mask, recalls in (
                (~new[played] & ~normal[played], known_recall),
                (new[played], new_recall),
            ):
                kinds = [mask & (classes[played] == kind) for kind in CLASSES[1:]]
                recalls.append(float(np.mean([above[own].mean() for own in kinds if own.any()])))
        folds.append(Fold(hidden, tuple(known_recall), tuple(new_recall)))
    caught = [
        0.5 * float(np.mean([fold.known[i] for fold in folds]))
        + 0.5 * float(np.mean([fold.new[i] for fold in folds]))
        for i in range(len(BUDGETS))
    ]
    worth = [0.5 * (1.0 - budget) + 0.5 * caught[i] for i, budget in enumerate(BUDGETS)]
    alarm = int(np.argmax(worth))
    clear, sure = _band(caught, alarm)
    return Validation(tuple(folds), tuple(worth), BUDGETS[clear], BUDGETS[alarm], BUDGETS[sure])


def _band(caught: Sequence[float], alarm: int) -> tuple[int, int]:
    """Budgets around ``alarm`` between which uncertainty is cheaper than a verdict.

    A record between the thresholds costs `UNCERTAIN_COST` instead of 1 if it is judged wrongly and
    of 0 if rightly; normal and attack records weigh the same.
    """
    best, chosen = -1.0, (alarm, alarm)
    for clear in range(alarm, len(BUDGETS)):
        for sure in range(alarm + 1):
            unsure_normal = BUDGETS[clear] - BUDGETS[sure]
            unsure_attack = caught[clear] - caught[sure]
            value = (1.0 - BUDGETS[clear]) + caught[sure]
            value += (1.0 - UNCERTAIN_COST) * (unsure_normal + unsure_attack)
            if value > best + 1e-12:
                best, chosen = value, (clear, sure)
    return chosen
