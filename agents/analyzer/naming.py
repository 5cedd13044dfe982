"""Names of clusters that people gave them, in place of those that training found.

The ontology's file is the truth; the ontology agent announces it, this module checks that they are
for the model in use, and keeps the last ones on disk for a restart while nobody announces them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agents.analyzer.clustering import ClusterModel
from ontology.clusters_file import own_name
from ontology.fragments import FragmentError, decode, encode
from ontology.records import Record
from ontology.traffic_cluster import TrafficCluster
from ontology.whole_files import write_whole

logger = logging.getLogger(__name__)


class NamingError(ValueError):
    """Names that are not for this model; the message is one line."""


def model_digest(model: ClusterModel) -> str:
    """SHA-256 of what training found, hexadecimal: the same for a model and its copy on disk."""
    total = hashlib.sha256("\n".join(model.labels).encode())
    for name in ("centers", "purity", "radius"):
        total.update(np.ascontiguousarray(getattr(model, name), dtype="<f8").tobytes())
    total.update(np.ascontiguousarray(model.sizes, dtype="<i8").tobytes())
    return total.hexdigest()


def names_for(
    clusters: Sequence[TrafficCluster], *, digest: str, count: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Class and name (empty: none of its own) per cluster of the model with ``digest``.

    Raises: NamingError: of another model, or not one name for each of its ``count`` clusters.
    """
    others = sorted({c.model_digest[:12] for c in clusters if c.model_digest != digest})
    if others:
        raise NamingError(
            f"cluster names of model {others[0]} refused, this analyzer's model is {digest[:12]}: "
            "install the same version on every node"
        )
    ordered = sorted(clusters, key=lambda cluster: cluster.cluster_number)
    if [cluster.cluster_number for cluster in ordered] != list(range(count)):
        raise NamingError(f"names for {len(ordered)} clusters refused, the model has {count}")
    return tuple(c.traffic_class for c in ordered), tuple(own_name(c) for c in ordered)


class KeptNames:
    """The announcement that was followed last, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, records: Sequence[Record]) -> None:
        """Raises: OSError."""
        write_whole(self._path, encode(records).encode())

    def load(self) -> tuple[Record, ...]:
        """Nothing if there is none, or it can't be read: the ontology agent announces it again."""
        try:
            return decode(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError, FragmentError) as e:
            logger.warning("%s is unreadable, starting with trained names: %s", self._path, e)
            return ()
