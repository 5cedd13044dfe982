from __future__ import annotations

import threading
from collections import Counter
from ipaddress import IPv4Address

from agents.correlation.memory import AlertMemory
from agents.correlation.ratings import Rater
from agents.correlation.reasoner_thread import ReasonerThread
from agents.correlation.reasoning import (
    MAX_ATTEMPTS,
    MAX_FAILURES,
    Reasoning,
    Submit,
    in_turn,
)
from agents.settings.honeynet import Policy
from ontology.reasoner.inferences import Inferences, ReasonerCrashed
from ontology.reasoner.window import Window
from ontology.records import Alert
from rules.reactions.reaction_rules import shipped_reactions

WAIT_S = 20.0
ALERTS = [
    Alert(
        id=f"urn:uuid:{i:032x}",
        classification="SynScan",
        source=IPv4Address("192.0.2.1"),
        target=IPv4Address("198.51.100.1") + i,
        protocol=6,
        begin_us=i,
        end_us=i,
        confidence=1.0,
        verified_source=True,
        sensor="s",
        analyzer="a",
        explanation="",
    )
    for i in range(100)
]


def reasoning(submit: Submit, counters: Counter[str]) -> Reasoning:
    memory = AlertMemory(horizon_us=10**9, capacity=1000)
    for alert in ALERTS:
        memory.put(alert)
    return Reasoning(
        submit,
        memory,
        Rater(Policy(), {}, memory, shipped_reactions()),
        joins=None,
        counters=counters,
        timeout_s=1.0,
        capacity=1000,
    )


def test_the_reasoner_works_on_while_an_answer_is_looked_at() -> None:
    class Slow:
        windows = 0
        second = threading.Event()

        def reason(self, window: Window, timeout_s: float) -> Inferences:
            self.windows += 1
            if self.windows == 2:
                self.second.set()
            return Inferences()

    slow = Slow()
    thread = ReasonerThread(slow)
    answers = reasoning(thread.submit, Counter()).infer(ALERTS)
    part, _ = next(answers)
    assert slow.second.wait(WAIT_S)
    parts = [part, *(part for part, _ in answers)]
    thread.close()
    assert slow.windows == len(parts) > 2
    assert sorted(a.id for part in parts for a in part) == [a.id for a in ALERTS]


def test_windows_that_fail_again_and_again_wait_and_end_in_quarantine() -> None:
    class Broken:
        windows = 0

        def reason(self, window: Window, timeout_s: float) -> Inferences:
            self.windows += 1
            raise ReasonerCrashed("out of order")

    broken, counters = Broken(), Counter[str]()
    core = reasoning(in_turn(broken), counters)
    waiting = list(ALERTS)
    for call in range(1, MAX_ATTEMPTS + 1):
        assert not list(core.infer(waiting))
        assert broken.windows == call * MAX_FAILURES
        waiting = [a for a in ALERTS if a.id in core.pending]
        assert len(core.quarantine) + len(waiting) == len(ALERTS)
    assert not waiting and counters["quarantined"] == len(ALERTS)
