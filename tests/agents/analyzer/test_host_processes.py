"""An outgoing attack names the process behind it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from agents.analyzer.core import AnalyzerCore
from agents.analyzer.host_processes import MAX_HELD, ROUNDS, SLACK_US, HostProcesses
from ontology.host_event import MAX_EVENTS_OF_ALERT, HostEvent
from ontology.records import Alert
from tests.factories import ATTACKER, T0, VICTIM, make_alert, record_id

POT = ATTACKER
"""In the benches of this folder connections come from here."""


def event(number: int = 1, **changes: Any) -> HostEvent:
    values: dict[str, Any] = {
        "event_kind": "connection",
        "host": ip_address(POT),
        "target": ip_address(VICTIM),
        "target_port": 443,
        "begin_us": T0,
        "user_name": "www-data",
        "process_id": 4711,
        "parent_process_id": 4000,
        "program": "/home/.x",
        "sensor": "s",
    } | changes
    return HostEvent(id=record_id(f"event {number}"), **values)


def started(number: int = 2, **changes: Any) -> HostEvent:
    values = {"event_kind": "execution", "target": None, "target_port": None} | changes
    return event(number, **values)


OUTGOING = make_alert(
    classification="OutgoingContact", source=POT, target=VICTIM, target_port=443, explanation="why"
)


def named(alert: Alert, *events: HostEvent) -> Alert:
    processes = HostProcesses()
    processes.take(events)
    [found] = processes.name([alert]) or processes.release(final=True)
    return found


def test_program_user_parent_and_command_are_named() -> None:
    shell = started(3, process_id=4000, program="/bin/bash", parent_process_id=1)
    run = started(command_line=".x -t 9", source=ip_address("192.0.2.99"))
    found = named(OUTGOING, shell, run, event(source=ip_address("192.0.2.99")))
    assert found.explanation == (
        "why; opened by process 4711 '/home/.x' of user www-data, command '.x -t 9', started by "
        "process 4000 '/bin/bash', in a session from 192.0.2.99"
    )
    assert found.host_events == tuple(sorted((event().id, run.id)))
    assert (found.source, found.verified_source) == (OUTGOING.source, OUTGOING.verified_source)


@pytest.mark.parametrize(
    "changes",
    [
        {"host": ip_address("192.0.2.67")},
        {"target": ip_address("203.0.113.1")},
        {"target_port": 80},
        {"begin_us": T0 + SLACK_US + 1},
        {"begin_us": T0 - SLACK_US - 1},
        {"process_id": None},
    ],
    ids=["host", "destination", "port", "later", "earlier", "no process"],
)
def test_another_connection_explains_nothing(changes: dict[str, Any]) -> None:
    assert named(OUTGOING, event(**changes)) == OUTGOING


def test_alerts_that_are_not_outgoing_wait_for_nothing() -> None:
    processes = HostProcesses()
    processes.take([event()])
    incoming = make_alert(source=POT, target=VICTIM, target_port=443)
    assert processes.name([incoming]) == [incoming]
    other = replace(OUTGOING, source=ip_address("192.0.2.67"))
    assert processes.name([other]) == [other]


def test_an_alert_waits_for_its_process_and_not_for_ever() -> None:
    processes = HostProcesses([ip_address(POT)])
    assert processes.name([OUTGOING]) == []
    processes.take([event()])
    [found] = processes.release(waited=False)
    assert "/home/.x" in found.explanation
    late = HostProcesses([ip_address(POT)])
    assert late.name([OUTGOING]) == []
    waited = [late.release() for _ in range(ROUNDS)]
    assert waited == [*[[]] * (ROUNDS - 1), [OUTGOING]]
    assert late.counters["processes_unknown"] == 1


def test_what_waits_is_bounded_and_nothing_is_lost() -> None:
    processes = HostProcesses([ip_address(POT)])
    ready = [processes.name([replace(OUTGOING, id=record_id(n))]) for n in range(MAX_HELD + 5)]
    assert sum(map(len, ready)) == 5
    assert len(processes.release(final=True)) == MAX_HELD


def test_of_many_processes_the_busiest_are_named() -> None:
    many = [event(n, process_id=n // 2 or 1, program=f"/p{n // 2}") for n in range(2, 40)]
    sweep = replace(OUTGOING, target=None, targets=(ip_address(VICTIM),), target_port=None)
    found = named(sweep, *many)
    assert found.explanation.count("process ") == 6  # three, each with its parent
    assert "; and by 16 more" in found.explanation
    assert len(found.host_events) <= MAX_EVENTS_OF_ALERT


def test_a_process_number_used_again_lends_no_command() -> None:
    old = started(program="/usr/bin/apt", command_line="apt update")
    found = named(OUTGOING, old, event(command_line="own title"))
    assert "apt" not in found.explanation
    assert "own title" in found.explanation


def test_memory_is_bounded() -> None:
    processes = HostProcesses()
    for n in range(300):
        processes.take([event(n, host=ip_address("10.0.0.0") + n)])
    assert len(processes._hosts) == 256
    processes.take([event(n, process_id=n) for n in range(5000)])
    assert len(processes._hosts[ip_address(POT)].connections) == 2000


def contact(bench: Any, events: list[HostEvent]) -> list[Alert]:
    pot = ip_address(POT)
    core = AnalyzerCore(bench.blank_model(), analyzer="a", honeypots=[pot], reporting=[pot])
    found = core.on_batch(bench.batch([bench.session(dst_port=443)]))
    assert found == []  # it waits
    found = core.on_host_events(events, T0)
    return found + core.release(T0, final=True)


def test_a_honeypot_that_calls_out_names_its_process_and_without_its_log_does_not(
    bench: Any,
) -> None:
    """The whole core: the event taken away, the explanation lacks what it told."""
    [with_log] = contact(bench, [event()])
    [without] = contact(bench, [])
    assert with_log.classification == without.classification == "OutgoingContact"
    assert "process 4711 '/home/.x' of user www-data" in with_log.explanation
    assert with_log.host_events == (event().id,)
    assert "process" not in without.explanation
    assert without.host_events == ()
    assert with_log.id == without.id
