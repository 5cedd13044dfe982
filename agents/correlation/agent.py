"""The correlation agent: alerts of analyzers in, incidents and decisions out."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

from agents.base import AgentContext, BaseAgent
from agents.base.confinement import Needs
from agents.base.losses import Loss
from agents.base.own_clock import block_here, decision_here
from agents.base.protected import Protected
from agents.base.subscriptions import SAVE_AGAIN_S, Subscribers
from agents.clock import now_us
from agents.correlation.cooperation import Cooperation, publications
from agents.correlation.dispatch import Dispatch
from agents.correlation.engine import CorrelationEngine
from agents.correlation.journal import Journal
from agents.correlation.known_hosts import with_asserted
from agents.correlation.pipeline import Pipeline
from agents.correlation.probation import TIMEOUT_S, Probation
from agents.correlation.reasoner_thread import ReasonerThread
from agents.correlation.scenarios import ScenarioTracker
from agents.knowledge.following import ontology_agent_of
from agents.knowledge.load import RuleSet
from agents.knowledge.receiver import Arrived, KnowledgeReceiver, Report
from agents.messages.acl import AclMessage
from agents.trust.identity import Refused
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import ReasonerError
from ontology.records import (
    Alert,
    Block,
    Decision,
    GatewayAddresses,
    HostProfile,
    OntologyChanged,
    Record,
    Role,
    Subscription,
)

logger = logging.getLogger(__name__)

SUBSCRIBE_EVERY_S = 60.0
RETRY_EVERY_S = 1.0
LOOK_EVERY_S = 1.0
TRIM_EVERY_S = 300.0
TAKEN_BACK = "rules"
"""Condition: rules failed in use, those before are in force."""
COOPERATION = "Cooperation"
"""Topic: decisions with their incident and alerts, for the other correlation agents."""


class CorrelationAgent(BaseAgent[Pipeline]):
    """Shell around `CorrelationEngine`, which works in one thread because Pellet blocks."""

    role: ClassVar[Role] = "correlation"
    services: ClassVar[tuple[str, ...]] = ("correlation",)
    losses: ClassVar[tuple[Loss, ...]] = (
        Loss("quarantined", "alerts given up, the reasoner can't digest them"),
        Loss("failed_windows", "windows of alerts that the reasoner failed", "windows"),
        Loss("queue_full", "alerts put back, too many wait"),
        Loss("publications_dropped", "decisions of other nodes dropped, too many wait"),
        Loss("left_out", "alerts left out of a window, too many belong together"),
        Loss("evicted", "alerts forgotten before their time, too many came"),
        Loss("evicted_unverified", "unverified alerts forgotten before their time, too many came"),
        Loss("unverified_left_out", "unverified alerts left out, too many waited"),
        Loss("orders_unsendable", "orders that no message can hold"),
        Loss("incidents_unsendable", "incidents that no message can hold"),
        Loss("malformed", "alerts refused as malformed", "alerts_received"),
    )

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self._knowledge = KnowledgeReceiver(
            context.state_dir / "rules",
            follows=ontology_agent_of(self.settings, self.node),
            policy=self.settings.policy,
            counters=self.counters,
        )
        self._probation = Probation(self._doubt)
        """Of the rules in force, if there are others to go back to."""
        self._loop: asyncio.AbstractEventLoop
        self._asserted: tuple[int, list[HostProfile]] = (0, [])
        """What was asserted of hosts, and since when."""
        self._protected = Protected.from_settings(self.settings)
        """With what the kernel of this node's gateway has, once it has said so."""
        self._cells = tuple(j for j in self.settings.jids("correlation") if j != self.jid)
        """The other correlation agents."""
        self._analyzers = self.settings.analyzers_of(self.node)
        """Those whose alerts are evidence of our own."""
        self._subscribers = Subscribers(context.state_dir / "subscribers.json", self.conditions)
        self._is_gateway = "reaction" in self.settings.node_named(self.node).agents

    @classmethod
    def needs(cls, context: AgentContext) -> Needs:
        """The reasoner is a process of its own."""
        return Needs(executes=True)

    async def on_start(self) -> Pipeline:
        """Read the journal, subscribe; the reasoner comes up meanwhile (2 to 6 s).

        Raises: StoreError; ValueError, OSError if the shipped rules are no good and no others were
            ever announced.
        """
        self._loop = asyncio.get_running_loop()
        journal = await asyncio.to_thread(
            Journal, self.context.state_dir / "alerts.sqlite3", faults=self.conditions
        )
        self.at_end(journal.close)
        self.keeps(journal.look, name="journal")
        rules = await asyncio.to_thread(self._knowledge.start)
        worker = PelletWorker(rules.theory)
        ahead = ReasonerThread(worker)
        self.at_end(lambda: asyncio.to_thread(ahead.close))
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reasoning")
        self.at_end(lambda: asyncio.to_thread(thread.shutdown))
        # Not in the threads, which may be waiting for the worker: this makes it answer.
        self.at_end(lambda: asyncio.to_thread(worker.close))
        protected = self._protected
        engine = CorrelationEngine(
            self.settings.host_profiles(),
            self.settings.policy,
            origin=self.jid,
            reasoner=worker,
            submit=ahead.submit,
            reactions=rules.playbook.reactions,
            scenarios=ScenarioTracker(rules.playbook.compiled),
            outcomes=rules.outcomes,
            joins=rules.joins,
            reads=rules.theory.reads,
            protected=protected,
            probation=self._probation,
            sources=self.settings.source,
        )
        cooperation = None
        if self._cells and self._is_gateway:
            cooperation = Cooperation(
                self.jid, self._cells, self.settings.policy, protected, self.counters
            )
        dispatch = Dispatch(
            self.settings,
            self.node,
            self.send_many,
            self.counters,
            lambda: self._subscribers.to(COOPERATION),
        )
        pipeline = Pipeline(
            engine,
            worker,
            journal,
            dispatch,
            thread=thread,
            counters=self.counters,
            conditions=self.conditions,
            cooperation=cooperation,
        )
        await pipeline.begin()
        self.spawn(pipeline.start_reasoner(), name="reasoner start")
        self.spawn(self._leave_others(), name="end of old subscriptions")
        self.every(SUBSCRIBE_EVERY_S, self._subscribe, name="subscription")
        # The tick itself waits for work; `every` keeps it going whatever happens in it.
        self.every(0.0, pipeline.tick, name="reasoning")
        self.every(RETRY_EVERY_S, pipeline.retry, name="reasoning retry")
        self.every(LOOK_EVERY_S, pipeline.look_at_reasoner, name="reasoner watch")
        self.every(TRIM_EVERY_S, pipeline.trim, name="journal trim")
        self.every(SAVE_AGAIN_S, self._subscribers.save_again, name="subscribers")
        return pipeline

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """Alerts, what other cells decided, reports of what is in force, news of the ontology.

        Answers need no answer. Raises: ValueError
        """
        if message.sender in self._cells:
            await self._on_cell(message, records)
            return
        alerts = [record for record in records if isinstance(record, Alert)]
        if alerts:
            if message.sender not in self._analyzers:
                # Of another cell's node: its word is for its own cell, or one stolen key would
                # make "evidence of its own" in every cell.
                raise Refused("role", f"{message.sender} is served by another cell")
            self.running.take(alerts)
        for record in records:
            if isinstance(record, GatewayAddresses):
                self._protected = self._protected.with_kernel(record)
                self.running.protect(self._protected)
        now = now_us()
        blocks = [block_here(r, now, self.age_s) for r in records if isinstance(r, Block)]
        if message.sender in self.settings.jids("supervisor"):
            self.running.rule(blocks, message.sender)
        elif blocks:
            self.running.report(blocks)
        if any(isinstance(record, OntologyChanged) for record in records):
            await self._on_change(message, records)

    async def _on_cell(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """A wish to hear of our decisions, or a decision of theirs. Raises: ValueError."""
        for record in records:
            if isinstance(record, Subscription) and message.performative in ("subscribe", "cancel"):
                if record.topic != COOPERATION:
                    raise ValueError(f"a correlation agent offers {COOPERATION} only")
                if message.performative == "cancel":
                    self._subscribers.remove(message.sender, COOPERATION)
                elif self._subscribers.add(message.sender, COOPERATION):
                    logger.info("%s subscribes to our decisions", message.sender)
                await self.reply(message, "agree", [record])
        if any(isinstance(record, Decision) for record in records):
            # By the clock that cooperation counts on.
            now = self.running.steady_us()
            here = [
                decision_here(r, now, self.age_s) if isinstance(r, Decision) else r for r in records
            ]
            self.running.hear(publications(message.sender, here))

    async def on_clock_set(self, step_us: int) -> None:
        """What was said a minute ago was said a minute ago."""
        self.running.before_next(lambda: self.running.engine.clock_set(step_us))

    async def on_refused(self, receiver: str, reply_with: str, reason: str) -> None:
        """Nothing more can be done than to show it."""
        self.counters["refused_by_peers"] += 1
        logger.error("%s refused our message %s: %s", receiver, reply_with, reason)

    @property
    def ontology_version(self) -> str:
        """Of the rules in force here."""
        return self._knowledge.version

    async def _on_change(self, message: AclMessage, records: Sequence[Record]) -> None:
        """Of other rules, or of what is asserted of hosts (all of it at each change)."""
        report = self._knowledge.hear(message.sender, message.conversation_id, records)
        if report is not None:
            if report.performative == "inform":
                # The ontology agent says as we do; what it took back, it tells.
                self.conditions.clear(TAKEN_BACK)
            await self._report(report)
        arrived = self._knowledge.arrived()
        if arrived is not None:
            self.spawn(self._take_over(arrived), name="new rules")
        hosts = [record for record in records if isinstance(record, HostProfile)]
        for change in records:
            if (
                isinstance(change, OntologyChanged)
                and change.kind == "facts"
                and message.sender == self._knowledge.follows
                and change.changed_us >= self._asserted[0]
            ):
                news = hosts != self._asserted[1]
                self._asserted = change.changed_us, hosts
                if news:
                    self.running.before_next(self._set_hosts)

    async def _take_over(self, arrived: Arrived) -> None:
        """Between two windows, in the thread that reasons about them."""
        take_over = self._knowledge.take_over
        before = self._knowledge.digest
        report = await self.running.in_thread(lambda: take_over(arrived, self._use_rules))
        if self._knowledge.digest != before:
            self.conditions.clear(TAKEN_BACK)
            self._probation.begin()
        if report is not None:
            await self._report(report)

    def _doubt(self) -> None:
        """Windows failed in a row. In the engine's thread, which is in the midst of them."""
        self._loop.call_soon_threadsafe(self.running.before_next, self._try_rules_before)

    def _try_rules_before(self) -> None:
        """Go back to the rules before, if they have an answer to the windows that failed."""
        windows, before, now = self._probation.take(), self._knowledge.before, self._knowledge.rules
        if before is None or now is None or not windows:
            return
        rules, worker = before[0], self.running.worker
        try:
            worker.set_theory(rules.theory)
            for window in windows:
                worker.reason(window, TIMEOUT_S)
        except ReasonerError as e:
            logger.warning("windows fail with rules %s as well: %s", rules.version, e)
            worker.set_theory(now.theory)
            return
        self._probation.end()
        failed = f"version {now.version}"
        why = f"{len(windows)} windows in a row failed, and passed with {rules.version}"
        report = self._knowledge.go_back(why)
        self._use_rules(rules)
        said = f"{failed} was taken back, {rules.version} is in force again: {why}"
        logger.error("%s", said)
        self.conditions.fault(TAKEN_BACK, said)
        if report is not None:
            self._loop.call_soon_threadsafe(
                lambda: self.spawn(self._report(report), name="rules taken back")
            )

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
        wishes = [(self._analyzers, _wish("Alert"))]
        if self._knowledge.follows:
            ontology = (self._knowledge.follows,)
            wishes += [(ontology, _wish("HostProfile"))]
            wishes += [(ontology, self._knowledge.subscription(uuid.uuid4().urn))]
        if self._is_gateway:
            wishes += [(self._cells, _wish(COOPERATION))]
        for receivers, wish in wishes:
            await self._ask_for(receivers, wish, "subscribe")

    async def _leave_others(self) -> None:
        """Analyzers that another cell serves may have been ours before the settings changed."""
        every = self.settings.jids("analyzer")
        others = tuple(jid for jid in every if jid not in self._analyzers)
        await self._ask_for(others, _wish("Alert"), "cancel")

    async def _ask_for(
        self, receivers: Sequence[str], wish: Subscription, performative: str
    ) -> None:
        if not receivers:
            return
        await self.send_many(
            receivers,
            performative,
            [wish],
            protocol="fipa-subscribe",
            # An analyzer that is away needs one request when it is back, not a hundred.
            within_s=SUBSCRIBE_EVERY_S,
        )

    def _set_hosts(self) -> None:
        """In the engine's thread."""
        hosts = with_asserted(self.settings.host_profiles(), self._asserted[1])
        self.running.engine.set_hosts(hosts)
        self.counters["hosts_taken"] += 1

    def _use_rules(self, rules: RuleSet) -> None:
        """In the engine's thread; all or nothing. Raises: ReasonerUnavailable: Pellet refuses."""
        worker, engine = self.running.worker, self.running.engine
        if rules.theory != worker.theory:
            worker.start()  # one that does not run would take any rules unseen
            worker.set_theory(rules.theory)
        # Together with the theory: what can meet follows from its rules.
        book, reads = rules.playbook, rules.theory.reads
        engine.set_rules(book.compiled, book.reactions, rules.joins, reads, rules.outcomes)
        logger.info(
            "%d rules, version %s; %d reaction rules",
            len(rules.theory.rules),
            rules.version,
            len(rules.playbook.reactions),
        )


def _wish(topic: str) -> Subscription:
    return Subscription(id=uuid.uuid4().urn, topic=topic)
