"""A stranger's session on a honeypot fetches a program and starts it, by what the host recorded.

A host that was taken records what its new owner likes, the address of a session too: such an alert
is never verified and blocks nobody by itself. It completes what rules know from elsewhere, as that
the same source guessed passwords there (rule ``BruteForceThenInstallation``).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from posixpath import basename
from typing import Final

from cachetools import LRUCache

from ontology.host_event import MAX_EVENTS_OF_ALERT, HostEvent, account_names
from ontology.records import Address, Alert

MAX_SESSIONS: Final = 1_024
MAX_FILES: Final = 256
"""Made in one session."""
FETCHERS: Final = frozenset(
    "wget curl tftp ftp ftpget lftp scp sftp sftp-server rsync aria2c axel fetch lwp-download "
    "nc ncat netcat socat busybox".split()
)
"""Programs that bring files (MITRE ATT&CK T1105)."""
INTERPRETERS: Final = frozenset(
    "sh bash dash ash zsh ksh busybox perl python python2 python3 php ruby node".split()
)
ANYBODYS: Final = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/", "/var/run/", "/home/", "/root/")  # noqa: S108
"""Where no program of the system lies."""
_NAMESPACE = uuid.UUID("8a1be0f8-7e7a-5d53-8a35-0c6f6f2f0b77")
_SHOWN = 100


@dataclass(slots=True)
class _Session:
    fetched: HostEvent | None = None
    """What was started to bring a file."""
    made: dict[str, HostEvent] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)


class Installations:
    """One per analyzer. ``honeypots``: elsewhere people do this all day."""

    def __init__(self, honeypots: Iterable[Address], analyzer: str) -> None:
        self._honeypots = frozenset(honeypots)
        self._analyzer = analyzer
        self._sessions: LRUCache[tuple[Address, Address, str], _Session] = LRUCache(MAX_SESSIONS)

    def on_events(self, events: Iterable[HostEvent]) -> list[Alert]:
        """What is new by these events; they come in the order of their host's log."""
        alerts = []
        for event in events:
            if event.source is None or event.host not in self._honeypots or not event.succeeded:
                continue
            key = event.host, event.source, event.session_name
            session = self._sessions.get(key)
            if session is None or event.event_kind == "login":
                session = self._sessions[key] = _Session()
            if event.event_kind == "file-creation" and len(session.made) < MAX_FILES:
                session.made.setdefault(event.file_path, event)
            elif event.event_kind == "execution":
                started = self._started(session, event)
                if started is not None:
                    alerts.append(started)
                if basename(event.program) in FETCHERS:
                    session.fetched = event
        return alerts

    def _started(self, session: _Session, event: HostEvent) -> Alert | None:
        source = session.made.get(event.program) or _script(session, event)
        if source is None and event.program.startswith(ANYBODYS):
            source = session.fetched
        program = event.program if source is None or event.program in session.made else ""
        name = program or event.command_line
        if source is None or name in session.told or len(session.told) >= MAX_FILES:
            return None
        session.told.add(name)
        events = {source.id, event.id} | ({session.fetched.id} if session.fetched else set())
        brought = session.fetched or source
        return Alert(
            id=uuid.uuid5(_NAMESPACE, f"{self._analyzer}|{event.id}").urn,
            classification="MalwareInstallation",
            source=event.source,
            target=event.host,
            protocol=6,
            begin_us=min(brought.begin_us, event.begin_us),
            end_us=event.begin_us,
            confidence=0.8,
            verified_source=False,
            sensor=event.sensor,
            analyzer=self._analyzer,
            explanation=(
                f"in a session of user {event.login_name or event.user_name} from {event.source} "
                f"{_what(brought)}, then process {event.process_id} started "
                f"{event.program[:_SHOWN]!r} ({event.command_line[:_SHOWN]!r}); by the honeypot's "
                "own records, which whoever has taken it can forge"
            ),
            host_events=tuple(sorted(events)[:MAX_EVENTS_OF_ALERT]),
            users=account_names([event.login_name or event.user_name]),
        )


def _what(event: HostEvent) -> str:
    if event.event_kind == "file-creation":
        return f"{event.program[:_SHOWN]!r} made {event.file_path[:_SHOWN]!r}"
    return f"{event.command_line[:_SHOWN] or event.program[:_SHOWN]!r} was run"


def _script(session: _Session, event: HostEvent) -> HostEvent | None:
    """The file of this session that an interpreter was started with."""
    if basename(event.program) not in INTERPRETERS:
        return None
    by_name = {basename(path): made for path, made in session.made.items()}
    for word in event.command_line.split(" ")[1:8]:
        found = by_name.get(basename(word)) if basename(word) else None
        if found is not None:
            return found
    return None
