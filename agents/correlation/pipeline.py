"""Alerts on their way: from their message to the disk, through the engine, into the outbox.

The engine works in one thread, because the reasoner blocks; everything else happens in the agent's
loop. An alert is on disk before its message is acknowledged, and marked done only when what
followed from it is in the outbox: a crash in between reasons about it again, with the same ids.
What was concluded of scenarios is stored in the same transaction.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from agents.base.conditions import Conditions
from agents.base.log_limits import ORDER
from agents.base.protected import Protected
from agents.base.steady_clock import SteadyClock
from agents.clock import now_us
from agents.correlation.cooperation import Cooperation, Publication
from agents.correlation.dispatch import Dispatch
from agents.correlation.engine import HORIZON_US, CorrelationEngine
from agents.correlation.journal import Journal
from agents.correlation.outcome import Outcome
from agents.correlation.scenario_memory import Row
from ontology.reasoner.client import WARM_UP_ROUNDS, PelletWorker
from ontology.reasoner.inferences import ReasonerError, ReasonerUnavailable
from ontology.records import Address, Alert, Block, Decision

logger = logging.getLogger(__name__)

T = TypeVar("T")

BATCH_S = 0.02
"""How long the first alert waits for company; while a window is reasoned about, more gather."""
MAX_BATCH = 500
MAX_UNVERIFIED_BATCH = 50
"""Of alerts that may be forged: so long a verified one may have to wait that comes meanwhile."""
MAX_QUEUE = 10_000
"""Alerts waiting in memory; beyond that messages stay unacknowledged and come again."""
MAX_UNVERIFIED_QUEUE = 2_000
"""Of those that may be forged. Beyond that they are left out, counted: asked for again, they would
hold up the verified ones in their messages, and all that come after."""
MAX_PUBLICATIONS = 250
"""Of one other cell, waiting to be judged; its oldest go first, counted."""
FIRST_RETRY_S, MAX_RETRY_S = 1.0, 60.0
"""Between two attempts to start a reasoner that doesn't come up."""
JUDGED_AT_ONCE = 4
"""Of each cell: the reasoner may need some 10 ms for one, and own alerts must not wait for all."""


