"""K-Means clusters of traffic, named by the labelled traffic that each attracts, and novelty.

A cluster's label is the one that most of its training connections carry, its *purity* their share,
its *radius* the distance beyond which at most one in a thousand connections of the same kind lies
(`agents.analyzer.case_clusters.conformal_radii`). What the model does for detection:

* a connection beyond its cluster's radius is *novel*, unlike anything in training: it is reported
  as ``UnknownAnomaly``;
* every finding of a detector carries a histogram of its connections over the clusters: clusters of
  the same family of attacks raise its confidence, clusters of normal traffic lower it
  (`ClusterModel.agreement`), and the explanation names the cluster that holds most of them;
* the clusters are supplemented by a supervised network (`agents.analyzer.hybrid_verdicts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.case_clusters import CLUSTERS, conformal_radii
from agents.analyzer.features import FEATURES, FEATURES_HASH
from agents.analyzer.hybrid import HybridModel
from agents.analyzer.live_encoding import LIVE
from agents.analyzer.model_file import Arrays, ModelError, read_model, write_model
from ontology.taxonomy import ATTACK_CLASSES, TRAFFIC_CLASSES, superclasses
from ontology.taxonomy import NORMAL as NORMAL

MODEL_VERSION = 2
SEED = 20260101
"""Of the K-Means initialisation: the same sample gives the same model."""
_RESTARTS = 10
CALIBRATION_FOLDS = 5
"""Each fold's distances come from centres that the fold had no part in."""
_FOLD_RESTARTS = 2
NORMAL_WEIGHT = 10.0
"""Of normal traffic, where the weight of every attack class is 1: it is as varied as all attacks,
and with one share of 27 web, mail and files lie in clusters named after attacks on them."""
_HYBRID = "hybrid_"

_FAMILIES = frozenset({"Scan", "BruteForce", "Flood", "Exploit", "Spoofing"})


class _Family(Mapping[str, str]):
    def __getitem__(self, name: str) -> str:
        found = next((above for above in superclasses(name) if above in _FAMILIES), None)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return (
            name for name in sorted(ATTACK_CLASSES) if not _FAMILIES.isdisjoint(superclasses(name))
        )

    def __len__(self) -> int:
        return sum(1 for _ in self)


FAMILY: Mapping[str, str] = _Family()
"""Attack class to its family (superclass in ``ontoidps.owl``), within which clusters may err."""


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """Where connections fall."""

    cluster: NDArray[np.int64]
    """(n,) index of the nearest centre."""
    distance: NDArray[np.float64]
    """(n,) Euclidean distance to it."""
    novel: NDArray[np.bool_]
    """(n,) True beyond the cluster's radius."""


