"""K-Means clusters of traffic, named by the labelled traffic that each attracts, and novelty.

A cluster's label is the one that most of its training connections carry, its *purity* their share,
its *radius* the distance within which 99.9 % of them lie. What the model does for detection:

* a connection beyond its cluster's radius is *novel*, unlike anything in training: it is reported
  as ``UnknownAnomaly``;
* every finding of a detector carries a histogram of its connections over the clusters: clusters of
  the same family of attacks raise its confidence, clusters of normal traffic lower it
  (`ClusterModel.agreement`), and the explanation names the cluster that holds most of them.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.features import FEATURES, FEATURES_HASH
from ontology.vocabulary import ATTACK_CLASSES, superclasses

CLUSTERS = 25
"""k, as in the OntoIDPSMA paper."""
RADIUS_QUANTILE = 0.999
NORMAL = "Normal"
"""Label of benign traffic; every other label is a local name of a class in ``ontoidps.owl``."""
MODEL_VERSION = 1
SEED = 20260101
"""Of the K-Means initialisation: the same sample gives the same model."""
_RESTARTS = 10

_FAMILIES = frozenset({"Scan", "BruteForce", "Flood", "Exploit", "Spoofing"})
FAMILY: dict[str, str] = {
    name: above
    for name in sorted(ATTACK_CLASSES)
    for above in superclasses(name)
    if above in _FAMILIES
}
"""Attack class to its family (superclass in ``ontoidps.owl``), within which clusters may err."""


class ModelError(ValueError):
    """The file is not a model that this version can use; the message is one line."""


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
    """25 centres with what training saw around them."""

    centers: NDArray[np.float64]
    """(k, len(FEATURES))."""
    labels: tuple[str, ...]
    """Per cluster: `NORMAL` or an attack class."""
    purity: NDArray[np.float64]
    """(k,) share of the cluster's training connections that carry its label, in [0, 1]."""
    radius: NDArray[np.float64]
    """(k,) 99.9 % of the training connections lie within."""
    sizes: NDArray[np.int64]
    """(k,) training connections."""

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
        unknown = sorted(set(self.labels) - set(FAMILY) - {NORMAL})
        if unknown:
            raise ModelError(f"unknown label {unknown[0]!r}")

    def assign(self, features: NDArray[np.float64]) -> Assignment:
        """``features``: (n, len(FEATURES)). scikit-learn would take 50 times as long on a row."""
        # |x - c|^2 = |x|^2 - 2 x.c + |c|^2; the first term does not change which is nearest.
        partial = features @ (-2.0 * self.centers.T) + (self.centers**2).sum(axis=1)
        cluster = partial.argmin(axis=1)
        nearest = partial[np.arange(len(features)), cluster]
        distance = np.sqrt(np.maximum(nearest + (features**2).sum(axis=1), 0.0))
        return Assignment(cluster, distance, distance > self.radius[cluster])

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
            [-1.0 if label == NORMAL else float(FAMILY[label] == family) for label in self.labels]
        )
        return float((histogram * self.purity * sign).sum() / total)

    def describe(self, cluster: int, distance: float) -> str:
        """E.g. ``cluster 7 (SynScan, purity 0.98), distance 0.41 of radius 0.90``."""
        return (
            f"cluster {cluster} ({self.labels[cluster]}, purity {self.purity[cluster]:.2f}), "
            f"distance {distance:.2f} of radius {self.radius[cluster]:.2f}"
        )

    def save(self, path: Path) -> None:
        """Write ``path`` (.npz without pickles)."""
        np.savez_compressed(
            path,
            allow_pickle=False,
            version=np.array(MODEL_VERSION),
            features=np.array(FEATURES_HASH),
            centers=self.centers,
            labels=np.array(self.labels),
            purity=self.purity,
            radius=self.radius,
            sizes=self.sizes,
        )

    @classmethod
    def load(cls, path: Path) -> ClusterModel:
        """Raises: ModelError: not a model, or one of other features or another version."""
        try:
            # Opened here: np.load leaves a file that it can't read open.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return cls._from_arrays({name: archive[name] for name in archive.files})
        except OSError as e:
            raise ModelError(f"{path}: {e.strerror or e}") from e
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as e:
            reason = " ".join(str(e).split())
            raise ModelError(f"{path}: not an OntoIDPS cluster model: {reason}") from e

    @classmethod
    def _from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> ClusterModel:
        if int(arrays["version"]) != MODEL_VERSION:
            raise ModelError(f"version {arrays['version']}, this program reads {MODEL_VERSION}")
        if str(arrays["features"]) != FEATURES_HASH:
            raise ModelError("trained on other features; train it again with `ontoidps train`")
        return cls(
            centers=arrays["centers"].astype(np.float64),
            labels=tuple(str(label) for label in arrays["labels"]),
            purity=arrays["purity"].astype(np.float64),
            radius=arrays["radius"].astype(np.float64),
            sizes=arrays["sizes"].astype(np.int64),
        )


def fit(
    features: NDArray[np.float64], labels: NDArray[np.str_], *, seed: int = SEED
) -> ClusterModel:
    """Train on ``features`` (n, len(FEATURES)) with one label per row; repeatable for one seed.

    Rows are weighted so that every label has the same total weight: without that a flood's
    thousands of alike connections take all centres and a brute force's few get none.

    Raises:
        ValueError: fewer distinct rows than clusters.
    """
    # Here, not above: an agent that only predicts need not load scikit-learn (100 MB).
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    distinct = len(np.unique(features, axis=0))
    if distinct < CLUSTERS:
        raise ValueError(f"{distinct} distinct connections can't fill {CLUSTERS} clusters")
    names, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    weights = (len(labels) / len(names)) / counts[inverse]
    # One BLAS thread: a sum in another order would give another model on another machine.
    with threadpool_limits(limits=1):
        kmeans = KMeans(CLUSTERS, n_init=_RESTARTS, random_state=seed, algorithm="lloyd")
        kmeans.fit(features, sample_weight=weights)
    centers = np.asarray(kmeans.cluster_centers_, dtype=np.float64)
    # K-Means numbers clusters as it likes; a fixed order makes two models comparable.
    centers = centers[np.lexsort(np.round(centers.T, 6))]
    cluster = _nearest(features, centers)
    distance = np.sqrt(((features - centers[cluster]) ** 2).sum(axis=1))
    chosen, purity = [], np.zeros(CLUSTERS)
    radius, sizes = np.zeros(CLUSTERS), np.zeros(CLUSTERS, np.int64)
    for index in range(CLUSTERS):
        members = cluster == index
        sizes[index] = members.sum()
        share = np.bincount(inverse[members], weights[members], minlength=len(names))
        if not sizes[index]:
            chosen.append(NORMAL)
            continue
        chosen.append(str(names[share.argmax()]))
        purity[index] = share.max() / share.sum()
        radius[index] = np.quantile(distance[members], RADIUS_QUANTILE, method="higher")
    # A cluster of identical connections has radius 0; the smallest difference would be "novel".
    radius = np.maximum(radius, np.median(radius[sizes > 0]))
    return ClusterModel(centers, tuple(chosen), purity, radius, sizes)


def _nearest(features: NDArray[np.float64], centers: NDArray[np.float64]) -> NDArray[np.int64]:
    partial = features @ (-2.0 * centers.T) + (centers**2).sum(axis=1)
    return np.asarray(partial.argmin(axis=1), dtype=np.int64)
