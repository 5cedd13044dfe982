"""Offline use: the same cores as the agents', joined without XMPP, on the captures' own time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from agents.analyzer.clustering import ClusterModel
from agents.analyzer.core import AnalyzerCore
from agents.correlation.engine import CorrelationEngine
from agents.correlation.outcome import Outcome
from agents.correlation.reasoning import Submit
from agents.correlation.scenarios import ScenarioTracker
from agents.offline.evidence_folder import EvidenceFolder
from agents.offline.keeper import Keeper
from agents.sensor.core import SensorCore
from agents.sensor.grounds import Ground
from agents.sensor.inputs.events import Parser
from agents.sensor.inputs.intake import Intake
from agents.sensor.inputs.log_files import read_lines
from agents.sensor.sides import SideJudge
from agents.sensor.signatures.alerts import SignatureAlerts
from agents.sensor.tunnel_trust import TunnelTrust
from agents.settings.honeynet import Policy
from agents.settings.source_sections import KnownSources
from datasets.captures.pcap import RawPackets, read_capture
from ontology.chainer.joins import Joins
from ontology.reasoner.inferences import Reasoner
from ontology.records import Alert, ConnectionBatch, Decision, HostEvent, HostProfile, Incident
from ontology.rule_outcomes import Outcomes
from rules.scenarios.compile import Compiled

# Small enough that alerts come out while a long capture is still being read, and memory stays flat;
# as large as in `benchmarks/bench_packets.py`, so that what a block costs by itself hardly counts.
BLOCK_BYTES = 8 << 20


@dataclass(slots=True)
class Totals:
    """What one capture held."""

    packets: int = 0
    malformed: int = 0
    forged: int = 0
    """Packets that came from outside in the name of an own host."""
    out_of_window: int = 0
    """Segments that are no part of the proven conversation of their ends."""
    unread: Counter[str] = field(default_factory=Counter)
    """Packets in a layer that can't be read, by its name."""
    unopened: Counter[str] = field(default_factory=Counter)
    """The same of packets inside tunnels."""
    unverified_tunnels: int = 0
    """Packets that came in tunnels of nobody known, and verify nothing."""
    malformed_kinds: Counter[str] = field(default_factory=Counter)
    other: int = 0
    """Frames of protocols that carry nobody's traffic."""
    one_sided: bool = False
    """One direction of connections only was captured: nothing in it is verified."""
    connections: int = 0
    lines: int = 0
    host_events: int = 0
    refused: int = 0
    """Lines of a log that could not be used …"""
    why_refused: str = ""
    """… of the last log, and why, with an example of each reason."""
    nothing_read: str = ""
    """Why nothing could be read of the last log at all; empty if something was."""
    alerts: int = 0
    incidents: int = 0
    decisions: int = 0

    @property
    def decoded(self) -> int:
        """Packets of which addresses are known."""
        left_out = self.malformed_kinds.total() + self.unread.total() + self.other
        return self.packets - left_out


