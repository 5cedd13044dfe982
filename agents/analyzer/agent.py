"""The analyzer agent: batches from its node's sensor in, alerts to whoever subscribed.

What its clusters are called it hears from the ontology agent (`agents.analyzer.naming`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import uuid
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from agents.analyzer.core import AnalyzerCore, load_model
from agents.analyzer.drift import GuardedDrift
from agents.analyzer.drift_file import load_drift, save_drift
from agents.analyzer.naming import KeptNames, NamingError, model_digest, names_for
from agents.base import AgentContext, BaseAgent
from agents.clock import now_us
from agents.messages.acl import AclMessage
from ontology.records import (
    Alert,
    ConnectionBatch,
    OntologyChanged,
    Record,
    Subscription,
    TrafficCluster,
)

logger = logging.getLogger(__name__)

ALERTS_PER_MESSAGE = 50
"""A Turtle fragment of 50 alerts stays well below the 200 kB of a stanza."""
MAX_WAITING = 10_000
"""Alerts kept while nobody subscribes; the oldest go first, counted."""


WISH_LIMIT_US = 60_000_000
MAX_SEEN = 4096
"""Ids of records from the sensor that are remembered."""


class Subscribers:
    """Bare JIDs in a file, so that a restarted analyzer need not be asked again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: list[str] = []
        if path.exists():
            try:
                names = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as e:
                # They will subscribe again; refusing to start would stop detection over a list.
                logger.warning("%s is unreadable, starting without subscribers: %s", path, e)
                names = []
            if isinstance(names, list):
                self._names = [name for name in names if isinstance(name, str)]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._names))

    def __len__(self) -> int:
        return len(self._names)

    def add(self, name: str) -> bool:
        """True if it is new."""
        if name in self._names:
            return False
        self._save([*self._names, name])
        return True

    def remove(self, name: str) -> None:
        """Does nothing if it isn't there."""
        self._save([known for known in self._names if known != name])

    def _save(self, names: list[str]) -> None:
        partial = self._path.with_suffix(".new")
        partial.write_text(json.dumps(names), encoding="utf-8")
        os.replace(partial, self._path)
        self._names = names


