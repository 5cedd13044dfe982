"""K-Means as the OntoIDPSMA paper has it: clusters found without labels, named by labelled cases.

Clustering sees no label. A *case* is a record somebody has labelled (the paper keeps about 2,500);
a cluster takes the name that most of the cases in it carry, and a cluster that attracts no case
stays `UNNAMED`: its records are uncertain until an analyst names it. A record beyond the radius of
its cluster is novel; `conformal_radii` says what a radius promises.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.model_file import Arrays

CLUSTERS = 25
"""k of the paper."""
CASES = 2500
"""Labelled records of the paper's case base."""
NOVEL_SHARE = 0.001
"""Of traffic like that of training, how much may lie beyond its radius."""
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
    """(k,) as `conformal_radii` gives them."""
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

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For a file; `from_arrays` reads them."""
        return {
            "centers": self.centers,
            "names": np.array(self.names),
            "purity": self.purity,
            "radius": self.radius,
            "sizes": self.sizes,
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> CaseClusters:
        """Raises: KeyError, ValueError: not what `arrays` gave."""
        made = cls(
            arrays["centers"].astype(np.float64),
            tuple(str(name) for name in arrays["names"]),
            arrays["purity"].astype(np.float64),
            arrays["radius"].astype(np.float64),
            arrays["sizes"].astype(np.int64),
        )
        k = len(made.names)
        if made.centers.ndim != 2 or len(made.centers) != k:
            raise ValueError(f"centers must be {k} rows, got {made.centers.shape}")
        for name in ("purity", "radius", "sizes"):
            if getattr(made, name).shape != (k,):
                raise ValueError(f"{name} must have {k} values")
        return made


def conformal_radii(
    cluster: NDArray[np.int64],
    distance: NDArray[np.float64],
    k: int,
    copies: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """(k,) radii beyond which a share of at most `NOVEL_SHARE` of like traffic lies.

    The r-th smallest of n distances, r = ceil((n + 1) · 0.999), is exceeded by a further one of the
    same kind with probability 0.001 at most, whatever their distribution (split conformal
    prediction, Vovk et al. 2005, Algorithmic Learning in a Random World, section 4.1). That takes
    n >= 999. Smaller clusters can't know a radius of their own: they share one, taken from all of
    their distances together (from all there are, if even those are fewer); it keeps the promise
    for them as a group, not for each.

    Args:
        cluster: (n,) nearest centre of each record.
        distance: (n,) to it; of records that the centres were not fitted to, for the promise to
            hold.
        copies: (n,) how many records each row stands for.
    """
    weights = np.ones(len(cluster), np.int64) if copies is None else copies
    counts = np.bincount(cluster, weights=weights, minlength=k)
    enough = math.ceil(1.0 / NOVEL_SHARE) - 1
    small = counts < enough
    members = small[cluster]
    if 0 < weights[members].sum() < enough:
        members = np.ones(len(cluster), bool)
    radius = np.zeros(k)
    if members.any():
        radius[small] = _conformal(distance[members], weights[members])
    for index in np.flatnonzero(~small):
        own = cluster == index
        radius[index] = _conformal(distance[own], weights[own])
    # A cluster of identical records would call any difference novel, a rounding error included.
    floor = np.median(radius[counts > 0]) if (counts > 0).any() else 0.0
    return np.where(radius > 1e-6, radius, floor)


def _conformal(distance: NDArray[np.float64], weights: NDArray[np.int64]) -> float:
    order = np.argsort(distance, kind="stable")
    below = np.cumsum(weights[order])
    rank = min(math.ceil((below[-1] + 1) * (1.0 - NOVEL_SHARE) - 1e-9), below[-1])
    return float(distance[order][np.searchsorted(below, rank)])


class Points:
    """``points`` (m, columns) made ready for `nearest`, where it is asked about them often."""

    def __init__(self, points: NDArray[np.floating]) -> None:
        self.rows = points.astype(np.float32)
        self.squares = (self.rows**2).sum(axis=1)
        self.minus_twice = -2.0 * self.rows.T


def nearest(
    features: NDArray[np.float32], points: NDArray[np.floating] | Points
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each row the index of the nearest of ``points`` (m, columns) and its Euclidean distance.

    In blocks: 500,000 records against 2,500 cases must not need 10 GB.
    """
    ready = points if isinstance(points, Points) else Points(points)
    index = np.empty(len(features), np.int64)
    distance = np.empty(len(features))
    for start in range(0, len(features), 4096):
        block = features[start : start + 4096]
        partial = block @ ready.minus_twice + ready.squares
        best = partial.argmin(axis=1)
        index[start : start + 4096] = best
        # Again, exactly: |x|² - 2xc + |c|² in single precision is off by 1e-3 near 0.
        distance[start : start + 4096] = np.sqrt(
            ((block.astype(np.float64) - ready.rows[best]) ** 2).sum(axis=1)
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
    # Distances of the records that made the centres: with k centres and many thousand records
    # they are hardly smaller than a stranger's.
    radius = conformal_radii(cluster, distance, k, copies)
    return CaseClusters(centers, (UNNAMED,) * k, np.zeros(k), radius, sizes)
