"""The correlation agent: alerts of all analyzers in, incidents and decisions out.

An alert is on disk before its message is acknowledged, and marked done only when what followed from
it is in the outbox: a crash in between reasons about it again, with the same ids.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, TypeVar

from agents.base import AgentContext, BaseAgent
from agents.clock import now_us
from agents.correlation.engine import HORIZON_US, CorrelationEngine
from agents.correlation.hosts import with_asserted
from agents.correlation.journal import Journal
from agents.correlation.scenarios import ScenarioTracker
from agents.knowledge.load import RuleSet
from agents.knowledge.receiver import KnowledgeReceiver, Report, ontology_agent_of
from agents.messages.acl import AclMessage, MessageError
from ontology.fragments import FragmentError
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import ReasonerUnavailable
from ontology.records import (
    Address,
    Alert,
    Block,
    Decision,
    HostProfile,
    Incident,
    OntologyChanged,
    Record,
    Role,
    Subscription,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")
Outcome = tuple[Incident, Decision | None, tuple[Alert, ...]]

BATCH_S = 0.02
"""How long the first alert waits for company; while a window is reasoned about, more gather."""
MAX_BATCH = 500
MAX_QUEUE = 10_000
"""Alerts waiting in memory; beyond that messages stay unacknowledged and come again."""
SUBSCRIBE_EVERY_S = 60.0
RETRY_EVERY_S = 1.0
TRIM_EVERY_S = 300.0


class CorrelationAgent(BaseAgent[None]):
    """Shell around `CorrelationEngine`, which works in one thread because Pellet blocks."""

    role: ClassVar[Role] = "correlation"
    services: ClassVar[tuple[str, ...]] = ("correlation",)

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reasoning")
        self._journal: Journal | None = None
        self._worker: PelletWorker | None = None
        self._engine: CorrelationEngine | None = None
        self._queue: deque[Alert] = deque()
        self._undone: list[str] = []
        """Ids taken from the queue whose consequences aren't all in the outbox."""
        self._outgoing: deque[Outcome] = deque()
        self._knowledge = KnowledgeReceiver(
            context.state_dir / "rules",
            follows=ontology_agent_of(self.settings, self.node),
            policy=self.settings.policy,
            counters=self.counters,
        )
        self._ended: set[Address] = set()
        """Sources whose block was refused or lifted."""
        self._asserted: tuple[int, list[HostProfile]] = (0, [])
        """What was asserted of hosts, and since when."""
        self._news_of_hosts = False
        self._news = asyncio.Event()

    async def on_start(self) -> None:
        """Read the journal, subscribe; the reasoner comes up meanwhile (2 to 6 s).

        Raises: sqlite3.Error; ValueError, OSError if the shipped rules are no good and no others
            were ever announced.
        """
        self._journal = Journal(self.context.state_dir / "alerts.sqlite3")
        rules = await self._in_thread(self._knowledge.start)
        worker = PelletWorker(rules.theory)
        self._worker = worker
        engine = CorrelationEngine(
            self.settings.host_profiles(),
            self.settings.policy,
            origin=self.jid,
            reasoner=worker,
            reactions=rules.playbook.reactions,
            scenarios=ScenarioTracker(rules.playbook.compiled),
            joins=rules.joins,
        )
        known = self._journal.read(done=True)
        await self._in_thread(lambda: engine.restore(known, now_us()))
        self._engine = engine
        self._queue.extend(self._journal.read(done=False))
        self.counters["restored"] = len(known) + len(self._queue)
        self._news.set()
        self.spawn(self._warm_up(), name="reasoner start")
        self.every(SUBSCRIBE_EVERY_S, self._subscribe, name="subscription")
        # The tick itself waits for work; `every` keeps it going whatever happens in it.
        self.every(0.0, self._tick, name="reasoning")
        self.every(RETRY_EVERY_S, self._retry, name="reasoning retry")
        self.every(TRIM_EVERY_S, self._trim, name="journal trim")

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """Alerts, the supervisor's answers, news of the ontology."""
        alerts = [record for record in records if isinstance(record, Alert)]
        if alerts:
            self._take(alerts)
        if any(isinstance(record, OntologyChanged) for record in records):
            await self._hear(message, records)
        for record in records:
            if isinstance(record, Decision) and message.performative in ("refuse", "failure"):
                self._forget(record.source)
            elif isinstance(record, Block) and record.state in ("refused", "failed", "lifted"):
                self._forget(record.source)

    async def on_refused(self, receiver: str, reply_with: str, reason: str) -> None:
        """Nothing more can be done than to show it."""
        self.counters["refused_by_peers"] += 1
        logger.error("%s refused our message %s: %s", receiver, reply_with, reason)

    async def on_stop(self) -> None:
        """End the JVM, close the journal; what was not done is done after the next start."""
        if self._worker is not None:
            # Not in the thread, which may be waiting for the worker: this makes it answer.
            await asyncio.to_thread(self._worker.close)
        await asyncio.to_thread(self._thread.shutdown)
        if self._journal is not None:
            self._journal.close()

    async def _warm_up(self) -> None:
        worker = self._worker
        if worker is None:
            raise RuntimeError("the correlation agent has not started")
        try:
            await self._in_thread(worker.start)
        except ReasonerUnavailable as e:
            # The next window tries again, and the alerts wait for it.
            self.counters["reasoner_unavailable"] += 1
            logger.error("the reasoner does not start: %s", e)

    def _take(self, alerts: Sequence[Alert]) -> None:
        if len(self._queue) + len(alerts) > MAX_QUEUE:
            self.counters["queue_full"] += 1
            # Not a ValueError: unacknowledged, the message comes again later.
            raise RuntimeError(f"{len(self._queue)} alerts wait for the reasoner")
        new = self._log().add(alerts)
        self.counters["alerts_received"] += len(new)
        self._queue.extend(new)
        self._news.set()

    def _forget(self, source: Address) -> None:
        self._ended.add(source)
        self._news.set()

    @property
    def ontology_version(self) -> str:
        """Of the rules in force here."""
        return self._knowledge.version

    async def _hear(self, message: AclMessage, records: Sequence[Record]) -> None:
        """Of other rules, or of what is asserted of hosts (all of it at each change)."""
        report = self._knowledge.hear(message.sender, message.conversation_id, records)
        if report is not None:
            await self._report(report)
        hosts = [record for record in records if isinstance(record, HostProfile)]
        for change in records:
            if (
                isinstance(change, OntologyChanged)
                and change.kind == "facts"
                and message.sender == self._knowledge.follows
                and change.changed_us >= self._asserted[0]
            ):
                self._news_of_hosts |= hosts != self._asserted[1]
                self._asserted = change.changed_us, hosts
        self._news.set()

    async def _report(self, report: Report) -> None:
        await self.send(
            report.receiver,
            report.performative,
            [report.record],
            protocol="fipa-subscribe",
            conversation_id=report.conversation_id,
        )

    async def _subscribe(self) -> None:
        """Renewed, because an analyzer may have lost its disk."""
        wishes = [
            (jid, Subscription(id=uuid.uuid4().urn, topic="Alert"))
            for jid in self.settings.jids("analyzer")
        ]
        if self._knowledge.follows:
            facts = Subscription(id=uuid.uuid4().urn, topic="HostProfile")
            rules = self._knowledge.subscription(uuid.uuid4().urn)
            wishes += [(self._knowledge.follows, facts), (self._knowledge.follows, rules)]
        for receiver, record in wishes:
            await self.send(
                receiver,
                "subscribe",
                [record],
                protocol="fipa-subscribe",
                # An analyzer that is away needs one request when it is back, not a hundred.
                reply_by_us=(now_us() // 1000 + int(SUBSCRIBE_EVERY_S * 1000)) * 1000,
            )

    async def _retry(self) -> None:
        if self._outgoing or (self._engine is not None and self._engine.pending):
            self._news.set()

    async def _trim(self) -> None:
        self._log().trim(now_us() - HORIZON_US)

    async def _tick(self) -> None:
        await self._news.wait()
        self._news.clear()
        arrived = self._knowledge.arrived()
        if arrived is not None:
            use = self._use_rules
            await self._report(
                await self._in_thread(lambda: self._knowledge.take_over(arrived, use))
            )
        await asyncio.sleep(BATCH_S)
        batch = [self._queue.popleft() for _ in range(min(MAX_BATCH, len(self._queue)))]
        self._undone += [alert.id for alert in batch]
        ended, self._ended = self._ended, set()
        if self._queue:
            self._news.set()
        engine, worker = self._engine, self._worker
        if engine is None or worker is None:
            raise RuntimeError("the correlation agent has not started")
        if self._news_of_hosts:
            self._news_of_hosts = False
            hosts = with_asserted(self.settings.host_profiles(), self._asserted[1])
            await self._in_thread(lambda: engine.set_hosts(hosts))
            self.counters["hosts_taken"] += 1
        self._outgoing += await self._in_thread(lambda: _correlate(engine, batch, ended))
        self.counters.update(
            {
                name: value - self.counters[name]
                for name, value in (engine.counters | worker.counters).items()
            }
        )
        self.counters["waiting_for_reasoner"] = engine.pending
        await self._send_all()
        if not engine.pending:
            done, self._undone = self._undone, []
            self._log().done(done)

    def _use_rules(self, rules: RuleSet) -> None:
        """In the thread; changes all or nothing. Raises: ReasonerUnavailable: Pellet refuses."""
        if self._worker is None or self._engine is None:
            raise RuntimeError("the correlation agent has not started")
        if rules.theory != self._worker.theory:
            self._worker.start()  # one that does not run would take any rules unseen
            self._worker.set_theory(rules.theory)
        # Together with the theory: what can meet follows from its rules.
        self._engine.use(rules.playbook.compiled, rules.playbook.reactions, rules.joins)
        logger.info(
            "%d rules, version %s; %d reaction rules",
            len(rules.theory.rules),
            rules.version,
            len(rules.playbook.reactions),
        )

    async def _send_all(self) -> None:
        while self._outgoing:
            incident, decision, alerts = self._outgoing[0]
            try:
                await self._send_incident(incident, decision, alerts)
            except (MessageError, FragmentError) as e:
                logger.error("incident %s can't be sent whole: %s", incident.id, e)
                self.counters["incidents_cut"] += 1
                await self._send_cut(incident, decision)
            self._outgoing.popleft()

    async def _send_cut(self, incident: Incident, decision: Decision | None) -> None:
        """Without alerts (too large, most likely), or at least the order itself."""
        try:
            await self._send_incident(incident, decision, ())
        except (MessageError, FragmentError) as e:
            self.counters["incidents_unsendable"] += 1
            logger.error("incident %s can't be sent at all: %s", incident.id, e)
            if decision is not None:
                for supervisor in self.settings.jids("supervisor"):
                    await self.send(supervisor, "request", [decision], protocol="fipa-request")

    async def _send_incident(
        self, incident: Incident, decision: Decision | None, alerts: tuple[Alert, ...]
    ) -> None:
        logger.info(
            "%s from %s, rule %s, severity %.2f, %s",
            incident.classification,
            incident.source,
            incident.rule,
            incident.severity,
            f"block for {decision.duration_s} s" if decision is not None else "no block",
        )
        records: list[Record] = [incident, *alerts]
        performative, protocol = "inform", "fipa-subscribe"
        if decision is not None:
            records.insert(0, decision)
            performative, protocol = "request", "fipa-request"
        for supervisor in self.settings.jids("supervisor"):
            await self.send(supervisor, performative, records, protocol=protocol)
        for archive in self.settings.jids("ontology"):
            await self.send(archive, "inform", records, protocol="fipa-subscribe")

    def _log(self) -> Journal:
        if self._journal is None:
            raise RuntimeError("the correlation agent has not started")
        return self._journal

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _correlate(
    engine: CorrelationEngine, batch: list[Alert], ended: Iterable[Address]
) -> list[Outcome]:
    """In the reasoning thread: a batch in, each incident with its decision and alerts out."""
    for source in ended:
        engine.forget_block(source)
    out = engine.on_alerts(batch, now_us())
    outcomes: list[Outcome] = []
    for record in out:
        if isinstance(record, Incident):
            outcomes.append((record, None, engine.alerts_of(record)))
        else:
            incident, _, alerts = outcomes[-1]
            outcomes[-1] = (incident, record, alerts)
    return outcomes
