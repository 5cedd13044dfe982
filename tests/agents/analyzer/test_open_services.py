from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.analyzer import open_services
from agents.analyzer.open_services import CONTROLLED, TAKEN
from ontology.records import INDICATORS

CONTROL = 1 << INDICATORS.index("ServiceControl")
TAKEOVER = CONTROL | 1 << INDICATORS.index("ServiceTakeover")


def abuse(bench: Any, marks: int, *, honeypots: tuple[str, ...] = (), count: int = 1) -> list[Any]:
    core = bench.core(honeypots=honeypots)
    rows = [bench.session(at=i, dst_port=6379, indicators=marks) for i in range(count)]
    found = core.on_batch(bench.batch([np.concatenate(rows)]))
    return [a for a in found if a.classification == "ConfigurationAbuse"]


def test_a_takeover_is_one_anywhere(bench: Any) -> None:
    [alert] = abuse(bench, TAKEOVER)
    assert (str(alert.source), str(alert.target)) == (bench.attacker, bench.victim)
    assert (alert.confidence, alert.target_port, alert.verified_source) == (TAKEN, 6379, True)
    [again] = abuse(bench, TAKEOVER, count=20)
    assert again.confidence == pytest.approx(TAKEN + 0.15)


def test_control_is_an_owners_work_except_on_a_honeypot(bench: Any) -> None:
    assert abuse(bench, CONTROL) == []
    [alert] = abuse(bench, CONTROL, honeypots=(bench.victim,))
    assert (alert.confidence, "honeypot" in alert.explanation) == (CONTROLLED, True)


def test_what_is_not_marked_is_none(bench: Any) -> None:
    assert abuse(bench, 0, honeypots=(bench.victim,)) == []


def test_pairs_are_bounded_and_counted(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_services, "MAX_PAIRS", 10)
    core = bench.core()
    rows = [bench.session(dst=f"192.0.2.{i}", indicators=TAKEOVER) for i in range(30)]
    core.on_batch(bench.batch(rows))
    assert core.counters()["service_abuse_evicted"] == 20
