from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from agents.correlation.memory import AlertMemory
from agents.correlation.packing import (
    ANY_HOSTS,
    PAIRED_HOSTS,
    SOURCE_ALERTS,
    WINDOW_ALERTS,
    Packed,
    Packer,
)
from ontology.chainer.joins import Joins
from ontology.records import Address, Alert
from ontology.vocabulary import IDPS

TARGETS = tuple(IPv4Address("198.51.100.1") + i for i in range(16))
POTS = frozenset(TARGETS[8:])
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


def told(host: Address) -> frozenset[str]:
    return frozenset((IDPS.Host, IDPS.Honeypot) if host in POTS else (IDPS.Host,))


def exploit(number: int) -> Alert:
    """Of one host after another."""
    return replace(
        SWEEP,
        id=f"urn:uuid:00000000-0000-5000-9000-{number:012x}",
        classification="BufferOverflow",
        target=TARGETS[number % len(TARGETS)],
        targets=(),
        begin_us=10_000 + number,
        end_us=10_001 + number,
    )


def sweeps(sources: int, each: int) -> list[Alert]:
    return [
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


def packed(alerts: Sequence[Alert], joins: Joins | None) -> tuple[list[Packed], Packer]:
    memory = AlertMemory(horizon_us=10**9, capacity=10_000, joins=joins)
    for alert in alerts:
        memory.put(alert)
    packer = Packer(memory, joins, told)
    windows = packer.pack(alerts)
    fresh = [alert_id for window in windows for alert_id in window.fresh]
    assert sorted(fresh) == sorted(alert.id for alert in alerts)
    for window in windows:
        assert window.fresh.keys().isdisjoint(window.context)
        assert [a.id for a in packer.alerts(window)] == [*window.fresh, *window.context]
    return windows, packer


def test_sweeps_of_one_source_do_not_all_meet_in_one_window(joins: Joins) -> None:
    windows, packer = packed(sweeps(1, 60), joins)
    for window in windows:
        assert sum(len(a.targets) for a in packer.alerts(window)) <= PAIRED_HOSTS
    for window in packed(sweeps(1, 60), None)[0]:
        assert len(window) <= SOURCE_ALERTS


def test_a_window_has_room_for_several_sources(joins: Joins) -> None:
    for table in (None, joins):
        windows, _ = packed(sweeps(20, 8), table)
        assert max(len(window) for window in windows) <= WINDOW_ALERTS
        assert max(len({m.alert.source for m in w.fresh.values()}) for w in windows) > 5


def test_where_any_host_will_do_a_few_of_each_class_go_in(joins: Joins) -> None:
    ((window,), packer) = packed(sweeps(1, 1), joins)
    (alert,) = packer.alerts(window)
    # An address that is any host's, and honeypots: they are hosts, too.
    assert ANY_HOSTS <= len(alert.targets) <= 2 * ANY_HOSTS
    assert len(POTS.intersection(alert.targets)) == ANY_HOSTS


def test_hosts_that_another_alert_shares_stay(joins: Joins) -> None:
    past, (new,) = sweeps(1, 1), [exploit(5)]
    windows, packer = packed([*past, new], joins)
    told = {a.id: a for window in windows for a in packer.alerts(window)}
    assert new.target in told[past[0].id].targets
    # Who is not in the same conclusion keeps no host for it.
    other = replace(new, source=IPv4Address("203.0.113.9"))
    windows, packer = packed([*past, other], joins)
    told = {a.id: a for window in windows for a in packer.alerts(window)}
    assert new.target not in told[past[0].id].targets


def test_attacks_on_many_hosts_that_were_swept_before_are_split(joins: Joins) -> None:
    windows, packer = packed([*sweeps(1, 4), *(exploit(i) for i in range(16))], joins)
    assert len(windows) > 2
    for window in windows:
        swept = [a for a in packer.alerts(window) if a.classification == "TcpSweep"]
        assert sum(len(a.targets) for a in swept) <= PAIRED_HOSTS


def test_a_context_that_is_too_much_by_itself_is_cut_and_counted(joins: Joins) -> None:
    """A sweep that comes late, after attacks on all of its hosts and with sweeps before it."""
    memory = AlertMemory(horizon_us=10**9, capacity=10_000, joins=joins)
    for alert in (*sweeps(1, 4), *(exploit(i) for i in range(16))):
        memory.put(alert)
    late = replace(SWEEP, id="urn:uuid:00000000-0000-5000-a000-000000000001", begin_us=9_999)
    memory.put(late)
    packer = Packer(memory, joins, told)
    (window,) = packer.pack([late])
    assert packer.left_out > 0
    swept = [a for a in packer.alerts(window) if a.classification == "TcpSweep"]
    assert sum(len(a.targets) for a in swept) <= PAIRED_HOSTS


def test_what_may_be_forged_has_windows_of_its_own_after_the_others(joins: Joins) -> None:
    real = [replace(exploit(n), verified_source=True) for n in range(3)]
    windows, _ = packed([*sweeps(8, 4), *real], joins)
    verified = [
        {member.alert.verified_source for member in window.fresh.values()} for window in windows
    ]
    assert verified[0] == {True} and set().union(*verified[1:]) == {False}
