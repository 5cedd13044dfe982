"""Clusters and cases of traffic: the record of the one (`ontology.records` lists it), the other.

`ontology.clusters_file` is the file that both are kept in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from ontology.taxonomy import TRAFFIC_CLASSES

MAX_CLUSTER_NAME: Final = 80


def check_cluster_name(name: str) -> None:
    """Names stand in the middle of explanations and log lines.

    Raises: ValueError: not one line of 1 to `MAX_CLUSTER_NAME` printable characters.
    """
    if not 1 <= len(name) <= MAX_CLUSTER_NAME or not name.isprintable() or name != name.strip():
        raise ValueError(
            f"cluster_name must be one line of 1 to {MAX_CLUSTER_NAME} printable characters "
            f"without blanks around it, got {name[:100]!r}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficCluster:
    """A K-Means cluster and what people call it (`ontology.clusters_file`).

    To the ontology agent (request): how it shall be called; from it (inform): how it is.
    """

    id: str
    model_digest: str
    """Of the model that the number counts in."""
    cluster_number: int
    cluster_name: str
    traffic_class: str
    """One of `TRAFFIC_CLASSES`."""
    purity: float
    radius: float
    member_count: int
    case_count: int
    detail: str = ""
    """In a request: who wants it and why; in a refusal: what is wrong."""

    def __post_init__(self) -> None:
        for name in ("cluster_number", "member_count", "case_count"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0.0 <= self.purity <= 1.0:
            raise ValueError(f"purity must lie in [0, 1], got {self.purity}")
        if not 0.0 <= self.radius < math.inf:
            raise ValueError(f"radius must be finite and not negative, got {self.radius}")
        check_cluster_name(self.cluster_name)
        if self.traffic_class not in TRAFFIC_CLASSES:
            raise ValueError(
                f"traffic_class: unknown class {self.traffic_class[:80]!r}; Normal or a class "
                "under Attack, e.g. SynScan"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficCase:
    """A labelled connection of the training traffic; stays in files, never travels."""

    sample: str
    """File name of the capture."""
    connection: int
    """Its number among the labelled connections of the sample, from 0."""
    traffic_class: str
    cluster: int
    """Number of the nearest cluster."""
    distance: float
    """To its centre, in scaled features."""
    features: str
    """The scaled features that are not 0: ``name=value``, or ``name`` for 1."""
