"""The sensor agent: packets of the node's interfaces in, connection batches to its analyzer out.

Receives an Alert as the description of what a console asks for (query-ref), and sends
PacketEvidence: the packets that alerts rest on stay here (`agents.sensor.evidence`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from agents.base import AgentContext, BaseAgent, users
from agents.base.confinement import Needs
from agents.base.losses import Loss
from agents.base.users import Users
from agents.clock import now_us
from agents.messages.acl import AclMessage
from agents.sensor.capture.dissection import dissect_layers
from agents.sensor.capture.opener import DirectOpener, SocketOpener, start_opener
from agents.sensor.capture.packet_sources import Sources
from agents.sensor.evidence.desk import EvidenceDesk
from agents.sensor.evidence.store import EvidenceStore
from agents.sensor.inputs.follower import Follower
from ontology.records import Alert, ConnectionBatch, HostEvent, ObservedData, Record, Role

if TYPE_CHECKING:
    from agents.sensor.signatures.match_process import MatchProcess

logger = logging.getLogger(__name__)

BATCH_S = 0.1
"""How often finished connections are sent."""
COUNT_S = 0.5
"""How often what the sources count is shown."""
KEEP_S = 1.0
"""How often packets to cite are put on disk."""
MAX_ASKED = 8
"""Questions for evidence that wait; more are refused."""
_KEEP_S = 600
"""A batch the analyzer has not taken after this is given up."""
INPUT_S = 0.5
"""How often logs of other tools are looked at."""
INPUT_STRETCHES = 8
"""Of 1 MiB, of one log in one turn; the rest waits where it is, on disk."""
INPUT_PENDING = 200
"""Messages not yet acknowledged, beyond which logs wait."""
OBSERVED_PER_MESSAGE = 4
OBSERVED_PENDING = 100
"""Messages not yet acknowledged, beyond which what visitors left is dropped: the rest is dearer."""
ALERTS_PER_MESSAGE = 50


@dataclass(frozen=True, slots=True)
class Observation:
    """What a started sensor works with."""

    sources: Sources
    followers: tuple[Follower, ...]
    """Of the logs of other tools."""
    signatures: MatchProcess | None
    evidence: EvidenceStore
    desk: EvidenceDesk


class SensorAgent(BaseAgent[Observation]):
    """Threads capture and decode; the event loop only sends."""

    role: ClassVar[Role] = "sensor"
    services: ClassVar[tuple[str, ...]] = ("packets",)
    losses: ClassVar[tuple[Loss, ...]] = (
        Loss(
            "capture.*.dropped",
            "{}: packets lost, the kernel's buffer was full",
            "capture.*.packets",
        ),
        Loss("capture.*.overrun", "{}: packets not decoded, too many waited", "capture.*.packets"),
        Loss(
            "capture.*.forged",
            "{}: packets arrived in the name of hosts on the other side: forged, or its side is "
            "not what honeynet.toml says; they prove nothing",
        ),
        Loss("unread.*", "{}: packets not read, this layer is not known here", "packets"),
        Loss("unopened.*", "{}: packets of tunnels not opened, this layer is not known here"),
        Loss("evicted_in_tunnels", "connections in tunnels forgotten, too many were open"),
        Loss("signatures.dropped", "packets not matched with signatures", "signatures.packets"),
        Loss(
            "signatures.thinned",
            "signatures not tried on payloads, their source had had its share",
            "signatures.candidates",
        ),
        Loss("signatures.alerts_lost", "alerts of signatures lost, too many waited"),
        Loss("signatures.suppressed", "alerts of signatures held back, too many came"),
        Loss("evidence.lost", "packets that alerts rest on not kept, too many came"),
        Loss("decode_errors", "reads of packets lost by a fault of our own, see the log"),
        Loss("alerts_lost", "alerts lost, too many waited"),
        Loss("evicted", "connections forgotten before their end, too many were open"),
        Loss("unread", "payloads forgotten before they were read, too many were open"),
        Loss("thinned", "payloads not read, there were too many for the time there is", "payloads"),
        Loss("arp_evicted", "ARP claims forgotten, too many came"),
        Loss("arp_alerts_held_back", "alerts of ARP claims held back, too many came"),
        Loss("watch_evicted", "what the sensor's watches followed was forgotten, too much came"),
        Loss("watch_alerts_held_back", "alerts of the sensor's watches held back, too many came"),
        Loss("input.*.refused", "log {}: lines refused", "input.*.lines"),
        Loss("input.*.held_back", "log {}: host events left out, too many came"),
        Loss("input.*.overlong", "log {}: lines left out, too long", "input.*.lines"),
        Loss("input.*.gap", "log {}: gaps, it was rotated away before it was read"),
    )

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self._node = context.settings.node_named(context.node)
        self._analyzer = context.settings.jid("analyzer", context.node)
        self._asked = 0
        """Questions for evidence that wait."""
        self._asking = asyncio.Lock()

    @classmethod
    def needs(cls, context: AgentContext) -> Needs:
        """Logs, captures and rules, and workers of its own. No CAP_NET_RAW: see `take`."""
        node = context.settings.node_named(context.node)
        files = (*(entry.path for entry in node.inputs), *node.captures, *node.signatures)
        tables = tuple(entry.table for entry in node.inputs if entry.table is not None)
        return Needs(read=files + tables, executes=True)

    @classmethod
    def take(cls, context: AgentContext) -> SocketOpener | None:
        """Another process, which opens rings and log groups, now and whenever one comes back."""
        node = context.settings.node_named(context.node)
        if not node.interfaces and not node.nflog:
            return None
        shared = users.why_shared(context.settings)
        own = None if shared else Users.of(context.settings)
        return start_opener(node, own, context.settings.state_dir)

    async def on_start(self) -> Observation:
        """Open interfaces, log groups, files and logs. Raises: what `Sources.start` raises."""
        context = self.context
        honeypots = [pot.address for pot in context.settings.honeypot]
        own, others = context.settings.addresses_of(context.node)
        sources = Sources(
            self._node,
            context.jid,
            context.state_dir,
            own=own,
            others=others,
            opener=self.taken or DirectOpener(self._node.capture_filter),
        )
        evidence = await asyncio.to_thread(
            EvidenceStore, context.state_dir / "evidence.sqlite3", self.conditions
        )
        self.at_end(partial(asyncio.to_thread, evidence.close))
        self.keeps(evidence.look, name="evidence")
        signatures: MatchProcess | None = None
        if self._node.signatures:
            # Imported late: sensors without rules need neither the parser nor Hyperscan.
            from agents.sensor.signatures.match_process import MatchProcess

            signatures = MatchProcess(self._node, sensor=context.jid, honeypots=honeypots)
            signatures.start()
            self.at_end(partial(asyncio.to_thread, signatures.close))
            self.every(INPUT_S, self._send_matches, name="signatures")
        sources.start(None if signatures is None else signatures.offer)
        # Also of a sensor that can't start; one that did has taken its last batches before.
        self.at_end(partial(asyncio.to_thread, sources.stop))
        self.every(BATCH_S, self._send_batches, name="batches")
        self.every(COUNT_S, self._count, name="counters")
        self.every(KEEP_S, self._keep, name="evidence")
        followers = tuple(
            Follower(
                entry,
                sensor=context.jid,
                state_dir=context.state_dir,
                honeypots=honeypots,
                own=self._node.addresses,
                manager=self.settings.manager_of(entry),
            )
            for entry in self._node.inputs
        )
        for follower in followers:
            self.at_end(partial(asyncio.to_thread, follower.close))
        if followers:
            self.every(INPUT_S, self._read_inputs, name="inputs")
        return Observation(
            sources, followers, signatures, evidence, EvidenceDesk(evidence, dissect_layers)
        )

    @property
    def capturing(self) -> set[str]:
        """Interfaces, log groups and files whose packets arrive just now."""
        return self.running.sources.capturing if self.has_started else set()

    @property
    def core_packets(self) -> int:
        """Packets decoded so far."""
        return self.running.sources.counters()["packets"]

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """A sensor takes no orders; it says what it has kept."""
        asked = records[0] if records else None
        if message.performative != "query-ref" or not isinstance(asked, Alert):
            raise ValueError(f"a sensor does not handle {message.performative}")
        if self._asked >= MAX_ASKED:
            await self.reply(message, "refuse", [])
            return
        self._asked += 1
        # A task: scapy takes a second or two, and batches are acknowledged meanwhile.
        self.spawn(self._answer(message, asked), name="evidence")

    async def _answer(self, message: AclMessage, alert: Alert) -> None:
        try:
            async with self._asking:
                await self._keep()  # what was seen a moment ago can be asked for
                found = await asyncio.to_thread(self.running.desk.answer, alert)
            await self.reply(message, "inform-ref", [found])
            self.counters["evidence.asked"] += 1
        finally:
            self._asked -= 1

    async def _keep(self) -> None:
        """Put on disk what is to be cited."""
        running = self.running
        found = await asyncio.to_thread(running.sources.take_citations)
        if running.signatures is not None:
            found += running.signatures.take_citations()
        for follower in running.followers:
            found += await asyncio.to_thread(follower.take_citations)
        if found:
            await asyncio.to_thread(running.evidence.add, found)
        self.counters["evidence.kept"] += len(found)
        self.counters["evidence.dropped"] = running.evidence.dropped

    async def on_stop(self) -> None:
        """Send what is still open."""
        await self._send(await asyncio.to_thread(self.running.sources.stop))
        await self._keep()
        await self._send_alerts()

    async def _read_inputs(self) -> None:
        totals: Counter[str] = Counter()
        for follower in self.running.followers:
            for _ in range(INPUT_STRETCHES):
                if self.pending > INPUT_PENDING:
                    break
                records = await asyncio.to_thread(follower.next, now_us())
                if records is None:
                    break
                await self._send_records([r for r in records if not isinstance(r, ObservedData)])
                await self._send_observed([r for r in records if isinstance(r, ObservedData)])
                # Everything is in the outbox on disk: only now may the place move.
                await asyncio.to_thread(follower.done)
            totals += follower.counters()
            trouble = await asyncio.to_thread(follower.trouble)
            self.conditions.hold(f"input.{follower.name}", trouble)
            refusals = "" if trouble else follower.refusals()
            self.conditions.hold(f"refused.{follower.name}", refusals, level="warning")
        for name, count in totals.items():
            self.counters[name] = count

    async def _send_matches(self) -> None:
        """Alerts of signatures, as those of other tools' logs."""
        watch = self.running.signatures
        if watch is None:
            return
        for name, count in watch.counters().items():
            self.counters[name] = count
        self.conditions.hold("signatures", watch.trouble())
        room = 0 if self.pending > INPUT_PENDING else ALERTS_PER_MESSAGE * 4
        await self._send_records(list(watch.take(room)))

    async def _send_records(self, records: Sequence[ConnectionBatch | Alert | HostEvent]) -> None:
        alerts = [record for record in records if isinstance(record, Alert)]
        happened = [record for record in records if isinstance(record, HostEvent)]
        for record in records:
            if isinstance(record, ConnectionBatch):
                await self.send(self._analyzer, "inform", [record], protocol="fipa-subscribe")
        # Events of hosts first: they explain alerts, and never the other way round.
        for some in (happened, alerts):
            for begin in range(0, len(some), ALERTS_PER_MESSAGE):
                part = some[begin : begin + ALERTS_PER_MESSAGE]
                await self.send(self._analyzer, "inform", part, protocol="fipa-subscribe")

    async def _send_observed(self, records: list[ObservedData]) -> None:
        """What visitors left, for the archives. Nobody decides by it: it never holds lines up."""
        archives = self.settings.jids("ontology")
        for begin in range(0, len(records), OBSERVED_PER_MESSAGE):
            part = records[begin : begin + OBSERVED_PER_MESSAGE]
            if self.pending > OBSERVED_PENDING:
                self.counters["observed_dropped"] += len(part)
                continue
            await self.send_many(
                archives, "inform", part, protocol="fipa-subscribe", within_s=_KEEP_S
            )
            self.counters["observed"] += len(part)

    async def _send_batches(self) -> None:
        sources = self.running.sources
        await self._send(sources.take() if sources.light else await asyncio.to_thread(sources.take))
        await self._send_alerts()

    async def _send_alerts(self) -> None:
        await self._send_records([*self.running.sources.take_alerts()])

    async def _send(self, batches: list[ConnectionBatch]) -> None:
        for batch in batches:
            await self.send(
                self._analyzer,
                "inform",
                [batch],
                protocol="fipa-subscribe",
                within_s=_KEEP_S,
            )

    async def _count(self) -> None:
        sources = self.running.sources
        for name, count in sources.counters().items():
            self.counters[name] = count
        troubles = sources.troubles()
        for source, why in troubles.items():
            self.conditions.fault(f"capture.{source}", why)
        self.conditions.hold("routes", sources.routes_unknown, level="warning")
        self.conditions.keep("capture.", (f"capture.{source}" for source in troubles))
