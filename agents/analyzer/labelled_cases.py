"""A model's clusters and the labelled cases behind them, as `ontology.clusters_file` keeps them.

The cases are a sample of the training traffic (the OntoIDPSMA paper kept about 2,500): every label
gets the same number, as far as it has so many that differ, spread over its clusters and from each
centre to the rim.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.clustering import ClusterModel
from agents.analyzer.features import FEATURES
from agents.analyzer.naming import model_digest
from agents.analyzer.training import LabelledConnections, training_rows
from ontology.clusters_file import cluster_iri, default_name, write_clusters
from ontology.traffic_cluster import TrafficCase, TrafficCluster

CASES = 2500
"""Cases kept by default."""


def clusters_of(model: ClusterModel) -> list[TrafficCluster]:
    """The clusters with the names that they have before anybody gave them others."""
    digest = model_digest(model)
    return [
        TrafficCluster(
            id=cluster_iri(digest, number),
            model_digest=digest,
            cluster_number=number,
            cluster_name=default_name(number, label),
            traffic_class=label,
            purity=min(float(model.purity[number]), 1.0),
            radius=float(model.radius[number]),
            member_count=int(model.sizes[number]),
            case_count=0,
        )
        for number, label in enumerate(model.labels)
    ]


def choose_cases(
    model: ClusterModel,
    samples: Iterable[tuple[str, LabelledConnections]],
    *,
    most: int = CASES,
) -> list[TrafficCase]:
    """At most ``most`` labelled connections out of ``samples`` (file name, its connections).

    Repeatable; in the order of the samples. Of connections with equal features only the first can
    become a case.
    """
    names: list[str] = []
    parts: list[NDArray[np.float64]] = []
    labels: list[NDArray[np.str_]] = []
    numbers: list[NDArray[np.int64]] = []
    for name, capture in samples:
        features, own = training_rows([capture])
        names += [name] * len(own)
        parts.append(features)
        labels.append(own)
        numbers.append(np.arange(len(own)))
    if not names:
        return []
    features, label, number = np.concatenate(parts), np.concatenate(labels), np.concatenate(numbers)
    _, first = np.unique(features, axis=0, return_index=True)
    first.sort()
    assigned = model.assign(features[first])
    cluster, distance = assigned.cluster, assigned.distance
    chosen: list[int] = []
    quota = _per_label(label[first], most)
    for name in sorted(quota):
        rows = np.flatnonzero(label[first] == name)
        rows = rows[np.lexsort((rows, distance[rows], cluster[rows]))]
        chosen += rows[_spread(len(rows), quota[name])].tolist()
    return [
        TrafficCase(
            sample=names[first[i]],
            connection=int(number[first[i]]),
            traffic_class=str(label[first[i]]),
            cluster=int(cluster[i]),
            distance=float(distance[i]),
            features=feature_text(features[first[i]]),
        )
        for i in sorted(chosen)
    ]


def _per_label(labels: NDArray[np.str_], most: int) -> dict[str, int]:
    """How many cases each label gets: the same, and what small ones can't fill goes to others."""
    names, counts = np.unique(labels, return_counts=True)
    given: dict[str, int] = {}
    left = most
    for place, index in enumerate(np.argsort(counts, kind="stable").tolist()):
        given[str(names[index])] = min(int(counts[index]), left // (len(names) - place))
        left -= given[str(names[index])]
    return given


def _spread(have: int, want: int) -> NDArray[np.int64]:
    """``want`` places out of ``have``, evenly apart, first and last among them."""
    if want <= 1:
        return np.arange(min(want, have))
    return np.unique(np.linspace(0, have - 1, want).round().astype(np.int64))


def feature_text(row: NDArray[np.float64]) -> str:
    """``duration=0.32 protocol_tcp``: what is not 0, with three digits."""
    return " ".join(
        name if row[i] == 1.0 else f"{name}={row[i]:.3g}"
        for i, name in enumerate(FEATURES)
        if row[i] != 0.0
    )


def clusters_file(
    model: ClusterModel,
    samples: Sequence[tuple[str, LabelledConnections]],
    *,
    most: int = CASES,
) -> tuple[bytes, int]:
    """The whole ``clusters.owl`` of ``model``, and the number of cases in it."""
    cases = choose_cases(model, samples, most=most)
    return write_clusters(clusters_of(model), cases), len(cases)
