"""Who reads for a while before writing is no stranger."""

from __future__ import annotations

from typing import Any

import pytest

from agents.analyzer import familiar_masters
from agents.analyzer.familiar_masters import POLLS, REQUEST_BYTES
from ontology.records import INDICATORS

WRITTEN = 1 << INDICATORS.index("ControllerWritten")
ASKED = 1 << INDICATORS.index("ControllerAsked")
ENOUGH = POLLS * REQUEST_BYTES


def polls(bench: Any, size: int = ENOUGH, **row: Any) -> Any:
    return bench.session(**({"dst_port": 502, "orig_bytes": size, "resp_bytes": 90} | row))


def tells(bench: Any, marks: int = WRITTEN, **row: Any) -> Any:
    return polls(bench, 12, indicators=marks, **row)


def abuse(bench: Any, rows: list[Any], *, cut: int = 0) -> list[Any]:
    found = bench.alerts(rows, cut=cut)
    return [a for a in found if a.classification == "ControlSystemAbuse"]


@pytest.mark.parametrize("cut", [0, 1])
def test_who_has_polled_may_write(bench: Any, cut: int) -> None:
    assert abuse(bench, [polls(bench, at=0), tells(bench, at=5)], cut=cut) == []
    for rows in (
        [polls(bench, ENOUGH - REQUEST_BYTES, at=0), tells(bench, at=5)],
        [tells(bench, at=0), polls(bench, at=5)],
        [polls(bench, at=0, src="192.0.2.9"), tells(bench, at=5)],
        [polls(bench, at=0, dst_port=80), tells(bench, at=5)],
        [polls(bench, at=0, resp_bytes=0, resp_flags="SA"), tells(bench, at=5)],
    ):
        [alert] = abuse(bench, rows, cut=cut)
        assert (str(alert.source), alert.confidence) == (bench.attacker, 0.4)


def test_low_stays_low_and_two_kinds_are_more(bench: Any) -> None:
    found = abuse(bench, [tells(bench, at=n) for n in range(20)], cut=1)
    assert {a.confidence for a in found} == {0.4}
    [alert] = abuse(bench, [tells(bench, at=0), tells(bench, ASKED, at=1)])
    assert alert.confidence > 0.5


def test_pairs_are_bounded(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(familiar_masters, "MAX_PAIRS", 10)
    core = bench.core()
    core.on_batch(bench.batch([polls(bench, dst=f"192.0.2.{n}") for n in range(30)]))
    assert core.counters()["masters_evicted"] == 20
