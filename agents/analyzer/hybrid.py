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

One class serves two kinds of record, distinguished by their `Encoding`: KDD Cup 99's
(`agents.analyzer.kdd_features`), and live connections (`agents.analyzer.hybrid_verdicts`), whose
model travels within the analyzer's `ClusterModel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.case_clusters import CaseClusters, Points, nearest
from agents.analyzer.encoding import Encoding
from agents.analyzer.model_file import Arrays, ModelError, read_model, write_model

NORMAL, UNCERTAIN, ATTACK = 0, 1, 2
OUTCOMES = ("normal", "uncertain", "attack")
MODEL_VERSION = 2
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
    """(n,) index into the model's classes; the likeliest attack where ``alarm``, else 0."""
    score: NDArray[np.float64]
    """(n,) sum of the evidence."""


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
    """Likeliest attack; empty where there is no alarm."""
    score: float
    threshold: float
    evidence: tuple[tuple[str, float], ...]
    """Each kind with its share of the score."""
    place: str
    """Cluster, distance and radius in words; empty for a model without clusters of its own."""
    cases: tuple[Case, ...]
    features: tuple[tuple[str, float], ...]
    """Features that mattered most: how far the score falls if the record had the value of its
    nearest normal case there, and rises if that case had the record's; the mean of both."""
    unit: str = "line"
    """What `Case.line` counts."""

    def __str__(self) -> str:
        evidence = ", ".join(f"{name} {value:.1f}" for name, value in self.evidence)
        kind = f" {self.kind}" if self.kind else ""
        return (
            f"{self.outcome}{kind}: score {self.score:.1f}, alarm from {self.threshold:.1f} "
            f"({evidence}); {self.place}{'; ' if self.place else ''}{self.why}"
        )

    @property
    def why(self) -> str:
        """Nearest cases and the features that mattered."""
        cases = ", ".join(
            f"{c.label} ({self.unit} {c.line}) at {c.distance:.2f}" for c in self.cases
        )
        mattered = ", ".join(f"{name} {value:+.1f}" for name, value in self.features) or "none"
        return f"nearest cases {cases}; features that mattered: {mattered}"


