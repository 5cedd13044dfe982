"""The analyzer's core: batches of connections in, alerts out. Pure: time comes with the packets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from agents.analyzer.clustering import ClusterModel
from agents.analyzer.detectors import DetectorBoard, DetectorOptions
from agents.analyzer.drift import GuardedDrift
from agents.analyzer.features import FeatureExtractor
from agents.analyzer.findings import Reporter, View
from agents.analyzer.host_processes import HostProcesses
from agents.analyzer.installations import Installations
from agents.analyzer.outgoing import OwnHosts
from ontology.records import Address, Alert, ConnectionBatch, HostEvent

SHIPPED_MODEL = Path(__file__).with_name("model.npz")
"""Trained by ``ontoidps train`` from ``datasets/samples``."""


_POOLS = ThreadpoolController()


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
        drift: GuardedDrift | None = None,
        reporting: Iterable[Address] = (),
    ) -> None:
        """``honeypots``, ``protected``: own addresses; attacks by them get outgoing classes.

        ``detectors``: names of plug-ins; by default all of ours.
        ``reporting``: hosts whose audit log is read: outgoing alerts of them wait for its events.
        ``drift``: of ``model``; None: its centres stay where training put them.
        """
        options = DetectorOptions(honeypots=tuple(honeypots), protected=tuple(protected))
        self._features = FeatureExtractor()
        self._drift = drift
        self._model = model if drift is None else drift.moved(model)
        self._reporter = Reporter(self._model, analyzer)
        self._own_hosts = OwnHosts(options.honeypots, options.protected)
        self._processes = HostProcesses(reporting)
        self._installations = Installations(options.honeypots, analyzer)
        self._board = DetectorBoard(options, detectors)
        self.connections = 0
        """Connections seen."""

    def on_batch(self, batch: ConnectionBatch) -> list[Alert]:
        """Alerts that ``batch`` brings about, in order of their ``begin_us``."""
        rows: NDArray[np.void] = batch.connections
        if not len(rows):
            return []
        # On products as small as ours a second BLAS thread only waits, at full speed: twice the
        # CPU time of all that follows.
        with _POOLS.limit(limits=1, user_api="blas"):
            return self._judge(rows, batch.sensor)

    def _judge(self, rows: NDArray[np.void], sensor: str) -> list[Alert]:
        self.connections += len(rows)
        self._reporter.sensor = sensor
        features = self._features.extract(rows)
        view = View(rows, self._model.assign(features), features)
        self._reporter.on_view(view)
        found = self._board.on_view(view, self._reporter)
        if self._drift is not None and self._drift.on_view(view, found, self._model):
            self._model = self._drift.moved(self._model)
            self._reporter.model = self._model
        return self._told([self._own_hosts.judge(alert) for alert in found], self._reporter.now_us)

    def on_alerts(self, alerts: Iterable[Alert], now_us: int) -> list[Alert]:
        """What is passed on of alerts that another tool or the sensor itself raised: unverified
        ones beyond their budget are counted in crowds, like our own.

        Args:
            now_us: epoch microseconds.
        """
        analyzer = self._reporter.analyzer
        return self._told([replace(alert, analyzer=analyzer) for alert in alerts], now_us)

    def on_host_events(self, events: Sequence[HostEvent], now_us: int) -> list[Alert]:
        """What hosts recorded of themselves: alerts that follow from it, and those of before whose
        process is known now.

        Args:
            now_us: epoch microseconds.
        """
        self._processes.take(events)
        found = self._installations.on_events(events)
        ready = self._processes.release(waited=False)
        return self._told(found, now_us) + self._passed(ready, now_us)

    def release(self, now_us: int, *, final: bool = False) -> list[Alert]:
        """Outgoing alerts that waited for what their host says of its processes, and go on now;
        call it twice a second. ``final``: all of them."""
        return self._passed(self._processes.release(final=final), now_us)

    def _told(self, alerts: list[Alert], now_us: int) -> list[Alert]:
        return self._passed(self._processes.name(alerts), now_us, ask=True)

    def _passed(self, alerts: list[Alert], now_us: int, *, ask: bool = False) -> list[Alert]:
        if not alerts and not ask:
            return []
        told = self._reporter.crowds.take(alerts, now_us)
        return sorted(told, key=lambda alert: (alert.begin_us, alert.id))

    def set_names(self, labels: tuple[str, ...], names: tuple[str, ...]) -> None:
        """From the next batch on, call the clusters so (`agents.analyzer.naming.names_for`)."""
        self._model = replace(self._model, labels=labels, names=names)
        self._reporter.model = self._model

    def counters(self) -> dict[str, int]:
        """Work done and state forgotten, by name."""
        out = {
            "connections": self.connections,
            "window_cut": self._features.cut,
            "own_host_alerts": self._own_hosts.renamed,
        }
        if self._reporter.network is not None:
            out["network_asked"] = self._reporter.network.asked
            out["network_unasked"] = self._reporter.network.unasked
        if self._drift is not None:
            out.update(self._drift.counters())
        out |= self._processes.counters
        return out | self._reporter.crowds.counters() | self._board.counters()
