"""Alerts on their way: from their message to the disk, through the engine, into the outbox.

The engine works in one thread, because the reasoner blocks; everything else happens in the agent's
loop. An alert is on disk before its message is acknowledged, and marked done only when what
followed from it is in the outbox: a crash in between reasons about it again, with the same ids.
What was concluded of scenarios is stored in the same transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from agents.clock import now_us
from agents.correlation.dispatch import Dispatch
from agents.correlation.engine import HORIZON_US, CorrelationEngine
from agents.correlation.journal import Journal
from agents.correlation.outcome import Outcome
from agents.correlation.scenario_memory import Row
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import ReasonerUnavailable
from ontology.records import Alert, Block

logger = logging.getLogger(__name__)

T = TypeVar("T")

BATCH_S = 0.02
"""How long the first alert waits for company; while a window is reasoned about, more gather."""
MAX_BATCH = 500
MAX_QUEUE = 10_000
"""Alerts waiting in memory; beyond that messages stay unacknowledged and come again."""


class Pipeline:
    """One engine at work.

    Args:
        thread: with one worker, in which everything that touches the engine runs.
        worker: the engine's reasoner.
        dispatch: puts outcomes into the outbox.
        counters: of the agent.
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
    ) -> None:
        self.engine = engine
        self.worker = worker
        self.journal = journal
        self._dispatch = dispatch
        self._thread = thread
        self._counters = counters
        self._queue: deque[Alert] = deque()
        self._undone: list[str] = []
        """Ids taken from the queue whose consequences aren't all in the outbox."""
        self._outgoing: deque[Outcome] = deque()
        self._conclusions: list[Row] = []
        """Not yet on disk."""
        self._reports: deque[Block] = deque(maxlen=MAX_QUEUE)
        """What gateways and the supervisor say is in force, not yet looked at."""
        self._errands: deque[Callable[[], None]] = deque()
        self._work = asyncio.Event()

    async def begin(self) -> None:
        """Remember what was there before a restart, and queue what was not done then."""
        known = self.journal.read(done=True)
        concluded = self.journal.conclusions()
        await self.in_thread(lambda: self.engine.restore(known, now_us(), concluded))
        self._queue.extend(self.journal.read(done=False))
        self._counters["restored"] = len(known) + len(self._queue)
        self._work.set()

    def take(self, alerts: Sequence[Alert]) -> None:
        """Store alerts; they are on disk when this returns. Raises: RuntimeError if too many wait.

        Not a ValueError: unacknowledged, their message comes again later.
        """
        if len(self._queue) + len(alerts) > MAX_QUEUE:
            self._counters["queue_full"] += 1
            raise RuntimeError(f"{len(self._queue)} alerts wait for the reasoner")
        new = self.journal.add(alerts)
        self._counters["alerts_received"] += len(new)
        self._queue.extend(new)
        self._work.set()

    def report(self, blocks: Sequence[Block]) -> None:
        """What is in force, or no longer."""
        self._reports.extend(blocks)
        self._work.set()

    def before_next(self, errand: Callable[[], None]) -> None:
        """Do this in the engine's thread before the next batch."""
        self._errands.append(errand)
        self._work.set()

    @property
    def idle(self) -> bool:
        """Whether all that came was reasoned about, and what follows is in the outbox."""
        return not (self._queue or self._undone or self._reports or self._errands)

    async def start_reasoner(self) -> None:
        """Bring it up, which takes 2 to 6 s; if it does not come, the next window tries again."""
        try:
            await self.in_thread(self.worker.start)
        except ReasonerUnavailable as e:
            self._counters["reasoner_unavailable"] += 1
            logger.error("the reasoner does not start: %s", e)

    async def tick(self) -> None:
        """Wait for work and do one batch of it."""
        await self._work.wait()
        self._work.clear()
        while self._errands:
            await self.in_thread(self._errands.popleft())
        await asyncio.sleep(BATCH_S)
        batch = [self._queue.popleft() for _ in range(min(MAX_BATCH, len(self._queue)))]
        self._undone += [alert.id for alert in batch]
        reports = list(self._reports)
        self._reports.clear()
        if self._queue:
            self._work.set()
        self._outgoing += await self.in_thread(lambda: self._correlate(batch, reports))
        self._count()
        while self._outgoing:
            await self._dispatch.send(self._outgoing[0])
            self._outgoing.popleft()
        done: list[str] = []
        if not self.engine.pending:
            done, self._undone = self._undone, []
        concluded, self._conclusions = self._conclusions, []
        if done or concluded:
            self.journal.done(done, concluded, at_us=now_us())

    async def retry(self) -> None:
        """Go on with what could not be sent or reasoned about."""
        if self._outgoing or self.engine.pending:
            self._work.set()

    async def trim(self) -> None:
        """Forget on disk what no rule looks back to."""
        self.journal.trim(now_us() - HORIZON_US)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do this in the engine's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _correlate(self, batch: Sequence[Alert], reports: Sequence[Block]) -> list[Outcome]:
        # What is in force first: it changes what is expected.
        now = now_us()
        outcomes = [*self.engine.on_blocks(reports, now), *self.engine.on_alerts(batch, now)]
        self._conclusions += self.engine.conclusions()
        return outcomes

    def _count(self) -> None:
        found = self.engine.counters | self.worker.counters
        self._counters.update({name: n - self._counters[name] for name, n in found.items()})
        self._counters["waiting_for_reasoner"] = self.engine.pending
