"""The analyzer agent: batches from its node's sensor in, alerts to whoever subscribed.

What its clusters are called it hears from the ontology agent (`agents.analyzer.naming`).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cachetools import LRUCache

from agents.analyzer.core import AnalyzerCore, load_model
from agents.analyzer.drift import GuardedDrift
from agents.analyzer.drift_file import load_drift, save_drift
from agents.analyzer.naming import KeptNames, NamingError, model_digest, names_for
from agents.base import AgentContext, BaseAgent
from agents.base.losses import Loss
from agents.base.subscriptions import SAVE_AGAIN_S, Subscribers
from agents.clock import now_us
from agents.knowledge.following import ontology_agent_of
from agents.messages.acl import AclMessage
from agents.settings.honeynet import Node
from ontology.records import (
    Address,
    Alert,
    ConnectionBatch,
    HostEvent,
    OntologyChanged,
    Record,
    Subscription,
    TrafficCluster,
)

logger = logging.getLogger(__name__)

ALERTS_PER_MESSAGE = 50
"""A Turtle fragment of 50 alerts stays well below the 200 kB of a stanza."""
MAX_WAITING = 10_000
"""Verified alerts kept while nobody subscribes; the oldest go first, counted."""
MAX_UNVERIFIED = 2_000
"""The same of others."""


WISH_LIMIT_S = 60
ARCHIVE_LIMIT_S = 600
ARCHIVE_PENDING = 100
"""Messages not yet acknowledged, beyond which host events are not archived."""
RELEASE_S = 0.5
"""How often outgoing alerts that wait for their process are looked at."""
MAX_SEEN = 4096
"""Ids of records from the sensor that are remembered."""


@dataclass(frozen=True, slots=True)
class Detection:
    """What a started analyzer works with."""

    core: AnalyzerCore
    drift: GuardedDrift | None
    subscribers: Subscribers
    kept_names: KeptNames
    digest: str
    """Of the model."""
    clusters: int


class AnalyzerAgent(BaseAgent[Detection]):
    """Clusters and detects; its state of detection lives in `AnalyzerCore` and dies with it."""

    role = "analyzer"
    services = ("detection",)
    losses = (
        Loss("dropped_by_sensor", "packets that the sensor lost", "packets"),
        Loss("alerts_lost_unsubscribed", "alerts lost: nobody had subscribed"),
        Loss("host_events_unarchived", "host events not archived, too many messages waited"),
        Loss("crowded", "unverified alerts told as crowds only, too many came"),
        Loss("crowd_refused", "unverified alerts of too many classes left out"),
        Loss("detector.*.errors", "detector {} failed"),
        Loss("*_held_back", "alerts held back: {}"),
        Loss("crowded", "unverified connections and alerts told as crowds, not one by one"),
        Loss("crowd_refused", "unverified alerts left out, of too many classes"),
    )

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self._names_of_us = 0
        self._waiting: deque[Alert] = deque(maxlen=MAX_WAITING)
        """Verified ones."""
        self._unverified: deque[Alert] = deque(maxlen=MAX_UNVERIFIED)
        # A sensor that crashed reads the last lines of a log again and sends them with the ids they
        # had. The core would count them twice; it dies with this memory, so nothing need be kept.
        self._seen: LRUCache[str, None] = LRUCache(MAX_SEEN)

    async def on_start(self) -> Detection:
        """Load the model and what people call its clusters; ask for news of that."""
        settings, state_dir = self.context.settings, self.context.state_dir
        model = await asyncio.to_thread(load_model)
        drift = (
            load_drift(state_dir / "drift.npz", model) if settings.analyzer.follow_drift else None
        )
        core = AnalyzerCore(
            model,
            analyzer=self.context.jid,
            honeypots=[pot.address for pot in settings.honeypot],
            drift=drift,
            detectors=settings.node_named(self.node).detectors,
            protected=[address for node in settings.node for address in node.addresses],
            reporting=_reporting(settings.node_named(self.node)),
        )
        detection = Detection(
            core,
            drift,
            Subscribers(state_dir / "subscribers.json", self.conditions),
            KeptNames(state_dir / "cluster-names.ttl"),
            model_digest(model),
            len(model.labels),
        )
        self._take_names(detection, await asyncio.to_thread(detection.kept_names.load))
        self.spawn(self._ask_for_names(), name="question for names")
        self.every(RELEASE_S, self._release, name="processes")
        self.every(SAVE_AGAIN_S, detection.subscribers.save_again, name="subscribers")
        return detection

    async def _ask_for_names(self) -> None:
        wish = Subscription(id=uuid.uuid4().urn, topic="TrafficCluster")
        await self.send(
            ontology_agent_of(self.settings, self.node),
            "subscribe",
            [wish],
            protocol="fipa-subscribe",
            # One that starts later announces them unasked.
            within_s=WISH_LIMIT_S,
        )

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        await self._pass_on(self._vouched(message, [r for r in records if isinstance(r, Alert)]))
        await self._on_host_events([r for r in records if isinstance(r, HostEvent)])
        running = self.running
        if any(isinstance(r, TrafficCluster) for r in records) and self._take_names(
            running, records
        ):
            await asyncio.to_thread(running.kept_names.save, records)
        for record in records:
            if isinstance(record, ConnectionBatch):
                await self._on_batch(record)
            elif isinstance(record, Alert | HostEvent | TrafficCluster | OntologyChanged):
                continue
            elif isinstance(record, Subscription):
                if message.performative in ("agree", "refuse"):
                    continue
                await self._on_subscription(message, record)
            else:
                raise ValueError(f"an analyzer has no use for {type(record).__name__}")

    def _take_names(self, detection: Detection, records: Sequence[Record]) -> bool:
        """Call the clusters as the ontology agent says; False if that is not for us, or old."""
        changed_us = max(
            (r.changed_us for r in records if isinstance(r, OntologyChanged)), default=0
        )
        clusters = [r for r in records if isinstance(r, TrafficCluster)]
        if not clusters:
            return False
        if changed_us < self._names_of_us:
            # Two announcements overtook each other; each holds all names.
            self.counters["names_outdated"] += 1
            return False
        try:
            labels, names = names_for(clusters, digest=detection.digest, count=detection.clusters)
        except NamingError as e:
            self.counters["names_refused"] += 1
            logger.error("%s", e)
            return False
        detection.core.set_names(labels, names)
        self._names_of_us = changed_us
        self.counters["names_taken"] += 1
        logger.info("%d clusters, %d of them named by people", len(names), sum(map(bool, names)))
        return True

    def _vouched(self, message: AclMessage, alerts: list[Alert]) -> list[Alert]:
        """A console that somebody has taken can't have anybody blocked, unless the operator vouches
        for one of the managers whose alerts it hands on."""
        if message.sender not in self.settings.jids("console") or any(
            manager.verified for manager in self.settings.manager
        ):
            return alerts
        return [replace(alert, verified_source=False) for alert in alerts]

    async def _pass_on(self, alerts: Sequence[Alert]) -> None:
        """Alerts that another tool raised, read by the sensor (docs/inputs.md)."""
        alerts = [a for a in alerts if a.id not in self._seen]
        if not alerts:
            return
        told = self.running.core.on_alerts(alerts, now_us())
        await self._publish(told)
        self.counters["alerts_passed_on"] += len(told)
        for alert in told:
            logger.info("passed on: %s from %s", alert.classification, alert.source)
        for alert in alerts:
            self._remember(alert.id)

    async def _on_host_events(self, events: Sequence[HostEvent]) -> None:
        """What the sensor read in logs of hosts: for explanations, rules and the archive."""
        events = [event for event in events if event.id not in self._seen]
        if not events:
            return
        await self._publish(self.running.core.on_host_events(events, now_us()))
        self.counters["host_events"] += len(events)
        archive = ontology_agent_of(self.settings, self.node)
        if self.pending > ARCHIVE_PENDING:
            # Nobody's decision hangs on these: they never hold alerts up.
            self.counters["host_events_unarchived"] += len(events)
        elif archive:
            await self.send(
                archive, "inform", events, protocol="fipa-subscribe", within_s=ARCHIVE_LIMIT_S
            )
        for event in events:
            self._remember(event.id)

    async def _release(self) -> None:
        await self._publish(self.running.core.release(now_us()))

    async def on_stop(self) -> None:
        """Say what still waits for an explanation."""
        await self._publish(self.running.core.release(now_us(), final=True))

    def _remember(self, name: str) -> None:
        self._seen[name] = None

    async def _on_batch(self, batch: ConnectionBatch) -> None:
        core, drift = self.running.core, self.running.drift
        if batch.id in self._seen:
            self.counters["repeats"] += 1
            return
        # Messages are handled one at a time, so the core is never entered twice.
        before = drift.revision if drift is not None else 0
        alerts = await asyncio.to_thread(core.on_batch, batch)
        if drift is not None and drift.revision != before:
            await asyncio.to_thread(save_drift, self.context.state_dir / "drift.npz", drift)
        self.counters["batches"] += 1
        self.counters["packets"] += batch.packets
        self.counters["dropped_by_sensor"] += batch.dropped
        self.counters["alerts"] += len(alerts)
        self.counters.update({k: v - self.counters[k] for k, v in core.counters().items()})
        for alert in alerts:
            values = (alert.classification, alert.source, alert.target, alert.explanation)
            if alert.verified_source:
                logger.info("%s from %s to %s: %s", *values)
            else:
                # Another kind of line: a flood of these leaves out none of the others.
                logger.info("%s from %s (not verified) to %s: %s", *values)
        await self._publish(alerts)
        self._remember(batch.id)

    async def _on_subscription(self, message: AclMessage, record: Subscription) -> None:
        subscribers = self.running.subscribers
        if record.topic != "Alert":
            raise ValueError(f"an analyzer offers Alert, not {record.topic!r}")
        if message.performative == "cancel":
            subscribers.remove(message.sender, "Alert")
        elif subscribers.add(message.sender, "Alert"):
            logger.info("%s subscribes to alerts", message.sender)
        await self.reply(message, "agree", [record])
        waiting = [*self._waiting, *self._unverified]
        if waiting and subscribers.to("Alert"):
            await self._publish(waiting)
            # Only now: had sending failed, the subscriber's retry would bring us here again.
            self._waiting.clear()
            self._unverified.clear()

    async def _publish(self, alerts: Sequence[Alert]) -> None:
        """Verified ones first, in messages of their own: others hold up none of them."""
        subscribers = self.running.subscribers.to("Alert")
        for kept, verified in ((self._waiting, True), (self._unverified, False)):
            own = [alert for alert in alerts if alert.verified_source == verified]
            if not subscribers:
                lost = max(len(kept) + len(own) - (kept.maxlen or 0), 0)
                self.counters["alerts_lost_unsubscribed"] += lost
                kept.extend(own)
                continue
            for begin in range(0, len(own), ALERTS_PER_MESSAGE):
                part = own[begin : begin + ALERTS_PER_MESSAGE]
                await self.send_many(subscribers, "inform", part, protocol="fipa-subscribe")
                await asyncio.sleep(0)  # there may be thousands, each message takes milliseconds


def _reporting(node: Node) -> list[Address]:
    """Hosts whose audit log the node's sensor reads: those of its inputs, else itself."""
    found: list[Address] = []
    for entry in node.inputs:
        if entry.kind == "audit":
            found += entry.address or node.addresses
    return found
