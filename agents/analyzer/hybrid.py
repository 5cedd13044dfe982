"""The hybrid classifier: a neural network and a base of labelled cases, judged together.

Three kinds of evidence speak about a record: the network's odds of attack against normal, the
distance to the nearest *normal* case (nothing known looks like it), and how much nearer the nearest
attack case is than the nearest normal one. They are on different scales, so each is turned into how
rare it is among normal records the training never saw, ``-log P(normal shows as much)``, and the
three are added (Fisher's method, without its assumption of independence: the threshold on the sum
is measured on the same held-out records). That gives three outcomes:

* *attack*: only ``SURE`` of normal records score as high;
* *normal*: the score is below that of ``CLEAR`` of normal records;
* *uncertain*: in between, with a tentative verdict at ``ALARM``.

`HybridModel.explain` says which cluster, how far, which cases are nearest and which features
mattered. Training is `agents.analyzer.hybrid_training`; on disk a model is .npz without pickles.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.case_clusters import CaseClusters, nearest
from agents.analyzer.clustering import ModelError
from agents.analyzer.kdd_features import (
    COLUMN_GROUP,
    COLUMNS,
    ENCODING_HASH,
    GROUPS,
    WITHOUT_SERVICE,
)
from datasets.kdd import CLASSES

NORMAL, UNCERTAIN, ATTACK = 0, 1, 2
OUTCOMES = ("normal", "uncertain", "attack")
MODEL_VERSION = 1
EVIDENCE = ("network", "distance to normal cases", "nearer to attack cases")
_SOFTEN = 0.02
"""Added to distances before their ratio: copies of a case (distance 0) must not decide alone."""

Layers = tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
"""Weights (inputs, outputs) and biases (outputs,) per layer; ReLU in between."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decisions:
    """What the model says of n records."""

    outcome: NDArray[np.int8]
    """(n,) `NORMAL`, `UNCERTAIN` or `ATTACK`."""
    alarm: NDArray[np.bool_]
    """(n,) the verdict; of an uncertain record the tentative one."""
    kind: NDArray[np.int64]
    """(n,) index into `CLASSES`; the likeliest kind of attack where ``alarm``, else 0."""
    score: NDArray[np.float64]
    """(n,) sum of the evidence."""
    novel: NDArray[np.bool_]
    """(n,) beyond its cluster's radius."""


