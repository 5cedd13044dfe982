"""What a host's own records say, on its way from a parser to a `HostEvent`; and how many of them.

A program that opens connections in a loop would fill messages and archive: each kind of event has a
budget for every stretch of the log's own time, and one process at most a third of it.
"""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Final

from agents.sensor.inputs.events import Host, Options, clean
from agents.sensor.inputs.record_ids import urn
from agents.sensor.inputs.sightings import HostSighting as HostSighting
from ontology.host_event import MAX_TEXT, HostEvent, HostEventKind

SPAN_US: Final = 10_000_000
BUDGET: Final[dict[HostEventKind, int]] = {
    "login": 100,
    "logout": 100,
    "execution": 300,
    "connection": 300,
    "file-creation": 200,
}
"""Events of a host in `SPAN_US` of its log; more are counted only."""
_SHARE: Final = 3
_NAMESPACE = uuid.UUID("0f5d6a51-5c0e-5d3c-8a55-3f0f0a7c1d42")


def host_of(options: Options, version: int | None = None) -> Host:
    """The host whose log it is, by an address of the wanted family if it has one.

    Where neither the input nor the node has an address it is the unspecified one, which no
    connection is joined with.
    """
    wanted = (version,) if version else ()
    for family in (*wanted, 4, 6):
        found = options.this_host(family)
        if not found.value.is_unspecified:
            return found
    return options.this_host(4)


def make_event(seen: HostSighting, sensor: str) -> HostEvent:
    """The record; its id follows from host, time and place in the log."""
    name = f"{sensor}/{seen.host.value}/{seen.kind}/{seen.key}"
    return HostEvent(
        id=urn(_NAMESPACE, name),
        event_kind=seen.kind,
        host=seen.host.value,
        source=seen.source.value if seen.source else None,
        target=seen.target.value if seen.target else None,
        target_port=seen.target_port,
        begin_us=seen.at_us,
        user_name=_text(seen.user),
        login_name=_text(seen.login),
        session_name=_text(seen.session),
        process_id=seen.process,
        parent_process_id=seen.parent,
        program=_text(seen.program),
        command_line=_text(seen.command_line),
        file_path=_text(seen.file_path),
        succeeded=seen.succeeded,
        sensor=sensor,
    )


def _text(text: str) -> str:
    # Escapes make unprintable text longer: twice is bounded.
    return clean(text, MAX_TEXT)[:MAX_TEXT]


class Budget:
    """How many events of one log go on."""

    def __init__(self) -> None:
        self._span = -1
        self._used: Counter[str] = Counter()
        self._of_process: Counter[tuple[str, int | None]] = Counter()

    def admits(self, seen: HostSighting) -> bool:
        """False if the event is one too many; it is counted as admitted otherwise."""
        span = seen.at_us // SPAN_US
        if span > self._span:
            self._span = span
            self._used.clear()
            self._of_process.clear()
        limit = BUDGET[seen.kind]
        process = seen.kind, seen.process
        if self._used[seen.kind] >= limit:
            return False
        # Each failed login has a process of its own, each sshd's child; nothing to share out.
        if self._of_process[process] >= max(limit // _SHARE, 1):
            return False
        self._used[seen.kind] += 1
        self._of_process[process] += 1
        return True
