"""New alerts to the reasoner, window by window, and what becomes of windows that fail.

No alert is lost without a count: what the reasoner can't digest is tried again in smaller windows,
then alone, then on later calls, and at last put into quarantine.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

from agents.correlation.memory import AlertMemory
from agents.correlation.packing import Packed, Packer
from agents.correlation.probation import Probation
from agents.correlation.ratings import Rater
from ontology.chainer.joins import Joins
from ontology.reasoner.inferences import (
    Inferences,
    Reasoner,
    ReasonerError,
    ReasonerUnavailable,
)
from ontology.reasoner.window import Window
from ontology.records import Address, Alert

logger = logging.getLogger(__name__)

MAX_FAILURES = 12
"""Failed windows per call; the rest waits, so that a poisoned rule can't hold us for long."""
MAX_ATTEMPTS = 3
"""Calls in which an alert may fail before it goes into quarantine."""


class Answer(Protocol):
    """What the reasoner will say of a window (a ``concurrent.futures.Future`` is one)."""

    def result(self) -> Inferences:
        """Waits for it. Raises: what `Reasoner.reason` raises."""
        ...


Submit = Callable[[Window, float], Answer]
"""Hands a window, with its time limit in seconds, to the reasoner, and need not wait."""


class _Asked:
    """An answer that is worked out when somebody wants it."""

    def __init__(self, work: Callable[[], Inferences]) -> None:
        self.result = work


_Running = tuple[Packed, Window, Answer]
"""What is being reasoned about."""


def in_turn(reasoner: Reasoner) -> Submit:
    """The reasoner works while its answer is waited for, and nothing else goes on meanwhile."""
    return lambda window, timeout_s: _Asked(partial(reasoner.reason, window, timeout_s))


class Reasoning:
    """Windows of one engine; not thread-safe.

    Args:
        submit: takes windows to the reasoner; the next one is written while it works.
        memory: where the context of new alerts comes from.
        rater: writes windows.
        joins: which alerts can meet in a rule; None if that is not known.
        counters: counts here.
        timeout_s: time limit of one window.
        capacity: alerts that may wait.
        probation: told what becomes of windows; None if there are no rules to go back to.
    """

    def __init__(
        self,
        submit: Submit,
        memory: AlertMemory,
        rater: Rater,
        *,
        joins: Joins | None,
        counters: Counter[str],
        timeout_s: float,
        capacity: int,
        probation: Probation | None = None,
    ) -> None:
        self._probation = Probation(lambda: None) if probation is None else probation
        self._submit = submit
        self._memory = memory
        self._rater = rater
        self._packer = Packer(memory, joins, partial(_classes_of, joins, rater), rater.riskiest)
        self._counters = counters
        self._timeout_s = timeout_s
        self._capacity = capacity
        self.pending: OrderedDict[str, int] = OrderedDict()
        """Ids of alerts that wait for another try → calls in which they failed."""
        self.quarantine: OrderedDict[str, str] = OrderedDict()
        """Ids of alerts that the reasoner could not digest, and why; the latest 1,000."""

    def set_joins(self, joins: Joins | None) -> None:
        """From the next window on choose by this table."""
        left_out = self._packer.left_out
        rater = self._rater
        classes_of = partial(_classes_of, joins, rater)
        self._packer = Packer(self._memory, joins, classes_of, rater.riskiest)
        self._packer.left_out = left_out

    def infer(self, fresh: list[Alert]) -> Iterator[tuple[list[Alert], Inferences]]:
        """Reason about all of ``fresh``, window by window; failures are split up."""
        todo = list(reversed(self._pack(fresh)))
        failures = 0
        running: _Running | None = None
        while todo or running is not None:
            if running is None:
                running = self._start(todo.pop())
            window, written, answer = running
            running, part = None, _fresh(window)
            if todo:
                # While the reasoner works.
                self._write(todo[-1])
            try:
                inferences = answer.result()
            except ReasonerUnavailable as e:
                logger.error("no reasoner: %s", e)
                self._counters["reasoner_unavailable"] += 1
                for waiting in [*todo, window]:
                    self._defer(_fresh(waiting), str(e), attempt=0)
                return
            except ReasonerError as e:
                failures += 1
                self._counters["failed_windows"] += 1
                logger.warning("a window of %d alerts failed: %s", len(part), e)
                if self._probation.failed(written):
                    # It may be the rules: nobody's alert is to suffer for that.
                    for waiting in [*todo, window]:
                        self._defer(_fresh(waiting), str(e), attempt=0)
                    return
                if len(part) > 1:
                    half = len(part) // 2
                    todo += [*self._pack(part[half:]), *self._pack(part[:half])]
                elif window.context:
                    context = list(window.context.items())
                    todo.append(Packed(window.fresh, dict(context[: len(context) // 2])))
                else:
                    self._quarantine(part[0].id, str(e))
                if failures >= MAX_FAILURES:
                    for waiting in todo:
                        self._defer(_fresh(waiting), "too many windows failed")
                    return
                continue
            self._probation.answered()
            if todo:
                # It works on while the caller looks at this answer.
                running = self._start(todo.pop())
            for alert in part:
                self.pending.pop(alert.id, None)
            yield part, inferences

    def ask(self, alerts: Sequence[Alert]) -> Inferences:
        """What follows from these alerts alone. Raises: ReasonerError."""
        return self._submit(self._rater.window(alerts), self._timeout_s).result()

    def _start(self, packed: Packed) -> _Running:
        self._write(packed)
        window, packed.written = packed.written, None
        assert window is not None  # noqa: S101
        timeout_s = self._probation.timeout_s(self._timeout_s)
        return packed, window, self._submit(window, timeout_s)

    def _write(self, packed: Packed) -> None:
        if packed.written is None:
            packed.written = self._rater.window(self._packer.alerts(packed))

    def _pack(self, fresh: Sequence[Alert]) -> list[Packed]:
        windows = self._packer.pack(fresh)
        self._counters["left_out"] = self._memory.left_out + self._packer.left_out
        self._counters["evicted"] = self._memory.evicted[True]
        self._counters["evicted_unverified"] = self._memory.evicted[False]
        return windows

    def _defer(self, alerts: Iterable[Alert], why: str, *, attempt: int = 1) -> None:
        for alert in alerts:
            attempts = self.pending.get(alert.id, 0) + attempt
            if attempts >= MAX_ATTEMPTS:
                self._quarantine(alert.id, why)
            else:
                self.pending[alert.id] = attempts
        while len(self.pending) > self._capacity:
            self._quarantine(next(iter(self.pending)), "too many alerts wait")

    def _quarantine(self, alert_id: str, why: str) -> None:
        self.pending.pop(alert_id, None)
        self._counters["quarantined"] += 1
        logger.error("alert %s can't be correlated: %s", alert_id, why)
        self.quarantine[alert_id] = why
        while len(self.quarantine) > 1000:
            self.quarantine.popitem(last=False)


def _classes_of(joins: Joins | None, rater: Rater, host: Address) -> frozenset[str]:
    return frozenset() if joins is None else joins.asked_of(rater.roles(host))


def _fresh(window: Packed) -> list[Alert]:
    return [member.alert for member in window.fresh.values()]