@dataclass(frozen=True, slots=True, eq=False)
class ClusterModel:
    """k centres with what training saw around them."""

    centers: NDArray[np.float64]
    """(k, len(FEATURES))."""
    labels: tuple[str, ...]
    """Per cluster: `NORMAL`, or the local name of an attack class in ``ontoidps.owl``."""
    purity: NDArray[np.float64]
    """(k,) share of the cluster's training connections that carry its label, in [0, 1]."""
    radius: NDArray[np.float64]
    """(k,) beyond it a connection is novel."""
    sizes: NDArray[np.int64]
    """(k,) training connections."""
    names: tuple[str, ...] = ()
    """Per cluster the name that somebody gave it, or "" (`agents.analyzer.naming`)."""
    hybrid: HybridModel | None = None
    """The supervised network; None: clusters alone."""
    _product: NDArray[np.float64] = field(init=False, repr=False)
    _squares: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        k = len(self.labels)
        if self.centers.shape != (k, len(FEATURES)):
            raise ModelError(f"centers must be ({k}, {len(FEATURES)}), got {self.centers.shape}")
        for name in ("purity", "radius", "sizes"):
            if getattr(self, name).shape != (k,):
                raise ModelError(f"{name} must have {k} values")
        for name in ("centers", "purity", "radius"):
            if not np.isfinite(getattr(self, name)).all():
                raise ModelError(f"{name} holds a value that is not finite")
        if self.names and len(self.names) != k:
            raise ModelError(f"names must have {k} values")
        # One record must not wait for what never changes.
        object.__setattr__(self, "_product", np.ascontiguousarray(-2.0 * self.centers.T))
        object.__setattr__(self, "_squares", (self.centers**2).sum(axis=1))
        unknown = sorted(set(self.labels) - TRAFFIC_CLASSES)
        if unknown:
            raise ModelError(f"unknown label {unknown[0]!r}")

    def assign(self, features: NDArray[np.float64]) -> Assignment:
        """``features``: (n, len(FEATURES)). scikit-learn would take 50 times as long on a row."""
        # |x - c|^2 = |x|^2 - 2 x.c + |c|^2; the first term does not change which is nearest.
        partial = features @ self._product
        partial += self._squares
        cluster = partial.argmin(axis=1)
        nearest = partial[np.arange(len(features)), cluster]
        nearest += np.einsum("ij,ij->i", features, features)
        distance = np.sqrt(np.maximum(nearest, 0.0, out=nearest), out=nearest)
        return Assignment(cluster, distance, distance > self.radius[cluster])

    @property
    def mean_purity(self) -> float:
        """Over the clusters that hold training connections."""
        return float(self.purity[self.sizes > 0].mean()) if (self.sizes > 0).any() else 0.0

    def agreement(self, classification: str, histogram: NDArray[np.int64]) -> float:
        """How far clusters support a finding, in [-1, 1].

        ``histogram``: (k,) how many of its connections fell into each cluster. Clusters of the same
        family count for it with their purity, clusters of normal traffic against it.
        """
        total = int(histogram.sum())
        family = FAMILY.get(classification)
        if total == 0 or family is None:
            return 0.0
        sign = np.array(
            [
                # An analyst may name a cluster after a whole family, or after a class in none.
                -1.0 if label == NORMAL else float(FAMILY.get(label, label) == family)
                for label in self.labels
            ]
        )
        return float((histogram * self.purity * sign).sum() / total)

    def name_of(self, cluster: int) -> str:
        """What it is called; its class if it has no name."""
        return (self.names[cluster] if self.names else "") or self.labels[cluster]

    def describe(self, cluster: int, distance: float) -> str:
        """E.g. ``cluster 7 (SynScan, purity 0.98), distance 0.41 of radius 0.90``; a name that the
        cluster was given stands before its class: ``cluster 7 ("own scanner", SynScan, …``."""
        name = f'"{self.names[cluster]}", ' if self.names and self.names[cluster] else ""
        return (
            f"cluster {cluster} ({name}{self.labels[cluster]}, "
            f"purity {self.purity[cluster]:.2f}), "
            f"distance {distance:.2f} of radius {self.radius[cluster]:.2f}"
        )

    def save(self, path: Path) -> None:
        """Write ``path`` (.npz without pickles)."""
        arrays: dict[str, NDArray[Any]] = {
            "version": np.array(MODEL_VERSION),
            "features": np.array(FEATURES_HASH),
            "centers": self.centers,
            "labels": np.array(self.labels),
            "purity": self.purity,
            "radius": self.radius,
            "sizes": self.sizes,
        }
        if self.hybrid is not None:
            for name, values in self.hybrid.arrays().items():
                arrays[_HYBRID + name] = values
        write_model(path, arrays)

    @classmethod
    def load(cls, path: Path) -> ClusterModel:
        """Raises: ModelError: not a model, or one of other features or another version."""
        return read_model(path, "cluster model", cls._from_arrays)

    @classmethod
    def _from_arrays(cls, arrays: Arrays) -> ClusterModel:
        if int(arrays["version"]) != MODEL_VERSION:
            raise ModelError(
                f"version {arrays['version']}, this program reads {MODEL_VERSION}; "
                "train it again with `ontoidps train`"
            )
        if str(arrays["features"]) != FEATURES_HASH:
            raise ModelError("trained on other features; train it again with `ontoidps train`")
        network = {
            name.removeprefix(_HYBRID): values
            for name, values in arrays.items()
            if name.startswith(_HYBRID)
        }
        return cls(
            centers=arrays["centers"].astype(np.float64),
            labels=tuple(str(label) for label in arrays["labels"]),
            purity=arrays["purity"].astype(np.float64),
            radius=arrays["radius"].astype(np.float64),
            sizes=arrays["sizes"].astype(np.int64),
            hybrid=HybridModel.from_arrays(network, LIVE) if network else None,
        )


