from __future__ import annotations

import threading

import pytest

from agents.correlation.reasoner_thread import ReasonerThread
from ontology.reasoner.inferences import Inferences, ReasonerTimeout
from ontology.reasoner.window import Window

WINDOW = Window(b"", 0)


class Slow:
    """Answers when it may."""

    def __init__(self) -> None:
        self.may = threading.Event()

    def reason(self, window: Window, timeout_s: float) -> Inferences:
        if not self.may.wait(timeout_s):
            raise ReasonerTimeout("slow")
        return Inferences(reasoning_us=7)


def test_a_window_is_handed_over_without_waiting() -> None:
    slow = Slow()
    thread = ReasonerThread(slow)
    answer = thread.submit(WINDOW, 20.0)
    assert not answer.done()
    slow.may.set()
    assert answer.result(20.0).reasoning_us == 7
    thread.close()


def test_what_the_reasoner_raises_is_the_result() -> None:
    thread = ReasonerThread(Slow())
    with pytest.raises(ReasonerTimeout):
        thread.submit(WINDOW, 0.01).result(20.0)
    thread.close()
