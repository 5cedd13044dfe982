"""A plug-in detector in a thread of its own: one that hangs delays the other detectors only once.

The analyzer waits `DEADLINE_S` for each answer, so the order of alerts stays what it was. A call
that takes longer is left to itself: the batches that come meanwhile are passed over (counted), and
when it comes back it is asked again. Who keeps failing is switched off until the next start.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from agents.analyzer.findings import Detector, Reporter, View
from ontology.fragments import encode
from ontology.records import Alert

logger = logging.getLogger(__name__)

DEADLINE_S = 2.0
"""For one call. Our eleven detectors together take some milliseconds."""
STUCK_S = 60.0
"""Who has not come back by then is switched off."""
MAX_LATE = 5
"""Calls in a row that missed the deadline: each one held up the node's detection."""
MAX_ERRORS = 100
"""Batches in a row that a detector failed on; fewer may be one stranger's odd packets."""
MAX_ALERTS = 256
"""Of one plug-in for one batch; more are counted and left out."""


@dataclass(slots=True)
class _Call:
    """One question, its answer and how it ended."""

    question: Callable[[_Call], None]
    alerts: list[object] = field(default_factory=list)
    """Filled one by one, unchecked: what was given before a failure counts."""
    answer: Any = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)
    began: float = 0.0


class Guarded:
    """A `Detector` that asks another one, made and called in its own thread, and never fails.

    ``counters`` adds to the detector's own: ``detector.NAME.errors``, ``.cut`` (batches with too
    many alerts), ``.late`` (calls that missed the deadline), ``.skipped`` (batches passed over)
    and ``.off`` (1 once it is switched off).
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Detector],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises: what ``make`` raises; TimeoutError if it takes longer than `DEADLINE_S`."""
        self._name = name
        self._clock = clock
        self._counters: Counter[str] = Counter()
        self._own: dict[str, int] = {}
        self._logged = ""
        self._errors_running = self._late_running = 0
        self._call: _Call | None = None
        self._news = threading.Condition()
        self._next: _Call | None = None
        self._off = False
        threading.Thread(target=self._run, name=f"detector-{name}", daemon=True).start()
        call = self._ask(lambda call: setattr(call, "answer", make()))
        if call is None or not call.done.is_set():
            self._end()
            raise TimeoutError(f"it was not made within {DEADLINE_S:g} s")
        if call.error is not None:
            self._end()
            raise call.error
        self._detector: Detector = call.answer

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        """The detector's alerts, as far as they came in time and can be sent."""
        call = self._ask(lambda call: self._look(call, view, reporter))
        if call is None:
            self._counters["skipped"] += 1
            return []
        # The list as it is now: one that is late may go on adding to it.
        given, error = list(call.alerts), call.error
        alerts: list[Alert] = []
        try:
            for alert in given[:MAX_ALERTS]:
                alerts.append(_checked(alert, reporter))
        except (Exception, SystemExit) as e:
            error = e
        if len(given) > MAX_ALERTS:
            self._counters["cut"] += 1
        if error is not None:
            self._fail(error)
            self._errors_running += 1
            if self._errors_running >= MAX_ERRORS:
                self._switch_off(f"it failed on {MAX_ERRORS} batches in a row")
        elif call.done.is_set():
            self._errors_running = 0
        return alerts

    def counters(self) -> dict[str, int]:
        """The detector's own as it last gave them, and what is counted of it."""
        call = self._ask(self._count)
        if call is not None and call.error is not None:
            self._fail(call.error)
        elif call is not None and call.done.is_set():
            self._own = call.answer
        return self._own | {f"detector.{self._name}.{k}": v for k, v in self._counters.items()}

    def _look(self, call: _Call, view: View, reporter: Reporter) -> None:
        for alert in self._detector.on_view(view, reporter):
            call.alerts.append(alert)
            if len(call.alerts) > MAX_ALERTS:
                break

    def _count(self, call: _Call) -> None:
        call.answer = {str(k): int(v) for k, v in self._detector.counters().items()}

    def _ask(self, question: Callable[[_Call], None]) -> _Call | None:
        """The call when it has ended or its time is up; None if the one before still goes on."""
        if self._off:
            return None
        busy = self._call
        if busy is not None:
            if not busy.done.is_set():
                if self._clock() - busy.began > STUCK_S:
                    self._switch_off(f"it has not come back for {STUCK_S:.0f} s")
                return None
            self._call = None
        call = _Call(question, began=self._clock())
        with self._news:
            self._next = call
            self._news.notify()
        if call.done.wait(DEADLINE_S):
            self._late_running = 0
            return call
        self._call = call
        self._counters["late"] += 1
        self._late_running += 1
        if self._late_running == 1:
            logger.error(
                "detector %r takes more than %g s for a batch, the others go on without it",
                self._name,
                DEADLINE_S,
            )
        if self._late_running >= MAX_LATE:
            self._switch_off(f"it took more than {DEADLINE_S:g} s {MAX_LATE} times in a row")
        return call

    def _fail(self, e: BaseException) -> None:
        self._counters["errors"] += 1
        kind = type(e).__name__
        if self._logged != kind:  # once, not at every batch
            self._logged = kind
            logger.error("detector %r failed, the others go on", self._name, exc_info=e)

    def _switch_off(self, why: str) -> None:
        self._counters["off"] = 1
        logger.error("detector %r is switched off until the next start: %s", self._name, why)
        self._end()

    def _end(self) -> None:
        with self._news:
            self._off = True
            self._news.notify()

    def _run(self) -> None:
        while True:
            with self._news:
                while (call := self._next) is None and not self._off:
                    self._news.wait()
                self._next = None
            if call is None:
                return
            try:
                call.question(call)
            except (Exception, SystemExit) as e:
                call.error = e
            call.done.set()
            del call  # or the batch would be held until the next one


def _checked(alert: object, reporter: Reporter) -> Alert:
    """A plug-in's alert that can be sent on; one that can't would take others with it.

    Raises: TypeError, ValueError.
    """
    if not isinstance(alert, Alert):
        raise TypeError(f"a detector gives Alerts, not {type(alert).__name__}")
    alert = replace(alert, analyzer=reporter.analyzer, sensor=reporter.sensor)
    encode([alert])
    return alert