@dataclass(frozen=True, slots=True)
class Case:
    """A labelled record that a decision leans on."""

    label: str
    line: int
    """Of the training file."""
    distance: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one record was judged so; ``str()`` is for people."""

    outcome: str
    kind: str
    score: float
    threshold: float
    evidence: tuple[tuple[str, float], ...]
    """Each kind with its share of the score."""
    cluster: int
    cluster_name: str
    distance: float
    radius: float
    cases: tuple[Case, ...]
    features: tuple[tuple[str, float], ...]
    """Features that mattered most: how far the score falls if the record had the value of its
    nearest normal case there, and rises if that case had the record's; the mean of both."""

    def __str__(self) -> str:
        evidence = ", ".join(f"{name} {value:.1f}" for name, value in self.evidence)
        cases = ", ".join(f"{c.label} (line {c.line}) at {c.distance:.2f}" for c in self.cases)
        mattered = ", ".join(f"{name} {value:+.1f}" for name, value in self.features) or "none"
        kind = "" if self.kind == CLASSES[0] else f" {self.kind}"
        return (
            f"{self.outcome}{kind}: score {self.score:.1f}, alarm from {self.threshold:.1f} "
            f"({evidence}); cluster {self.cluster} ({self.cluster_name}), distance "
            f"{self.distance:.2f} of radius {self.radius:.2f}; nearest cases {cases}; "
            f"features that mattered: {mattered}"
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HybridModel:
    """Networks, cases, clusters, and what held-out normal records looked like."""

    networks: tuple[Layers, ...]
    """Averaged; outputs in the order of `CLASSES`."""
    cases: NDArray[np.float32]
    """(m, COLUMNS) encoded."""
    case_labels: NDArray[np.str_]
    """(m,) attack names or ``normal``."""
    case_lines: NDArray[np.int64]
    """(m,) lines of the training file."""
    clusters: CaseClusters
    """Over the columns before the service."""
    reference: NDArray[np.float64]
    """(3, r) evidence of held-out normal records, each row ascending."""
    thresholds: tuple[float, float, float]
    """Scores from which a record is not clearly normal, an alarm, surely an attack."""

    def __post_init__(self) -> None:
        low, alarm, high = self.thresholds
        if not low <= alarm <= high:
            raise ModelError("thresholds must ascend")
        if self.cases.shape != (len(self.case_labels), COLUMNS):
            raise ModelError(f"cases must have {COLUMNS} columns, got {self.cases.shape}")
        if self.case_lines.shape != self.case_labels.shape:
            raise ModelError("every case needs a line")
        if self.clusters.centers.shape[1] != WITHOUT_SERVICE:
            raise ModelError(f"clusters must have {WITHOUT_SERVICE} columns")
        if self.reference.ndim != 2 or len(self.reference) != len(EVIDENCE):
            raise ModelError(f"reference must have {len(EVIDENCE)} rows")
        normal = self.case_labels == CLASSES[0]
        if normal.all() or not normal.any():
            raise ModelError("cases of normal traffic and of attacks are needed")
        for layers in self.networks:
            width = COLUMNS
            for weights, biases in layers:
                if weights.shape != (width, len(biases)):
                    raise ModelError(f"a layer is {weights.shape}, expected {width} inputs")
                width = len(biases)
            if width != len(CLASSES):
                raise ModelError(f"a network has {width} outputs, expected {len(CLASSES)}")

    def _logits(self, features: NDArray[np.float32]) -> list[NDArray[np.float64]]:
        out = []
        for layers in self.networks:
            values = features
            for number, (weights, biases) in enumerate(layers, 1):
                values = values @ weights + biases
                if number < len(layers):
                    values = np.maximum(values, 0.0)
            out.append(values.astype(np.float64))
        return out

    def evidence(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(3, n) raw evidence, each larger for attacks; ``features``: (n, COLUMNS)."""
        odds = np.mean(
            [np.logaddexp.reduce(x[:, 1:], axis=1) - x[:, 0] for x in self._logits(features)],
            axis=0,
        )
        normal = self.case_labels == CLASSES[0]
        _, to_normal = nearest(features, self.cases[normal])
        _, to_attack = nearest(features, self.cases[~normal])
        return np.array(
            [odds, to_normal, np.log((to_normal + _SOFTEN) / (to_attack + _SOFTEN))],
        )

    def rarity(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """(3, n) ``-log`` of the share of held-out normal records with as much evidence."""
        size = self.reference.shape[1]
        below = [
            np.searchsorted(row, values)
            for row, values in zip(self.reference, evidence, strict=True)
        ]
        return np.asarray(-np.log((size - np.array(below) + 1) / (size + 1)))

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n,) sum of the three rarities."""
        return np.asarray(self.rarity(self.evidence(features)).sum(axis=0))

    def decide(self, features: NDArray[np.float32]) -> Decisions:
        """``features``: (n, COLUMNS) as `agents.analyzer.kdd_features.encode` makes them."""
        score = self.score(features)
        low, alarm_at, high = self.thresholds
        outcome = np.full(len(score), UNCERTAIN, np.int8)
        outcome[score < low] = NORMAL
        outcome[score >= high] = ATTACK
        alarm = score >= alarm_at
        shares = np.mean([_softmax(x[:, 1:]) for x in self._logits(features)], axis=0)
        cluster, distance = self.clusters.assign(features[:, :WITHOUT_SERVICE])
        return Decisions(
            outcome=outcome,
            alarm=alarm,
            kind=np.where(alarm, shares.argmax(axis=1) + 1, 0),
            score=score,
            novel=distance > self.clusters.radius[cluster],
        )

    def explain(self, features: NDArray[np.float32], *, cases: int = 3) -> Explanation:
        """Why ``features`` (COLUMNS,) is judged as `decide` judges it."""
        row = features.reshape(1, -1)
        decided = self.decide(row)
        rarity = self.rarity(self.evidence(row))[:, 0]
        cluster, distance = self.clusters.assign(row[:, :WITHOUT_SERVICE])
        distances = np.sqrt(((self.cases.astype(np.float64) - row) ** 2).sum(axis=1))
        order = np.argsort(distances, kind="stable")
        normal = order[self.case_labels[order] == CLASSES[0]][0]
        like = self.cases[normal]
        without, only = (np.repeat(x[None], len(GROUPS), axis=0) for x in (features, like))
        for group in range(len(GROUPS)):
            columns = group == COLUMN_GROUP
            without[group, columns] = like[columns]
            only[group, columns] = features[columns]
        # Both ways: of two features that each suffice alone, neither is missed when it is gone.
        base = float(self.score(like[None])[0])
        mattered = ((decided.score[0] - self.score(without)) + (self.score(only) - base)) / 2
        most = np.argsort(-mattered, kind="stable")[:3]
        index = int(cluster[0])
        return Explanation(
            outcome=OUTCOMES[decided.outcome[0]],
            kind=CLASSES[decided.kind[0]],
            score=float(decided.score[0]),
            threshold=self.thresholds[1],
            evidence=tuple(zip(EVIDENCE, map(float, rarity), strict=True)),
            cluster=index,
            cluster_name=self.clusters.names[index],
            distance=float(distance[0]),
            radius=float(self.clusters.radius[index]),
            cases=tuple(
                Case(str(self.case_labels[i]), int(self.case_lines[i]), float(distances[i]))
                for i in order[:cases]
            ),
            features=tuple((GROUPS[i], float(mattered[i])) for i in most if mattered[i] > 0),
        )

    def save(self, path: Path) -> None:
        """Write ``path`` (.npz without pickles)."""
        arrays: dict[str, Any] = {
            "version": np.array(MODEL_VERSION),
            "encoding": np.array(ENCODING_HASH),
            "layers": np.array([len(layers) for layers in self.networks]),
            "cases": self.cases,
            "case_labels": self.case_labels,
            "case_lines": self.case_lines,
            "centers": self.clusters.centers,
            "names": np.array(self.clusters.names),
            "purity": self.clusters.purity,
            "radius": self.clusters.radius,
            "sizes": self.clusters.sizes,
            "reference": self.reference,
            "thresholds": np.array(self.thresholds),
        }
        for member, layers in enumerate(self.networks):
            for number, (weights, biases) in enumerate(layers):
                arrays[f"weights_{member}_{number}"] = weights
                arrays[f"biases_{member}_{number}"] = biases
        with path.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> HybridModel:
        """Raises: ModelError: not a model, or one of other features or another version."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return cls._from_arrays({name: archive[name] for name in archive.files})
        except OSError as e:
            raise ModelError(f"{path}: {e.strerror or e}") from e
        except (ValueError, KeyError, TypeError, EOFError, IndexError, zipfile.BadZipFile) as e:
            reason = " ".join(str(e).split())
            raise ModelError(f"{path}: not an OntoIDPS hybrid model: {reason}") from e

    @classmethod
    def _from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> HybridModel:
        if int(arrays["version"]) != MODEL_VERSION:
            raise ModelError(f"version {arrays['version']}, this program reads {MODEL_VERSION}")
        if str(arrays["encoding"]) != ENCODING_HASH:
            raise ModelError("trained on other features; train it again")
        low, alarm, high = (float(x) for x in arrays["thresholds"])
        return cls(
            networks=tuple(
                tuple(
                    (arrays[f"weights_{member}_{number}"], arrays[f"biases_{member}_{number}"])
                    for number in range(int(depth))
                )
                for member, depth in enumerate(arrays["layers"])
            ),
            cases=arrays["cases"].astype(np.float32),
            case_labels=arrays["case_labels"].astype(np.str_),
            case_lines=arrays["case_lines"].astype(np.int64),
            clusters=CaseClusters(
                arrays["centers"].astype(np.float64),
                tuple(str(name) for name in arrays["names"]),
                arrays["purity"].astype(np.float64),
                arrays["radius"].astype(np.float64),
                arrays["sizes"].astype(np.int64),
            ),
            reference=arrays["reference"].astype(np.float64),
            thresholds=(low, alarm, high),
        )


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