class AnalyzerAgent(BaseAgent):
    """Clusters and detects; its state of detection lives in `AnalyzerCore` and dies with it."""

    role = "analyzer"
    services = ("detection",)

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self._core: AnalyzerCore | None = None
        self._drift: GuardedDrift | None = None
        self._subscribers: Subscribers | None = None
        self._kept_names: KeptNames
        self._digest, self._clusters, self._names_of_us = "", 0, 0
        self._waiting: deque[Alert] = deque(maxlen=MAX_WAITING)
        # A sensor that crashed reads the last lines of a log again and sends them with the ids they
        # had. The core would count them twice; it dies with this memory, so nothing need be kept.
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def on_start(self) -> None:
        settings = self.context.settings
        self._subscribers = Subscribers(self.context.state_dir / "subscribers.json")
        model = await asyncio.to_thread(load_model)
        if settings.analyzer.follow_drift:
            self._drift = load_drift(self.context.state_dir / "drift.npz", model)
        self._core = AnalyzerCore(
            model,
            analyzer=self.context.jid,
            honeypots=[pot.address for pot in settings.honeypot],
            drift=self._drift,
            detectors=settings.node_named(self.node).detectors,
            protected=[address for node in settings.node for address in node.addresses],
        )
        self._digest, self._clusters = model_digest(model), len(model.labels)
        self._kept_names = KeptNames(self.context.state_dir / "cluster-names.ttl")
        self._use_names(await asyncio.to_thread(self._kept_names.load))
        self.spawn(self._ask_for_names(), name="question for names")

    async def _ask_for_names(self) -> None:
        for ontology in self.settings.jids("ontology"):
            wish = Subscription(id=uuid.uuid4().urn, topic="TrafficCluster")
            # One that starts later tells us unasked.
            limit = now_us() + WISH_LIMIT_US
            await self.send(
                ontology, "subscribe", [wish], protocol="fipa-subscribe", reply_by_us=limit
            )

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        await self._pass_on([r for r in records if isinstance(r, Alert)])
        if any(isinstance(r, TrafficCluster) for r in records) and self._use_names(records):
            await asyncio.to_thread(self._kept_names.save, records)
        for record in records:
            if isinstance(record, ConnectionBatch):
                await self._on_batch(record)
            elif isinstance(record, Alert | TrafficCluster | OntologyChanged):
                continue
            elif isinstance(record, Subscription):
                if message.performative in ("agree", "refuse"):
                    continue
                await self._on_subscription(message, record)
            else:
                raise ValueError(f"an analyzer has no use for {type(record).__name__}")

    def _use_names(self, records: Sequence[Record]) -> bool:
        """Call the clusters as the ontology agent says; False if that is not for us, or old."""
        if self._core is None:
            raise RuntimeError("the analyzer has not started")
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
            labels, names = names_for(clusters, digest=self._digest, count=self._clusters)
        except NamingError as e:
            self.counters["names_refused"] += 1
            logger.error("%s", e)
            return False
        self._core.use_names(labels, names)
        self._names_of_us = changed_us
        self.counters["names_taken"] += 1
        logger.info("%d clusters, %d of them named by people", len(names), sum(map(bool, names)))
        return True

    async def _pass_on(self, alerts: Sequence[Alert]) -> None:
        """Alerts that another tool raised, read by the sensor (docs/inputs.md)."""
        alerts = [a for a in alerts if a.id not in self._seen]
        await self._publish([replace(alert, analyzer=self.context.jid) for alert in alerts])
        self.counters["alerts_passed_on"] += len(alerts)
        for alert in alerts:
            logger.info("passed on: %s from %s", alert.classification, alert.source)
            self._remember(alert.id)

    def _remember(self, name: str) -> None:
        self._seen[name] = None
        if len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)

    async def _on_batch(self, batch: ConnectionBatch) -> None:
        if self._core is None:
            raise RuntimeError("the analyzer has not started")
        if batch.id in self._seen:
            self.counters["repeats"] += 1
            return
        # Messages are handled one at a time, so the core is never entered twice.
        before = self._drift.revision if self._drift is not None else 0
        alerts = await asyncio.to_thread(self._core.on_batch, batch)
        if self._drift is not None and self._drift.revision != before:
            await asyncio.to_thread(save_drift, self.context.state_dir / "drift.npz", self._drift)
        self.counters["batches"] += 1
        self.counters["packets"] += batch.packets
        self.counters["dropped_by_sensor"] += batch.dropped
        self.counters["alerts"] += len(alerts)
        self.counters.update({k: v - self.counters[k] for k, v in self._core.counters().items()})
        for alert in alerts:
            logger.info(
                "%s from %s to %s: %s",
                alert.classification,
                alert.source,
                alert.target,
                alert.explanation,
            )
        await self._publish(alerts)
        self._remember(batch.id)

    async def _on_subscription(self, message: AclMessage, record: Subscription) -> None:
        if self._subscribers is None:
            raise RuntimeError("the analyzer has not started")
        if record.topic != "Alert":
            raise ValueError(f"an analyzer offers Alert, not {record.topic!r}")
        if message.performative == "cancel":
            self._subscribers.remove(message.sender)
        elif self._subscribers.add(message.sender):
            logger.info("%s subscribes to alerts", message.sender)
        await self.reply(message, "agree", [record])
        if self._waiting and len(self._subscribers):
            waiting = list(self._waiting)
            await self._publish(waiting)
            # Only now: had sending failed, the subscriber's retry would bring us here again.
            self._waiting.clear()

    async def _publish(self, alerts: Sequence[Alert]) -> None:
        subscribers = self._subscribers
        if subscribers is None or not len(subscribers):
            lost = max(len(self._waiting) + len(alerts) - MAX_WAITING, 0)
            self.counters["alerts_lost_unsubscribed"] += lost
            self._waiting.extend(alerts)
            return
        for begin in range(0, len(alerts), ALERTS_PER_MESSAGE):
            part = alerts[begin : begin + ALERTS_PER_MESSAGE]
            for name in subscribers:
                await self.send(name, "inform", part, protocol="fipa-subscribe")
