"""Windows of one replay become one, in which each alert is as it was last."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.correlation.reasoning import Answer
from agents.offline.window_record import WindowRecord
from agents.settings.honeynet import Policy
from ontology.reasoner.window import Window, build_window
from ontology.reasoner.window_file import MAX_ALERTS, WindowFileError
from tests.agents.correlation.alerts import alert


def record_of(*windows: Window) -> WindowRecord:
    seen: list[Window] = []

    def submit(window: Window, timeout_s: float) -> Answer:
        seen.append(window)
        return object()  # type: ignore[return-value]

    record = WindowRecord(submit)
    for window in windows:
        record.submit(window, 1.0)
    assert seen == list(windows)
    return record


def test_an_alert_that_has_grown_is_there_once() -> None:
    small, grown = (build_window([alert(1, count=n), alert(2)], {}) for n in (1, 7))
    assert record_of(small, grown).window == grown
    other = build_window([alert(3)], {})
    both = record_of(grown, other).window
    assert both.alerts == 3 and set(grown.ntriples.splitlines()) < set(both.ntriples.splitlines())


def test_nothing_and_too_much_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WindowFileError, match="nothing to write"):
        record_of().write(tmp_path / "x.owl", Policy(), "")
    many = build_window([alert(n) for n in range(MAX_ALERTS + 1)], {})
    with pytest.raises(WindowFileError, match="1001 alerts, at most 1000"):
        record_of(many).write(tmp_path / "x.owl", Policy(), "")
    assert list(tmp_path.iterdir()) == []
