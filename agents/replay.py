"""Offline use: the same cores as the agents', joined without XMPP, on the captures' own time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agents.analyzer.clustering import ClusterModel
from agents.analyzer.core import AnalyzerCore
from agents.correlation.engine import CorrelationEngine
from agents.sensor.core import SensorCore
from agents.settings import Policy
from datasets.pcap import RawPackets, read_capture
from ontology.reasoner.inferences import Reasoner
from ontology.records import Alert, ConnectionBatch, Decision, HostProfile, Incident

# Small enough that alerts come out while a long capture is still being read, and memory stays flat;
# large enough for the vectorised decoder.
BLOCK_BYTES = 1 << 20


@dataclass(slots=True)
class Totals:
    """What one capture held."""

    packets: int = 0
    malformed: int = 0
    connections: int = 0
    alerts: int = 0
    incidents: int = 0
    decisions: int = 0


class Replay:
    """One run of all cores. Not thread-safe.

    Args:
        reasoner: a started or startable `PelletWorker`; only called when there are alerts.
        hosts: what is known of hosts (honeypots, own addresses).
        policy: allow-list, minimum severity and duration, as live.
    """

    def __init__(
        self,
        model: ClusterModel,
        reasoner: Reasoner,
        *,
        hosts: tuple[HostProfile, ...] = (),
        policy: Policy | None = None,
    ) -> None:
        self.totals = Totals()
        self._told: dict[str, Alert] = {}
        pots = [host.address for host in hosts if "Honeypot" in host.roles]
        self._sensor = SensorCore("replay", repeatable=True)
        self._analyzer = AnalyzerCore(model, analyzer="replay", honeypots=pots)
        self._engine = CorrelationEngine(
            hosts,
            policy or Policy(),
            origin="replay",
            reasoner=reasoner,
            # Nobody waits for an answer here; a slow machine must not change the result.
            reason_timeout_s=60.0,
        )

    def capture(self, path: Path) -> Iterator[Alert | Incident | Decision]:
        """Alerts, incidents and decisions, in the order in which they arise.

        The senior (fused) alerts that an incident names come just before it, each once and again
        when it has grown; `Totals.alerts` counts the original ones only.

        Raises: CaptureError (a ValueError) if the file can't be read; what came before it counts.
        """
        for raw in read_capture(path, block_bytes=BLOCK_BYTES):
            yield from self._packets(raw)

    def finish(self) -> Iterator[Alert | Incident | Decision]:
        """End of the traffic: what is still open is reported."""
        yield from self._batches(self._sensor.take_batches(self._sensor.last_us, final=True))

    def _packets(self, raw: RawPackets) -> Iterator[Alert | Incident | Decision]:
        self._sensor.on_packets(raw)
        yield from self._batches(self._sensor.take_batches(self._sensor.last_us))

    def _batches(self, batches: list[ConnectionBatch]) -> Iterator[Alert | Incident | Decision]:
        totals = self.totals
        for batch in batches:
            totals.packets += batch.packets
            totals.malformed += batch.malformed
            totals.connections += len(batch.connections)
            alerts = self._analyzer.on_batch(batch)
            totals.alerts += len(alerts)
            yield from alerts
            if not alerts:
                continue
            # Correlation's clock is the capture's: a replay tomorrow decides as one today.
            for record in self._engine.on_alerts(alerts, max(alert.end_us for alert in alerts)):
                if isinstance(record, Incident):
                    totals.incidents += 1
                    yield from self._seniors(record)
                else:
                    totals.decisions += 1
                yield record

    def _seniors(self, incident: Incident) -> Iterator[Alert]:
        for alert in self._engine.alerts_of(incident):
            if self._told.get(alert.id) != alert:
                self._told[alert.id] = alert
                yield alert