def fit(
    features: NDArray[np.float64],
    labels: NDArray[np.str_],
    *,
    folds: NDArray[np.int64] | None = None,
    clusters: int = CLUSTERS,
    seed: int = SEED,
) -> ClusterModel:
    """Train on ``features`` (n, len(FEATURES)) with one label per row; repeatable for one seed.

    Rows are weighted so that every attack class has the same total weight, and normal traffic
    `NORMAL_WEIGHT` times that: without it a flood's thousands of alike connections take all centres
    and a brute force's few get none.

    ``folds``: (n,) numbers from 0 below `CALIBRATION_FOLDS`. Radii come from each row's distance to
    centres that its fold had no part in (cross-conformal); neighbours in time, which are nearly
    copies, belong into one fold. Default: blocks of eight rows in turn.

    Raises:
        ValueError: fewer distinct rows than clusters.
    """
    distinct = len(np.unique(features, axis=0))
    if distinct < clusters:
        raise ValueError(f"{distinct} distinct connections can't fill {clusters} clusters")
    if folds is None:
        folds = np.arange(len(features)) // 8 % CALIBRATION_FOLDS
    names, inverse = np.unique(labels, return_inverse=True)
    weights = _weights(labels)
    centers = _centers(features, weights, clusters, _RESTARTS, seed)
    # K-Means numbers clusters as it likes; a fixed order makes two models comparable.
    centers = centers[np.lexsort(np.round(centers.T, 6))]
    cluster, distance = _nearest(features, centers)
    for number in range(CALIBRATION_FOLDS):
        own, rest = folds == number, folds != number
        if own.any() and len(np.unique(features[rest], axis=0)) >= clusters:
            others = _centers(
                features[rest], _weights(labels[rest]), clusters, _FOLD_RESTARTS, seed
            )
            distance[own] = _nearest(features[own], others)[1]
    chosen, purity = [], np.zeros(clusters)
    for index in range(clusters):
        members = cluster == index
        share = np.bincount(inverse[members], weights[members], minlength=len(names))
        if not members.any():
            chosen.append(NORMAL)
            continue
        chosen.append(str(names[share.argmax()]))
        purity[index] = share.max() / share.sum()
    radius = conformal_radii(cluster, distance, clusters)
    sizes = np.bincount(cluster, minlength=clusters).astype(np.int64)
    return ClusterModel(centers, tuple(chosen), purity, radius, sizes)


def _weights(labels: NDArray[np.str_]) -> NDArray[np.float64]:
    names, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    shares = np.where(names == NORMAL, NORMAL_WEIGHT, 1.0)
    weights = (shares / counts)[inverse]
    return np.asarray(weights / weights.mean())


def _centers(
    features: NDArray[np.float64], weights: NDArray[np.float64], k: int, restarts: int, seed: int
) -> NDArray[np.float64]:
    # Here, not above: an agent that only predicts need not load scikit-learn (100 MB).
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    # One BLAS thread: a sum in another order would give another model on another machine.
    with threadpool_limits(limits=1):
        kmeans = KMeans(k, n_init=restarts, random_state=seed, algorithm="lloyd")
        kmeans.fit(features, sample_weight=weights)
    return np.asarray(kmeans.cluster_centers_, dtype=np.float64)


def _nearest(
    features: NDArray[np.float64], centers: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    partial = features @ (-2.0 * centers.T) + (centers**2).sum(axis=1)
    cluster = np.asarray(partial.argmin(axis=1), dtype=np.int64)
    return cluster, np.sqrt(((features - centers[cluster]) ** 2).sum(axis=1))
