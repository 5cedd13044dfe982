"""The sensor agent: packets of the node's interfaces in, connection batches to its analyzer out."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections import Counter
from typing import ClassVar

from agents.acl import AclMessage
from agents.base import AgentContext, BaseAgent
from agents.clock import now_us
from agents.sensor.capture import Capture, InterfaceMissing
from agents.sensor.core import SensorCore
from agents.sensor.inputs.follower import Follower
from agents.sensor.signature_watch import SignatureWatch
from datasets.pcap import CaptureError, RawPackets
from ontology.records import Alert, ConnectionBatch, Record

logger = logging.getLogger(__name__)

BATCH_S = 0.1
"""How often finished connections are sent."""
QUEUE_BLOCKS = 16
"""Reads of at most 4 MiB between capture and decoding; beyond, packets are dropped and counted."""
_READ_S = 0.2
_REOPEN_S = 1.0
_MAX_REOPEN_S = 30.0
_GATHER_S = 0.05
"""Pause after a small read: decoding costs much the same for one packet as for hundreds."""
_SMALL_READ = 2000
_LAG_US = 100_000
"""A packet may be this old before it comes out of the ring and the queue."""
_KEEP_US = 600_000_000
"""A batch the analyzer has not taken after this is given up."""
INPUT_S = 0.5
"""How often logs of other tools are looked at."""
INPUT_STRETCHES = 8
"""Of 1 MiB, of one log in one turn; the rest waits where it is, on disk."""
INPUT_PENDING = 200
"""Messages not yet acknowledged, beyond which logs wait."""
ALERTS_PER_MESSAGE = 50


class SensorAgent(BaseAgent):
    """Threads capture and decode; the event loop only sends."""

    role: ClassVar[str] = "sensor"
    services: ClassVar[tuple[str, ...]] = ("packets",)

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self._node = context.settings.node_named(context.node)
        self._core = SensorCore(context.settings.jid("sensor", context.node))
        self._analyzer = context.settings.jid("analyzer", context.node)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._blocks: queue.Queue[RawPackets] = queue.Queue(QUEUE_BLOCKS)
        self._threads: list[threading.Thread] = []
        self._followers: list[Follower] = []
        self._signatures: SignatureWatch | None = None
        self.capturing: set[str] = set()
        """Interfaces whose packets arrive just now."""

    async def on_start(self) -> None:
        if self._node.signatures:
            self._signatures = SignatureWatch(
                self._node,
                sensor=self.context.jid,
                honeypots=[pot.address for pot in self.context.settings.honeypot],
            )
            self._signatures.start()
            self.every(INPUT_S, self._send_matches, name="signatures")
        for interface in self._node.interfaces:
            self._begin(self._capture, interface)
        self._begin(self._decode)
        self.every(BATCH_S, self._send_batches, name="batches")
        settings = self.context.settings
        for entry in self._node.inputs:
            self._followers.append(
                Follower(
                    entry,
                    sensor=self.context.jid,
                    state_dir=self.context.state_dir,
                    honeypots=[pot.address for pot in settings.honeypot],
                )
            )
        if self._followers:
            self.every(INPUT_S, self._read_inputs, name="inputs")

    def _begin(self, work: object, *arguments: str) -> None:
        name = f"sensor-{getattr(work, '__name__', '')}"
        thread = threading.Thread(target=work, args=arguments, name=name, daemon=True)  # type: ignore[arg-type]
        thread.start()
        self._threads.append(thread)

    @property
    def core_packets(self) -> int:
        """Packets decoded so far."""
        with self._lock:
            return self._core.counters["packets"]

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """A sensor takes no orders."""
        raise ValueError(f"a sensor does not handle {message.performative}")

    async def on_stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join, 2.0)
        for follower in self._followers:
            await asyncio.to_thread(follower.close)
        if self._signatures is not None:
            await asyncio.to_thread(self._signatures.close)
        with self._lock:
            batches = self._core.take_batches(now_us(), final=True)
        await self._send(batches)
        await self._send_alerts()

    def _capture(self, interface: str) -> None:
        """Capture for as long as the agent runs, through interfaces that go and come back."""
        complained = ""
        delay = _REOPEN_S
        while not self._ended.is_set():
            try:
                with Capture(interface, self._node.capture_filter) as capture:
                    logger.info("capturing on %s", interface)
                    complained, delay = "", _REOPEN_S
                    self.capturing.add(interface)
                    self._read(capture)
            except CaptureError as e:
                self.capturing.discard(interface)
                self.counters["capture_errors"] += 1
                if str(e) != complained:
                    logger.warning("%s; trying again", e)
                    complained = str(e)
                # An interface may come back any moment; the rest needs somebody to mend it.
                missing = isinstance(e, InterfaceMissing)
                delay = _REOPEN_S if missing else min(delay * 2, _MAX_REOPEN_S)
                self._ended.wait(delay)

    def _read(self, capture: Capture) -> None:
        lost = 0
        while not self._ended.is_set():
            raw = capture.read(_READ_S)
            missing = capture.dropped() - lost
            lost += missing
            if len(raw):
                try:
                    self._blocks.put_nowait(raw)
                except queue.Full:
                    missing += len(raw)
            if missing:
                with self._lock:
                    self._core.on_dropped(missing)
            if len(raw) < _SMALL_READ:
                self._ended.wait(_GATHER_S)

    def _decode(self) -> None:
        while not (self._ended.is_set() and self._blocks.empty()):
            try:
                raw = self._blocks.get(timeout=_READ_S)
            except queue.Empty:
                continue
            if self._signatures is not None:
                self._signatures.offer(raw)
            with self._lock:
                self._core.on_packets(raw)

    def _take(self) -> list[ConnectionBatch]:
        # While packets wait, the clock is theirs: time-outs must not overtake them.
        waiting = not self._blocks.empty()
        with self._lock:
            return self._core.take_batches(self._core.last_us if waiting else now_us() - _LAG_US)

    async def _read_inputs(self) -> None:
        totals: Counter[str] = Counter()
        for follower in self._followers:
            for _ in range(INPUT_STRETCHES):
                if self.pending > INPUT_PENDING:
                    break
                records = await asyncio.to_thread(follower.next, now_us())
                if records is None:
                    break
                await self._send_records(records)
                # Everything is in the outbox on disk: only now may the place move.
                await asyncio.to_thread(follower.done)
            totals += follower.counters()
        for name, count in totals.items():
            self.counters[name] = count

    async def _send_matches(self) -> None:
        """Alerts of signatures, as those of other tools' logs."""
        watch = self._signatures
        if watch is None:
            return
        for name, count in watch.counters().items():
            self.counters[name] = count
        room = 0 if self.pending > INPUT_PENDING else ALERTS_PER_MESSAGE * 4
        await self._send_records(list(watch.take(room)))

    async def _send_records(self, records: list[ConnectionBatch | Alert]) -> None:
        alerts = [record for record in records if isinstance(record, Alert)]
        for record in records:
            if isinstance(record, ConnectionBatch):
                await self.send(self._analyzer, "inform", [record], protocol="fipa-subscribe")
        for begin in range(0, len(alerts), ALERTS_PER_MESSAGE):
            part = alerts[begin : begin + ALERTS_PER_MESSAGE]
            await self.send(self._analyzer, "inform", part, protocol="fipa-subscribe")

    async def _send_batches(self) -> None:
        await self._send(await asyncio.to_thread(self._take))
        await self._send_alerts()

    async def _send_alerts(self) -> None:
        with self._lock:
            alerts = self._core.take_alerts()
        await self._send_records([*alerts])

    async def _send(self, batches: list[ConnectionBatch]) -> None:
        for batch in batches:
            await self.send(
                self._analyzer,
                "inform",
                [batch],
                protocol="fipa-subscribe",
                reply_by_us=now_us() + _KEEP_US,
            )
        for name, count in self._core.counters.items():
            self.counters[name] = count
