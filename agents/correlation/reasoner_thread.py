"""A thread in which the reasoner works on one window while the next one is written."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from ontology.reasoner.inferences import Inferences, Reasoner
from ontology.reasoner.window import Window


class ReasonerThread:
    """One window at a time, in order. `close` it.

    Args:
        reasoner: blocks while it works.
    """

    def __init__(self, reasoner: Reasoner) -> None:
        self._reasoner = reasoner
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="window")

    def submit(self, window: Window, timeout_s: float) -> Future[Inferences]:
        """Hand a window over; its result raises what `Reasoner.reason` raises."""
        return self._thread.submit(self._reasoner.reason, window, timeout_s)

    def close(self) -> None:
        """Wait for the window in hand, if there is one, and end the thread."""
        self._thread.shutdown()