class Pipeline:
    """One engine at work.

    Args:
        thread: with one worker, in which everything that touches the engine runs.
        worker: the engine's reasoner.
        dispatch: puts outcomes into the outbox.
        cooperation: judges what other cells publish; None if there is no gateway to order.
        counters, conditions: of the agent.
    """

    def __init__(
        self,
        engine: CorrelationEngine,
        worker: PelletWorker,
        journal: Journal,
        dispatch: Dispatch,
        *,
        thread: ThreadPoolExecutor,
        counters: Counter[str],
        conditions: Conditions,
        cooperation: Cooperation | None = None,
    ) -> None:
        self.engine = engine
        self.worker = worker
        self.journal = journal
        self._dispatch = dispatch
        self._cooperation = cooperation
        self._publications: dict[str, deque[Publication]] = {}
        """By cell, so that one that floods us loses only its own."""
        self._rulings: deque[tuple[Block, str]] = deque(maxlen=MAX_QUEUE)
        """Of the supervisor, with its bare JID."""
        self._seen: set[Address] = set()
        """Sources of own alerts that could not be forged, since the last look at others' words."""
        self._lifted: set[Address] = set()
        self._thread = thread
        self._counters = counters
        self._conditions = conditions
        self._begun = False
        """Whether the reasoner had its first chance to come up."""
        self._again_s, self._delay_s = 0.0, FIRST_RETRY_S
        """When the reasoner is started again (monotonic), and how long after a failure."""
        self._queue: deque[Alert] = deque()
        """Verified ones."""
        self._unverified: deque[Alert] = deque()
        self._undone: list[str] = []
        """Ids taken from the queue whose consequences aren't all in the outbox."""
        self._outgoing: deque[Outcome] = deque()
        self._conclusions: list[Row] = []
        """Not yet on disk."""
        self._reports: deque[Block] = deque(maxlen=MAX_QUEUE)
        """What gateways and the supervisor say is in force, not yet looked at."""
        self._errands: deque[Callable[[], None]] = deque()
        self._work = asyncio.Event()
        self.steady_us = SteadyClock()
        """The clock of cooperation: how long others' words stand has nothing to do with what is
        set; it never follows."""

    async def begin(self) -> None:
        """Remember what was there before a restart, and queue what was not done then."""

        def restore() -> tuple[int, list[Alert]]:
            # All of it stays: the collector would look through it again and again for nothing.
            gc.disable()
            try:
                known = self.journal.read(done=True)
                conclusions = self.journal.conclusions()
                self.engine.restore(known, now_us(), conclusions, self.steady_us())
                return len(known), self.journal.read(done=False)
            finally:
                gc.enable()

        known, undone = await self.in_thread(restore)
        self._enqueue(undone)
        self._counters["restored"] = known + len(undone)
        self._work.set()

    def take(self, alerts: Sequence[Alert]) -> None:
        """Store alerts; they are on disk when this returns. Raises: RuntimeError if too many wait.

        Not a ValueError: unacknowledged, their message comes again later. Those that may be forged
        are left out, counted, when too many of their kind wait.
        """
        verified = [alert for alert in alerts if alert.verified_source]
        others = [alert for alert in alerts if not alert.verified_source]
        if len(self._queue) + len(verified) > MAX_QUEUE:
            self._counters["queue_full"] += 1
            raise RuntimeError(f"{len(self._queue)} alerts wait for the reasoner")
        room = max(MAX_UNVERIFIED_QUEUE - len(self._unverified), 0)
        self._counters["unverified_left_out"] += len(others[room:])
        new = self.journal.add([*verified, *others[:room]])
        self._counters["alerts_received"] += len(new)
        self._enqueue(new)
        self._work.set()

    def _enqueue(self, alerts: Sequence[Alert]) -> None:
        self._queue.extend(alert for alert in alerts if alert.verified_source)
        self._unverified.extend(alert for alert in alerts if not alert.verified_source)

    def report(self, blocks: Sequence[Block]) -> None:
        """What is in force, or no longer."""
        self._reports.extend(blocks)
        if self._cooperation is not None:
            self._lifted.update(block.source for block in blocks if block.state == "lifted")
        self._work.set()

    def protect(self, protected: Protected) -> None:
        """Recommend and confirm no block of what this protects, from the next batch on."""
        if self._cooperation is not None:
            self._cooperation.set_protected(protected)
        self.before_next(lambda: self.engine.set_protected(protected))

    def hear(self, publications: Sequence[Publication]) -> None:
        """Decisions that other cells published; nothing to do if there is no gateway to order."""
        if self._cooperation is None:
            return
        for one in publications:
            waiting = self._publications.setdefault(one.cell, deque())
            if len(waiting) >= MAX_PUBLICATIONS:
                waiting.popleft()
                self._counters["publications_dropped"] += 1
            waiting.append(one)
        self._work.set()

    def rule(self, rulings: Sequence[Block], by: str) -> None:
        """What the supervisor has in force, or no longer."""
        if self._cooperation is not None:
            self._rulings.extend((ruling, by) for ruling in rulings)
        self.report(rulings)

    def before_next(self, errand: Callable[[], None]) -> None:
        """Do this in the engine's thread before the next batch."""
        self._errands.append(errand)
        self._work.set()

    @property
    def idle(self) -> bool:
        """Whether all that came was reasoned about, and what follows is in the outbox."""
        waiting = (self._queue, self._unverified, self._undone, self._reports, self._errands)
        return not any((*waiting, *self._publications.values()))

    async def start_reasoner(self) -> None:
        """Bring it up, which takes 2 to 6 s; if it does not come, the next window tries again.

        Each round of its warm-up is a job of its own in the thread, so that on a busy machine,
        where a round takes seconds, alerts that wait go in between.
        """
        try:
            await self.in_thread(lambda: self.worker.start(rounds=1))
            for _ in range(WARM_UP_ROUNDS - 1):
                await self.in_thread(self.worker.warm_up)
        except ReasonerUnavailable as e:
            self._unavailable(e)
        self._begun = True

    async def look_at_reasoner(self) -> None:
        """Every second or two: start it if it doesn't run; an alert can't wait for the next one."""
        if self.worker.pid is not None:
            self._delay_s = FIRST_RETRY_S
            self._conditions.clear("reasoner")
            return
        if not self._begun or time.monotonic() < self._again_s:
            return
        if self._conditions.of("reasoner") is None:
            self._conditions.fault("reasoner", "the reasoner has ended; it is started again")
        try:
            await self.in_thread(self.worker.warm_up)
        except ReasonerUnavailable as e:
            self._unavailable(e)

    def _unavailable(self, error: ReasonerUnavailable) -> None:
        self._counters["reasoner_unavailable"] += 1
        self._again_s = time.monotonic() + self._delay_s
        self._delay_s = min(self._delay_s * 2, MAX_RETRY_S)
        waiting = len(self._queue) + len(self._unverified) + self.engine.pending
        reason = f"no reasoner, alerts wait and nothing is decided: {error}"
        self._conditions.fault("reasoner", reason, alerts=waiting)

    async def tick(self) -> None:
        """Wait for work and do a batch of it: of verified alerts, then a small one of others."""
        await self._work.wait()
        self._work.clear()
        while self._errands:
            await self.in_thread(self._errands.popleft())
        await asyncio.sleep(BATCH_S)
        reports = list(self._reports)
        self._reports.clear()
        await self._reason(_first(self._queue, MAX_BATCH), reports)
        if self._unverified:
            await self._reason(_first(self._unverified, MAX_UNVERIFIED_BATCH), [])
        if self._queue or self._unverified:
            self._work.set()
        if self._cooperation is not None:
            await self._cooperate(self._cooperation)
        done: list[str] = []
        if not self.engine.pending:
            done, self._undone = self._undone, []
        concluded, self._conclusions = self._conclusions, []
        if done or concluded:
            self.journal.done(done, concluded, at_us=now_us())

    async def _reason(self, batch: Sequence[Alert], reports: Sequence[Block]) -> None:
        """And send what follows."""
        self._undone += [alert.id for alert in batch]
        try:
            self._outgoing += await self.in_thread(lambda: self._correlate(batch, reports))
        except Exception:
            # A slip of ours. On disk they stay undone, for the next start; here others go on.
            self._undone = self._undone[: len(self._undone) - len(batch)]
            self._counters["alerts_put_off"] += len(batch)
            if self._queue or self._unverified:
                self._work.set()
            raise
        self._count()
        while self._outgoing:
            await self._dispatch.send(self._outgoing[0])
            self._outgoing.popleft()

    async def retry(self) -> None:
        """Go on with what could not be sent or reasoned about."""
        if self._outgoing or self.engine.pending:
            self._work.set()

    async def trim(self) -> None:
        """Forget on disk what no rule looks back to."""
        await asyncio.to_thread(self.journal.forget, now_us() - HORIZON_US)
        self._counters["journal_dropped"] = self.journal.dropped

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do this in the engine's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _correlate(self, batch: Sequence[Alert], reports: Sequence[Block]) -> list[Outcome]:
        # What is in force first: it changes what is expected.
        now = now_us()
        steady = self.steady_us()
        outcomes = [
            *self.engine.on_blocks(reports, now),
            *self.engine.on_alerts(batch, now, steady),
        ]
        self._conclusions += self.engine.conclusions()
        if self._cooperation is not None:
            self._seen |= {
                alert.source
                for alert in batch
                if alert.source is not None and alert.verified_source
            }
        return outcomes

    async def _cooperate(self, cooperation: Cooperation) -> None:
        heard = [
            waiting.popleft()
            for waiting in self._publications.values()
            for _ in range(min(JUDGED_AT_ONCE, len(waiting)))
        ]
        if any(self._publications.values()):
            self._work.set()
        rulings = list(self._rulings)
        self._rulings.clear()
        seen, self._seen = self._seen, set()
        lifted, self._lifted = self._lifted, set()

        def judge() -> list[Decision]:
            for source in lifted:
                cooperation.ended(source)
            orders = [self._judge(cooperation, one) for one in heard]
            now = self.steady_us()
            orders += [cooperation.on_ruling(block, by, now) for block, by in rulings]
            orders += [cooperation.confirm(one, "evidence of its own", now) for one in seen]
            return [order for order in orders if order is not None]

        if not (heard or rulings or seen or lifted):
            return
        orders = await self.in_thread(judge)
        for order in orders:
            logger.info(
                "on others' word: block %s for %d s", order.source, order.duration_s, extra=ORDER
            )
        await self._dispatch.order_own_gateway(orders)

    def _judge(self, cooperation: Cooperation, one: Publication) -> Decision | None:
        """In the engine's thread, which has the reasoner."""
        now = self.steady_us()
        refusal = cooperation.refusal(one, now)
        if refusal is None and self.engine.is_known_host(one.decision.source):
            refusal = "it is a host that is known to be ours"
        if refusal is not None:
            self._counters["publications_refused"] += 1
            logger.warning(
                "the decision of %s on %s is not followed: %s",
                *(one.cell, one.decision.source, refusal),
            )
            return None
        try:
            called = self.engine.called_for(one.alerts)
        except ReasonerError as e:
            self._counters["publications_unjudged"] += 1
            logger.error("the evidence of %s can't be judged: %s", one.cell, e)
            return None
        self._counters["publications_judged"] += 1
        seen = self.engine.has_seen(one.decision.source)
        return cooperation.accept(one, called, now, seen=seen)

    def _count(self) -> None:
        found = self.engine.counters | self.worker.counters
        self._counters.update({name: n - self._counters[name] for name, n in found.items()})
        self._counters["waiting_for_reasoner"] = self.engine.pending


def _first(queue: deque[Alert], most: int) -> list[Alert]:
    return [queue.popleft() for _ in range(min(most, len(queue)))]
