"""Detectors that do not come back, seen through their guard."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from agents.analyzer import plugin_guard
from agents.analyzer.findings import Reporter, View
from agents.analyzer.plugin_guard import Guarded
from ontology.records import Alert

VIEW, REPORTER = cast("View", None), cast("Reporter", None)


class Gate:
    """Comes back when it is let; counts what it was asked."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.asked = 0
        self.error: Exception | None = None

    def on_view(self, view: View, reporter: Reporter) -> Iterator[Alert]:
        self.asked += 1
        self.open.wait(30)
        if self.error is not None:
            raise self.error
        yield from ()

    def counters(self) -> dict[str, int]:
        return {"asked": self.asked}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for: every call that does not come back at once is late."""
    monkeypatch.setattr(plugin_guard, "DEADLINE_S", 0.7)


def guarded(gate: Any, clock: Clock | None = None) -> Guarded:
    return Guarded("gate", lambda: gate, clock=clock or Clock())


@pytest.mark.usefixtures("quick")
def test_one_that_hangs_is_waited_for_once_and_asked_again_when_it_is_back(gate: Gate) -> None:
    watched = guarded(gate)
    for _ in range(4):
        assert watched.on_view(VIEW, REPORTER) == []
    counted = watched.counters()
    assert (counted["detector.gate.late"], counted["detector.gate.skipped"]) == (1, 3)
    assert gate.asked == 1
    busy = watched._call
    assert busy is not None
    gate.open.set()
    assert busy.done.wait(30)
    watched.on_view(VIEW, REPORTER)
    assert gate.asked == 2


@pytest.mark.usefixtures("quick")
def test_one_that_stays_away_is_switched_off(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    watched = guarded(gate, clock)
    watched.on_view(VIEW, REPORTER)
    clock.now = plugin_guard.STUCK_S + 1
    watched.on_view(VIEW, REPORTER)
    assert watched.counters()["detector.gate.off"] == 1
    gate.open.set()
    watched.on_view(VIEW, REPORTER)
    assert gate.asked == 1
    told = [record.getMessage() for record in caplog.records]
    assert told[-1] == (
        "detector 'gate' is switched off until the next start: it has not come back for 60 s"
    )


def test_one_that_always_fails_is_switched_off(gate: Gate) -> None:
    gate.open.set()
    gate.error = ValueError("on purpose")
    watched = guarded(gate)
    for _ in range(plugin_guard.MAX_ERRORS + 5):
        watched.on_view(VIEW, REPORTER)
    counted = watched.counters()
    assert gate.asked == counted["detector.gate.errors"] == plugin_guard.MAX_ERRORS
    assert (counted["detector.gate.off"], counted["detector.gate.skipped"]) == (1, 5)


def test_one_that_fails_now_and_then_goes_on(gate: Gate) -> None:
    gate.open.set()
    watched = guarded(gate)
    for number in range(2 * plugin_guard.MAX_ERRORS):
        gate.error = ValueError("on purpose") if number % 3 else None
        watched.on_view(VIEW, REPORTER)
    assert "detector.gate.off" not in watched.counters()
    assert watched.counters()["asked"] == 2 * plugin_guard.MAX_ERRORS


@pytest.mark.usefixtures("quick")
def test_one_that_can_not_be_made_in_time_is_refused(gate: Gate) -> None:
    with pytest.raises(TimeoutError, match=r"not made within 0\.7 s"):
        Guarded("gate", lambda: (gate.open.wait(30), gate)[1])
