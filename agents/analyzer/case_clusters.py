"""K-Means as the OntoIDPSMA paper has it: clusters found without labels, named by labelled cases.

Clustering sees no label. A *case* is a record somebody has labelled (the paper keeps about 2,500);
a cluster takes the name that most of the cases in it carry, and a cluster that attracts no case
stays `UNNAMED`: its records are uncertain until an analyst names it. A record farther from its
centre than 99.9 % of the cluster's own is novel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

CLUSTERS = 25
"""k of the paper."""
CASES = 2500
"""Labelled records of the paper's case base."""
RADIUS_QUANTILE = 0.999
UNNAMED = "unnamed"
_RESTARTS = 3


@dataclass(frozen=True, slots=True, eq=False)
class CaseClusters:
    """Centres with their names."""

    centers: NDArray[np.float64]
    """(k, columns)."""
    names: tuple[str, ...]
    """Per cluster: a label of the cases, or `UNNAMED`."""
    purity: NDArray[np.float64]
    """(k,) share of the cluster's cases that carry its name; 0 where it has none."""
    radius: NDArray[np.float64]
    """(k,) 99.9 % of the records it was made from lie within."""
    sizes: NDArray[np.int64]
    """(k,) records it was made from."""

    def assign(
        self, features: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Index of the nearest centre and distance to it, each (n,); ``features``: (n, columns)."""
        cluster, distance = nearest(features, self.centers)
        return cluster, distance

    def named_by(self, features: NDArray[np.float32], labels: NDArray[np.str_]) -> CaseClusters:
        """The same clusters, named by these cases: (m, columns) and (m,)."""
        cluster, _ = self.assign(features)
        names, purity = [], np.zeros(len(self.centers))
        for index in range(len(self.centers)):
            kinds, counts = np.unique(labels[cluster == index], return_counts=True)
            if not len(kinds):
                names.append(UNNAMED)
                continue
            names.append(str(kinds[counts.argmax()]))
            purity[index] = counts.max() / counts.sum()
        return replace(self, names=tuple(names), purity=purity)


def nearest(
    features: NDArray[np.float32], points: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each row the index of the nearest of ``points`` (m, columns) and its Euclidean distance.

    In blocks: 500,000 records against 2,500 cases must not need 10 GB.
    """
    points = points.astype(np.float32)
    squares = (points**2).sum(axis=1)
    index = np.empty(len(features), np.int64)
    distance = np.empty(len(features))
    for start in range(0, len(features), 4096):
        block = features[start : start + 4096]
        partial = block @ (-2.0 * points.T) + squares
        best = partial.argmin(axis=1)
        index[start : start + 4096] = best
        # Again, exactly: |x|² - 2xc + |c|² in single precision is off by 1e-3 near 0.
        distance[start : start + 4096] = np.sqrt(
            ((block.astype(np.float64) - points[best]) ** 2).sum(axis=1)
        )
    return index, distance


def fit_clusters(
    features: NDArray[np.float32],
    *,
    seed: int,
    k: int = CLUSTERS,
    copies: NDArray[np.int64] | None = None,
) -> CaseClusters:
    """Find ``k`` unnamed clusters in ``features`` (n, columns); repeatable for one seed.

    ``copies``: (n,) how many records each row stands for; they weigh as the records would.

    Raises:
        ValueError: fewer distinct rows than clusters.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    distinct = len(np.unique(features[: 100 * k], axis=0))
    if distinct < k and len(np.unique(features, axis=0)) < k:
        raise ValueError(f"{distinct} distinct records can't fill {k} clusters")
    # One BLAS thread: a sum in another order would give other clusters on another machine.
    with threadpool_limits(limits=1):
        kmeans = KMeans(k, n_init=_RESTARTS, random_state=seed)
        kmeans.fit(features, sample_weight=copies)
    centers = np.asarray(kmeans.cluster_centers_, dtype=np.float64)
    centers = centers[np.lexsort(np.round(centers.T, 6))]
    cluster, distance = nearest(features, centers)
    sizes = np.bincount(cluster, weights=copies, minlength=k).astype(np.int64)
    radius = np.zeros(k)
    for index in np.flatnonzero(sizes):
        radius[index] = np.quantile(distance[cluster == index], RADIUS_QUANTILE, method="higher")
    # A cluster of identical records has radius 0; the smallest difference would be "novel".
    radius = np.maximum(radius, np.median(radius[sizes > 0]))
    return CaseClusters(centers, (UNNAMED,) * k, np.zeros(k), radius, sizes)
