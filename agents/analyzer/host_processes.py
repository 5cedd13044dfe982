"""Which process stands behind an outgoing attack, by what the host itself recorded.

Events of hosts (`HostEvent`) are joined with alerts by host, destination, port and time. They come
a moment after the packets, so an outgoing alert of a host that reports connections waits a little
for its process; it blocks nobody, so nothing is late. An event explains; it verifies nothing:
whoever has taken a host can have anything written there.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from cachetools import LRUCache

from agents.analyzer.findings import SECOND
from ontology.host_event import MAX_EVENTS_OF_ALERT, HostEvent, account_names
from ontology.records import Address, Alert
from ontology.taxonomy import superclasses

MAX_HOSTS: Final = 256
MAX_CONNECTIONS: Final = 2_000
"""Of each host, the latest."""
MAX_PROCESSES: Final = 2_000
"""Started ones, of each host."""
SLACK_US: Final = 60 * SECOND
"""How far a host's clock may be from its sensor's: no two clocks agree (decision 19)."""
ROUNDS: Final = 4
"""Calls of `HostProcesses.release` that an alert waits for."""
MAX_HELD: Final = 256
NAMED: Final = 3
"""Processes that an explanation names."""
_SHOWN = 100


@dataclass(slots=True)
class _Host:
    connections: deque[HostEvent] = field(default_factory=lambda: deque(maxlen=MAX_CONNECTIONS))
    started: LRUCache[int, HostEvent] = field(default_factory=lambda: LRUCache(MAX_PROCESSES))


@dataclass(slots=True)
class _Held:
    alert: Alert
    rounds: int = 0


class HostProcesses:
    """Bounded memory of what processes did, and alerts that wait for theirs."""

    def __init__(self, reporting: Iterable[Address] = ()) -> None:
        """``reporting``: hosts whose audit log is read; others are known when they report."""
        self._reporting = frozenset(reporting)
        self._hosts: LRUCache[Address, _Host] = LRUCache(MAX_HOSTS)
        self._held: list[_Held] = []
        self.counters: Counter[str] = Counter()
        """host_events, processes_named, processes_unknown (alerts that waited in vain)."""

    def take(self, events: Iterable[HostEvent]) -> None:
        """Remember connections, and who started which program."""
        for event in events:
            self.counters["host_events"] += 1
            if event.event_kind not in ("connection", "execution") or event.process_id is None:
                continue
            known = self._hosts.get(event.host)
            if known is None:
                known = self._hosts[event.host] = _Host()
            if event.event_kind == "connection":
                known.connections.append(event)
            else:
                known.started[event.process_id] = event

    def name(self, alerts: Iterable[Alert]) -> list[Alert]:
        """The alerts that can go on, with their processes; others wait for `release`."""
        ready = []
        for alert in alerts:
            if not self._concerns(alert):
                ready.append(alert)
                continue
            named = self._named(alert)
            if named is not None or len(self._held) >= MAX_HELD:
                ready.append(named or alert)
            else:
                self._held.append(_Held(alert))
        return ready

    def release(self, *, waited: bool = True, final: bool = False) -> list[Alert]:
        """Alerts whose process is known by now, or that have waited long enough.

        Args:
            waited: a round of waiting is over.
            final: none waits any longer.
        """
        if not self._held:
            return []
        ready: list[Alert] = []
        waiting = []
        for held in self._held:
            held.rounds += waited
            named = self._named(held.alert)
            if named is None and not final and held.rounds < ROUNDS:
                waiting.append(held)
                continue
            self.counters["processes_unknown"] += named is None
            ready.append(named or held.alert)
        self._held = waiting
        return ready

    def _concerns(self, alert: Alert) -> bool:
        """Is its source a host that tells of its connections?"""
        ancestry = (alert.classification, *superclasses(alert.classification))
        if "OutgoingAttack" not in ancestry or alert.source is None:
            return False
        known = self._hosts.get(alert.source)
        return alert.source in self._reporting or (known is not None and bool(known.connections))

    def _named(self, alert: Alert) -> Alert | None:
        assert alert.source is not None  # noqa: S101
        known = self._hosts.get(alert.source)
        if known is None:
            return None
        behind = _behind(alert, known.connections)
        if not behind:
            return None
        self.counters["processes_named"] += 1
        names, ids = [], []
        for event in behind[:NAMED]:
            start = known.started.get(event.process_id or 0)
            if start is not None and start.program != event.program:
                start = None  # the number is another process's by now
            names.append(_described(event, start, known))
            ids += [event.id] if start is None else [event.id, start.id]
        more = len(behind) - NAMED
        words = "; and by ".join(names) + (f"; and by {more} more" if more > 0 else "")
        return replace(
            alert,
            explanation=f"{alert.explanation}; opened by {words}",
            host_events=tuple(sorted({*alert.host_events, *ids})[:MAX_EVENTS_OF_ALERT]),
            users=account_names((*alert.users, *(e.login_name or e.user_name for e in behind))),
        )


def _behind(alert: Alert, connections: Sequence[HostEvent]) -> list[HostEvent]:
    """One connection of each process that opened some of the alert's, most first."""
    targets = set(alert.targets) | ({alert.target} if alert.target else set())
    begin, end = alert.begin_us - SLACK_US, alert.end_us + SLACK_US
    count: Counter[tuple[int | None, str]] = Counter()
    first: dict[tuple[int | None, str], HostEvent] = {}
    for event in connections:
        if event.target not in targets or not begin <= event.begin_us <= end:
            continue
        if alert.target_port is not None and event.target_port != alert.target_port:
            continue
        process = event.process_id, event.program
        count[process] += 1
        first.setdefault(process, event)
    return [first[process] for process, _ in count.most_common()]


def _described(event: HostEvent, start: HostEvent | None, known: _Host) -> str:
    who = f" of user {event.user_name}" if event.user_name else ""
    if event.login_name and event.login_name != event.user_name:
        who += f" (logged in as {event.login_name})"
    words = f"process {event.process_id} {event.program[:_SHOWN]!r}{who}"
    command = start.command_line if start is not None else event.command_line
    if command:
        words += f", command {command[:_SHOWN]!r}"
    if event.parent_process_id is not None:
        words += f", started by process {event.parent_process_id}"
        parent = known.started.get(event.parent_process_id)
        if parent is not None:
            words += f" {parent.program[:_SHOWN]!r}"
    if event.source is not None:
        words += f", in a session from {event.source}"
    return words
