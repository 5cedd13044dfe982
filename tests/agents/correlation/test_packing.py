from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from agents.correlation.memory import AlertMemory
from agents.correlation.packing import SOURCE_ALERTS, WINDOW_ALERTS, pack
from ontology.records import Alert

TARGETS = tuple(IPv4Address("198.51.100.1") + i for i in range(16))
SWEEP = Alert(
    id="",
    classification="TcpSweep",
    source=IPv4Address("192.0.2.1"),
    target=None,
    targets=TARGETS,
    protocol=6,
    begin_us=0,
    end_us=1,
    confidence=1.0,
    verified_source=False,
    sensor="test",
    analyzer="test",
    explanation="",
)


def packed(sources: int, each: int) -> list[tuple[list[Alert], list[Alert]]]:
    memory = AlertMemory(horizon_us=10**9, capacity=10_000)
    alerts = [
        replace(
            SWEEP,
            id=f"urn:uuid:{source:08x}-0000-5000-8000-{number:012x}",
            source=IPv4Address("192.0.2.1") + source,
            begin_us=number,
            end_us=number + 1,
        )
        for source in range(sources)
        for number in range(each)
    ]
    for alert in alerts:
        memory.put(alert)
    windows = pack(alerts, memory.context)
    fresh = [alert.id for part, _ in windows for alert in part]
    assert sorted(fresh) == sorted(alert.id for alert in alerts)
    for part, beside in windows:
        assert {a.id for a in part}.isdisjoint(a.id for a in beside)
    return windows


def test_sweeps_of_one_source_do_not_all_meet_in_one_window() -> None:
    for part, beside in packed(1, 200):
        assert len({a.id for a in (*part, *beside)}) <= SOURCE_ALERTS


def test_a_window_has_room_for_several_sources() -> None:
    windows = packed(60, 10)
    assert max(len(part) + len(beside) for part, beside in windows) <= WINDOW_ALERTS
    assert max(len({a.source for a in part}) for part, _ in windows) > 5
