"""The file of cluster names that people edit, in the ontology agent's state, and what is in force.

The shipped ``clusters.owl`` is where a file begins, and says which model the analyzers use: names
of another model are never taken over.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from xml.sax.saxutils import quoteattr

from ontology.clusters_file import (
    CLUSTERS_FILE,
    CLUSTERS_IRI,
    ClusterFile,
    ClusterFileError,
    parse_clusters,
    read_clusters,
    renamed,
)
from ontology.knowledge_base import ontology_path
from ontology.traffic_cluster import TrafficCluster
from ontology.vocabulary import ONTOLOGY_IRI
from ontology.whole_files import write_whole

logger = logging.getLogger(__name__)

_CATALOG = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<catalog prefer="public" xmlns="urn:oasis:names:tc:entity:xmlns:xml:catalog">
    <uri id="OntoIDPS" name={ontology} uri={path}/>
    <uri id="OntoIDPS clusters" name={clusters} uri="{file}"/>
</catalog>
"""


class ClusterBook:
    """One file with its last good copy. Blocks for file work; not for several threads at once.

    Args:
        folder: Holds the file, its catalogue for Protégé and the copy; made if absent.
        shipped: Clusters of the model that analyzers use.

    Raises:
        ClusterFileError: the shipped file is no good.
        OSError: the folder can't be written.
    """

    def __init__(self, folder: Path, shipped: Path) -> None:
        self.path = folder / CLUSTERS_FILE
        self._kept = folder / "clusters.last-good.owl"
        self._shipped = shipped
        own = read_clusters(shipped)
        self._digest, self._count = own.model_digest, len(own.clusters)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(folder / "catalog-v001.xml", _catalog())
        self.in_force: ClusterFile = self._begin(own)

    def _begin(self, own: ClusterFile) -> ClusterFile:
        if not self.path.exists():
            return self._start_anew()
        try:
            return self._keep(self._read(self.path, other_model=True))
        except _OtherModel as e:
            old = self.path.with_name(f"clusters.{e.digest[:12]}.owl")
            os.replace(self.path, old)
            logger.warning("%s; %s is made anew, the old names are in %s", e, self.path, old)
            return self._start_anew()
        except ClusterFileError as e:
            logger.error("cluster names refused, the last good ones stay in force: %s", e)
        try:
            return self._read(self._kept)
        except ClusterFileError:
            return own

    def _start_anew(self) -> ClusterFile:
        data = self._shipped.read_bytes()
        write_whole(self.path, data)
        return self._keep(parse_clusters(data, str(self._shipped)))

    def _read(self, path: Path, *, other_model: bool = False) -> ClusterFile:
        found = read_clusters(path)
        if found.model_digest != self._digest:
            message = (
                f"{path}: clusters of model {found.model_digest[:12]}, analyzers use "
                f"{self._digest[:12]}"
            )
            if other_model:
                raise _OtherModel(message, found.model_digest)
            raise ClusterFileError(message)
        if len(found.clusters) != self._count:
            raise ClusterFileError(
                f"{path}: {len(found.clusters)} clusters, the model has {self._count}"
            )
        return found

    def _keep(self, found: ClusterFile) -> ClusterFile:
        write_whole(self._kept, self.path.read_bytes())
        return found

    def take_over(self) -> tuple[TrafficCluster, ...]:
        """Put the file in force as it is now; returns the clusters whose names or classes changed.

        Raises: ClusterFileError: it is no good; what was in force stays.
        """
        try:
            found = self._read(self.path)
            before = {c.cluster_number: c for c in self.in_force.clusters}
            self.in_force = self._keep(found)
        except OSError as e:
            raise ClusterFileError(f"{self.path}: {e.strerror}") from e
        return tuple(
            cluster
            for cluster in found.clusters
            if _called(cluster) != _called(before[cluster.cluster_number])
        )

    def rename(self, wanted: TrafficCluster) -> TrafficCluster:
        """Write another name and class into the file; `take_over` puts them in force.

        Returns the cluster as the file has it now. What an analyst has saved meanwhile stays.

        Raises: ClusterFileError: no such cluster, another model, or the file is no good just now.
        """
        data = renamed(self._read(self.path), wanted)
        found = parse_clusters(data, str(self.path))
        try:
            write_whole(self.path, data)
        except OSError as e:
            raise ClusterFileError(f"{self.path}: {e.strerror}") from e
        return found.clusters[wanted.cluster_number]


class _OtherModel(ClusterFileError):
    def __init__(self, message: str, digest: str) -> None:
        super().__init__(message)
        self.digest = digest


def _called(cluster: TrafficCluster) -> tuple[str, str]:
    return cluster.cluster_name, cluster.traffic_class


def _catalog() -> bytes:
    return _CATALOG.format(
        ontology=quoteattr(ONTOLOGY_IRI),
        path=quoteattr(ontology_path().as_uri()),
        clusters=quoteattr(CLUSTERS_IRI),
        file=CLUSTERS_FILE,
    ).encode()