class Replay:
    """One run of all cores. Not thread-safe.

    Args:
        reasoner: a started or startable `PelletWorker`; only called when there are alerts.
        submit: takes windows to that reasoner without waiting for it.
        joins: which alerts can meet in its rules; None if that is not known.
        hosts: what is known of hosts (honeypots, own addresses).
        policy: allow-list, minimum severity and duration, as live.
        signatures: rules that are matched besides the detectors.
        outside: captures were taken on the strangers' side, where ``hosts`` can be forged.
        tunnels: see `TunnelTrust`; without any a capture that is all a mirror's is known as such.
        evidence: keeps the packets that alerts rest on.
        sources: what is known of sources.
        models: attack models; the shipped ones by default.
        outcomes: what becomes of each rule's conclusions; the shipped rules' by default.
    """

    def __init__(
        self,
        model: ClusterModel,
        reasoner: Reasoner,
        *,
        submit: Submit | None = None,
        hosts: tuple[HostProfile, ...] = (),
        policy: Policy | None = None,
        signatures: SignatureAlerts | None = None,
        joins: Joins | None = None,
        reads: Set[str] = frozenset(),
        outside: bool = False,
        tunnels: TunnelTrust | None = None,
        evidence: EvidenceFolder | None = None,
        sources: Sequence[KnownSources] = (),
        models: Compiled | None = None,
        outcomes: Outcomes | None = None,
    ) -> None:
        self._signatures = signatures
        self._evidence = evidence
        self.totals = Totals()
        self._shown: dict[str, Alert] = {}
        self._keeper = Keeper()
        pots = [host.address for host in hosts if "Honeypot" in host.roles]
        own = [host.address for host in hosts]
        ground = Ground(frozenset(), own) if outside else None
        self._sensor = SensorCore(
            "replay",
            repeatable=True,
            judge=SideJudge(assumed=ground),
            tunnels=tunnels,
            evidence=None if evidence is None else evidence.marked,
        )
        self._analyzer = AnalyzerCore(model, analyzer="replay", honeypots=pots, protected=own)
        self._engine = CorrelationEngine(
            hosts,
            policy or Policy(),
            origin="replay",
            reasoner=reasoner,
            submit=submit,
            joins=joins,
            reads=reads,
            sources=sources,
            scenarios=None if models is None else ScenarioTracker(models),
            outcomes=outcomes,
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

    def log(self, path: Path, parser: Parser) -> Iterator[Alert | Incident | Decision]:
        """The same for a log of another tool.

        Time stamps after the file was last written are refused, those without a year are before.

        Raises: ValueError, OSError if the file can't be read; what came before it counts.
        """
        now_us = int(path.stat().st_mtime_ns // 1000)
        intake = Intake(parser, sensor="replay")
        self.totals.why_refused = self.totals.nothing_read = ""
        before = Totals(lines=self.totals.lines, refused=self.totals.refused)
        for number, lines in enumerate(
            read_lines(path, record_bytes=getattr(parser, "record_bytes", 0))
        ):
            records = intake.on_lines(lines, f"{path.name}:{number}", now_us)
            self.totals.lines = before.lines + intake.counters["lines"]
            self.totals.refused = before.refused + intake.counters["refused"]
            if self._evidence is not None:
                self._evidence.keep(intake.packets.take())
            yield from self._batches([r for r in records if isinstance(r, ConnectionBatch)])
            yield from self._others([r for r in records if isinstance(r, Alert)])
            yield from self._happened([r for r in records if isinstance(r, HostEvent)])
        self.totals.why_refused = intake.refusals()
        self.totals.nothing_read = intake.trouble()

    def finish(self) -> Iterator[Alert | Incident | Decision]:
        """End of the traffic: what is still open is reported."""
        yield from self._batches(self._sensor.take_batches(self._sensor.last_us, final=True))
        self.totals.one_sided = self._sensor.one_sided
        if self._signatures is not None:
            yield from self._others(self._signatures.finish())
        yield from self._alerts(self._analyzer.release(self._sensor.last_us, final=True))

    def _packets(self, raw: RawPackets) -> Iterator[Alert | Incident | Decision]:
        raw = self._sensor.on_packets(raw)
        self._count()
        yield from self._batches(self._sensor.take_batches(self._sensor.last_us))
        yield from self._others(self._sensor.take_alerts())
        if self._signatures is not None and len(raw):
            yield from self._others(self._signatures.on_packets(raw))
        if self._evidence is not None:
            self._evidence.keep()

    def _count(self) -> None:
        totals, counters = self.totals, self._sensor.counters
        totals.forged = counters["forged"]
        totals.out_of_window = counters["out_of_window"]
        totals.unverified_tunnels = counters["unverified_tunnels"]
        totals.other = counters["other"]
        for name, layers in (
            ("unread.", totals.unread),
            ("unopened.", totals.unopened),
            ("malformed.", totals.malformed_kinds),
        ):
            for key, count in counters.items():
                if key.startswith(name):
                    layers[key.removeprefix(name)] = count

    def _batches(self, batches: list[ConnectionBatch]) -> Iterator[Alert | Incident | Decision]:
        totals = self.totals
        for batch in batches:
            totals.packets += batch.packets
            totals.malformed += batch.malformed
            totals.connections += len(batch.connections)
            yield from self._alerts(self._analyzer.on_batch(batch))

    def _happened(self, events: list[HostEvent]) -> Iterator[Alert | Incident | Decision]:
        """What a host recorded, as a live analyzer takes it."""
        if events:
            self.totals.host_events += len(events)
            now_us = max(event.begin_us for event in events)
            yield from self._alerts(self._analyzer.on_host_events(events, now_us))

    def _others(self, alerts: list[Alert]) -> Iterator[Alert | Incident | Decision]:
        """Alerts that no detector found, as a live analyzer passes them on."""
        if alerts:
            now_us = max(alert.end_us for alert in alerts)
            yield from self._alerts(self._analyzer.on_alerts(alerts, now_us))

    def _alerts(self, alerts: list[Alert]) -> Iterator[Alert | Incident | Decision]:
        if not alerts:
            return
        totals = self.totals
        totals.alerts += len(alerts)
        yield from alerts
        # Correlation's clock is the capture's: a replay tomorrow decides as one today.
        now_us = max(alert.end_us for alert in alerts)
        keeper = self._keeper
        self._engine.on_blocks(keeper.end(now_us), now_us)
        outcomes = self._engine.on_alerts(alerts, now_us)
        # What is carried out at once is in force when the incidents are shown.
        orders = [[d for d in outcome.decisions if keeper.take(d)] for outcome in outcomes]
        reports = [keeper.report(d) for some in orders for d in some]
        changed = {o.incident.id: o for o in self._engine.on_blocks(reports, now_us)}
        for outcome, decisions in zip(outcomes, orders, strict=True):
            yield from self._seniors(outcome)
            yield changed.get(outcome.incident.id, outcome).incident
            yield from decisions
            totals.incidents += 1
            totals.decisions += len(decisions)

    def _seniors(self, outcome: Outcome) -> Iterator[Alert]:
        for alert in outcome.alerts:
            if self._shown.get(alert.id) != alert:
                self._shown[alert.id] = alert
                yield alert