@dataclass(frozen=True, kw_only=True, eq=False)
class HybridModel:
    """Networks, cases, clusters, and what held-out normal records looked like."""

    encoding: Encoding
    classes: tuple[str, ...]
    """What it distinguishes; normal traffic first."""
    networks: tuple[Layers, ...]
    """Averaged; outputs in the order of ``classes``."""
    cases: NDArray[np.float32]
    """(m, columns) encoded."""
    case_labels: NDArray[np.str_]
    """(m,) names of attacks, or ``classes[0]``."""
    case_lines: NDArray[np.int64]
    """(m,) lines of the training file, from 1."""
    clusters: CaseClusters | None
    """Over the first ``encoding.clustered`` columns; None where they are kept elsewhere."""
    reference: NDArray[np.float64]
    """(3, r) evidence of held-out normal records, each row ascending."""
    thresholds: tuple[float, float, float]
    """Scores from which a record is not clearly normal, an alarm, surely an attack."""
    trained: NDArray[np.str_]
    """Names of everything that training saw, ascending."""
    records: int
    """How many records training saw."""

    def __post_init__(self) -> None:
        low, alarm, high = self.thresholds
        if not low <= alarm <= high:
            raise ModelError("thresholds must ascend")
        columns = self.encoding.columns
        if self.cases.shape != (len(self.case_labels), columns):
            raise ModelError(f"cases must have {columns} columns, got {self.cases.shape}")
        if self.case_lines.shape != self.case_labels.shape:
            raise ModelError("every case needs a line")
        clustered = self.encoding.clustered
        if self.clusters is not None and self.clusters.centers.shape[1:] != (clustered,):
            raise ModelError(f"clusters must have {clustered} columns")
        if self.reference.ndim != 2 or len(self.reference) != len(EVIDENCE):
            raise ModelError(f"reference must have {len(EVIDENCE)} rows")
        normal = self.case_labels == self.classes[0]
        if normal.all() or not normal.any():
            raise ModelError("cases of normal traffic and of attacks are needed")
        for values in (self.cases, self.reference, np.array(self.thresholds)):
            if not np.isfinite(values).all():
                raise ModelError("a value is not finite")
        for layers in self.networks:
            width = columns
            for weights, biases in layers:
                if weights.shape != (width, len(biases)):
                    raise ModelError(f"a layer is {weights.shape}, expected {width} inputs")
                if not (np.isfinite(weights).all() and np.isfinite(biases).all()):
                    raise ModelError("a weight is not finite")
                width = len(biases)
            if width != len(self.classes):
                raise ModelError(f"a network has {width} outputs, expected {len(self.classes)}")

    @cached_property
    def _sides(self) -> tuple[Points, Points]:
        """Normal cases, and those of attacks."""
        normal = self.case_labels == self.classes[0]
        return Points(self.cases[normal]), Points(self.cases[~normal])

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
        """(3, n) raw evidence, each larger for attacks; ``features``: (n, columns)."""
        odds = np.mean(
            [np.logaddexp.reduce(x[:, 1:], axis=1) - x[:, 0] for x in self._logits(features)],
            axis=0,
        )
        normal, attacks = self._sides
        _, to_normal = nearest(features, normal)
        _, to_attack = nearest(features, attacks)
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
        """``features``: (n, columns), encoded as the model's training was."""
        return self._decided(features, self.score(features))

    def _decided(self, features: NDArray[np.float32], score: NDArray[np.float64]) -> Decisions:
        low, alarm_at, high = self.thresholds
        outcome = np.full(len(score), UNCERTAIN, np.int8)
        outcome[score < low] = NORMAL
        outcome[score >= high] = ATTACK
        alarm = score >= alarm_at
        shares = np.mean([_softmax(x[:, 1:]) for x in self._logits(features)], axis=0)
        return Decisions(
            outcome=outcome,
            alarm=alarm,
            kind=np.where(alarm, shares.argmax(axis=1) + 1, 0),
            score=score,
        )

    def explain(self, features: NDArray[np.float32], *, cases: int = 3) -> Explanation:
        """Why ``features`` (columns,) is judged as `decide` judges it."""
        row = features.reshape(1, -1)
        apart = self.cases - row
        distances = np.sqrt(np.einsum("ij,ij->i", apart, apart, dtype=np.float64))
        order = np.argsort(distances, kind="stable")
        normal = order[self.case_labels[order] == self.classes[0]][0]
        like = self.cases[normal]
        groups = self.encoding.groups
        without, only = (np.repeat(x[None], len(groups), axis=0) for x in (features, like))
        for group in range(len(groups)):
            columns = group == self.encoding.column_group
            without[group, columns] = like[columns]
            only[group, columns] = features[columns]
        rarities = self.rarity(self.evidence(np.concatenate((row, like[None], without, only))))
        (own, base), rest = np.split(rarities.sum(axis=0), [2])
        lacking, having = np.split(rest, 2)
        # Both ways: of two features that each suffice alone, neither is missed when it is gone.
        mattered = ((own - lacking) + (having - base)) / 2
        decided, rarity = self._decided(row, np.array([own])), rarities[:, 0]
        most = np.argsort(-mattered, kind="stable")[:3]
        kind = int(decided.kind[0])
        return Explanation(
            outcome=OUTCOMES[decided.outcome[0]],
            kind=self.classes[kind] if kind else "",
            score=float(decided.score[0]),
            threshold=self.thresholds[1],
            evidence=tuple(zip(EVIDENCE, map(float, rarity), strict=True)),
            place=self._place(row),
            cases=tuple(
                Case(str(self.case_labels[i]), int(self.case_lines[i]), float(distances[i]))
                for i in order[:cases]
            ),
            features=tuple((groups[i], float(mattered[i])) for i in most if mattered[i] > 0),
            unit=self.encoding.unit,
        )

    def _place(self, row: NDArray[np.float32]) -> str:
        if self.clusters is None:
            return ""
        cluster, distance = self.clusters.assign(row[:, : self.encoding.clustered])
        index = int(cluster[0])
        return (
            f"cluster {index} ({self.clusters.names[index]}), distance "
            f"{distance[0]:.2f} of radius {self.clusters.radius[index]:.2f}"
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All but the clusters, for a file; `from_arrays` reads them."""
        arrays: dict[str, NDArray[Any]] = {
            "version": np.array(MODEL_VERSION),
            "encoding": np.array(self.encoding.digest),
            "classes": np.array(self.classes),
            "layers": np.array([len(layers) for layers in self.networks]),
            "cases": self.cases,
            "case_labels": self.case_labels,
            "case_lines": self.case_lines,
            "reference": self.reference,
            "thresholds": np.array(self.thresholds),
            "trained": self.trained,
            "records": np.array(self.records),
        }
        for member, layers in enumerate(self.networks):
            for number, (weights, biases) in enumerate(layers):
                arrays[f"weights_{member}_{number}"] = weights
                arrays[f"biases_{member}_{number}"] = biases
        return arrays

    def save(self, path: Path) -> None:
        """Write ``path`` (.npz without pickles)."""
        clusters = self.clusters.arrays() if self.clusters is not None else {}
        write_model(path, self.arrays() | clusters)

    @classmethod
    def load(cls, path: Path, encoding: Encoding) -> HybridModel:
        """Raises: ModelError: not a model, or one of other features or another version."""

        def make(arrays: Arrays) -> HybridModel:
            return cls.from_arrays(arrays, encoding)

        return read_model(path, "hybrid model", make)

    @classmethod
    def from_arrays(cls, arrays: Arrays, encoding: Encoding) -> HybridModel:
        """Raises: ModelError, KeyError, ValueError: not what `arrays` gave."""
        if int(arrays["version"]) != MODEL_VERSION:
            raise ModelError(f"version {arrays['version']}, this program reads {MODEL_VERSION}")
        if str(arrays["encoding"]) != encoding.digest:
            raise ModelError("trained on other features; train it again with `ontoidps train`")
        low, alarm, high = (float(x) for x in arrays["thresholds"])
        return cls(
            encoding=encoding,
            classes=tuple(str(name) for name in arrays["classes"]),
            networks=tuple(
                tuple(
                    (
                        arrays[f"weights_{member}_{number}"].astype(np.float32),
                        arrays[f"biases_{member}_{number}"].astype(np.float32),
                    )
                    for number in range(int(depth))
                )
                for member, depth in enumerate(arrays["layers"])
            ),
            cases=arrays["cases"].astype(np.float32),
            case_labels=arrays["case_labels"].astype(np.str_),
            case_lines=arrays["case_lines"].astype(np.int64),
            clusters=CaseClusters.from_arrays(arrays) if "centers" in arrays else None,
            reference=arrays["reference"].astype(np.float64),
            thresholds=(low, alarm, high),
            trained=arrays["trained"].astype(np.str_),
            records=int(arrays["records"]),
        )


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
