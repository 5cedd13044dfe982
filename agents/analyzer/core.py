"""The analyzer's core: batches of connections in, alerts out. Pure: time comes with the packets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.clustering import ClusterModel
from agents.analyzer.detectors import DetectorBoard, DetectorOptions
from agents.analyzer.features import FeatureExtractor
from agents.analyzer.findings import Reporter, View
from agents.analyzer.outgoing import OwnHosts
from ontology.records import Address, Alert, ConnectionBatch

SHIPPED_MODEL = Path(__file__).with_name("model.npz")
"""Trained by ``ontoidps train`` from ``datasets/samples``."""


def load_model(path: Path = SHIPPED_MODEL) -> ClusterModel:
    """The shipped model, or another. Raises: ModelError."""
    return ClusterModel.load(path)


class AnalyzerCore:
    """Clusters every connection and runs the detectors over it.

    Repeatable: the same batches give the same alerts with the same ids.
    """

    def __init__(
        self,
        model: ClusterModel,
        *,
        analyzer: str,
        honeypots: Iterable[Address] = (),
        protected: Iterable[Address] = (),
        detectors: Sequence[str] | None = None,
    ) -> None:
        """``honeypots``, ``protected``: own addresses; attacks by them are told as outgoing.

        ``detectors``: names of plug-ins; by default all of ours.
        """
        options = DetectorOptions(honeypots=tuple(honeypots), protected=tuple(protected))
        self._features = FeatureExtractor()
        self._model = model
        self._reporter = Reporter(model, analyzer)
        self._own_hosts = OwnHosts(options.honeypots, options.protected)
        self._board = DetectorBoard(options, detectors)
        self.connections = 0
        """Connections seen."""

    def on_batch(self, batch: ConnectionBatch) -> list[Alert]:
        """Alerts that ``batch`` brings about, in order of their ``begin_us``."""
        rows: NDArray[np.void] = batch.connections
        if not len(rows):
            return []
        self.connections += len(rows)
        self._reporter.sensor = batch.sensor
        view = View(rows, self._model.assign(self._features.extract(rows)))
        found = self._board.on_view(view, self._reporter)
        alerts = [self._own_hosts.judge(alert) for alert in found]
        return sorted(alerts, key=lambda alert: (alert.begin_us, alert.id))

    def counters(self) -> dict[str, int]:
        """Work done and state forgotten, by name."""
        out = {
            "connections": self.connections,
            "window_cut": self._features.cut,
            "own_host_alerts": self._own_hosts.renamed,
        }
        return out | self._board.counters()
