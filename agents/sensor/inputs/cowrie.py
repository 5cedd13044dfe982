"""Cowrie's JSON log: who logs in to the SSH and Telnet decoy, and what they do inside.

Format: Cowrie documentation, "Output event codes". Connections and logins become rows, so that the
analyzer's own detectors count them (password guessing is `SshBruteForce` by their window, not by
ours). What happens after a login is a claim: nobody has business in a decoy.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

from agents.sensor.inputs.events import (
    ACK,
    FIN,
    PSH,
    SSH_BANNER,
    STATE,
    SYN,
    TCP,
    UNRELATED,
    Claim,
    Host,
    LineRefused,
    Options,
    Sighting,
    Traces,
    clean,
    host,
    iso_us,
    pack_row,
    port,
)
from agents.sensor.inputs.nat_gateways import is_own_gateway
from agents.sensor.inputs.observed_traces import credential
from agents.sensor.inputs.wrappers import event_object

MAX_SESSIONS = 256
"""Open sessions remembered (Cowrie itself serves 100 at a time and source limits hold far less)."""
_PORTS = {2222: 22, 2223: 23}
"""Cowrie's own default ports, which a deployment redirects the real ones to."""
_SEEN = SYN | ACK | PSH

INSIDE = {
    "cowrie.login.success": (0.8, "logged in"),
    "cowrie.command.input": (0.9, "ran a command"),
    "cowrie.command.failed": (0.9, "tried an unknown command"),
    "cowrie.session.file_download": (0.95, "fetched a file"),
    "cowrie.session.file_download.failed": (0.9, "tried to fetch a file"),
    "cowrie.session.file_upload": (0.95, "uploaded a file"),
    "cowrie.direct-tcpip.request": (0.8, "used the decoy as a relay"),
}
"""Event to confidence and words: the deeper the contact, the surer the intent."""

TRACES = frozenset({"cowrie.client.version", "cowrie.client.kex", "cowrie.client.fingerprint"})
"""Events that only tell what a client is like."""
LEFT = {
    "input": "commands",
    "url": "urls",
    "shasum": "file_hashes",
    "version": "clients",
    "fingerprint": "clients",
}
"""Field of an event to what it is of `ObservedData`."""


class _Session(NamedTuple):
    target: str
    ports: tuple[int, int]
    ssh: bool
    user: str
    """``root``, ``other``, or empty before a login."""


class CowrieParser:
    """Remembers the open sessions: most events name neither target nor port."""

    kind: ClassVar[str] = "cowrie"
    now_us = 0

    def __init__(self, options: Options) -> None:
        self._options = options
        # Asked at every line: cachetools' maps cost 6 % of the lines a second.
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._last: _Session | None = None

    def memory(self) -> str:
        return json.dumps([self._last, self._sessions])

    def remember(self, memory: str) -> None:
        if not memory:
            return
        last, sessions = json.loads(memory)
        self._last = _session(last) if last is not None else None
        self._sessions = OrderedDict((str(name), _session(v)) for name, v in sessions.items())

    def on_line(self, line: bytes) -> Iterable[Sighting]:
        event = event_object(line, "eventid")
        name = event.get("eventid")
        if not isinstance(name, str):
            if name is None:
                return UNRELATED
            raise LineRefused("shape")
        if name == "cowrie.session.connect":
            return (self._connect(event),)
        if name in INSIDE:
            return self._inside(event, name)
        if name == "cowrie.login.failed":
            return self._row(event, logins=(1, 1)), self._traces(event)
        if name == "cowrie.session.closed":
            row = self._row(event, closed=True)
            self._sessions.pop(_name(event), None)
            return (row,)
        if name in TRACES:
            return (self._traces(event),)
        return ()

    def _traces(self, event: dict[str, Any]) -> Traces:
        session = self._session_of(event)
        source, target = self._ends(event, session)
        at_us = iso_us(event.get("timestamp"), self._options.timezone)
        left: list[tuple[str, object]] = []
        if "username" in event and "password" in event:
            left.append(("credentials", credential(event["username"], event["password"])))
        for field, kind in LEFT.items():
            if field in event:
                left.append((kind, event[field]))
        hassh = event.get("hassh")
        if isinstance(hassh, str):
            left.append(("clients", f"hassh {hassh[:64]}"))
        return Traces(source, target, session.ports[1], at_us, True, tuple(left))

    def _connect(self, event: dict[str, Any]) -> bytes:
        dst_port = port(event.get("dst_port"))
        target = host(event.get("dst_ip"))
        session = _Session(
            str(target.value),
            (port(event.get("src_port")), _PORTS.get(dst_port, dst_port)),
            event.get("protocol") != "telnet",
            "",
        )
        key = _name(event)
        # Also of a visitor who can't be told: what he does later is refused for the same reason.
        self._last = session._replace(user="")
        self._sessions[key] = session
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return self._row(event, session=session, packets=(2, 1))

    def _session_of(self, event: dict[str, Any]) -> _Session:
        found = self._sessions.get(_name(event))
        if found is not None:
            return found
        # Begun before we looked: the decoy is the same, the source port is not known.
        if self._last is not None:
            return self._last._replace(ports=(0, self._last.ports[1]))
        if self._options.address is not None:
            version = host(event.get("src_ip")).version
            decoy = self._options.public(version) or self._options.public(10 - version)
            if decoy is not None:
                return _Session(str(decoy.value), (0, 22), True, "")
        raise LineRefused("session")

    def _ends(self, event: dict[str, Any], session: _Session) -> tuple[Host, Host]:
        """Who visits, and whom."""
        source, local = host(event.get("src_ip")), host(session.target)
        if is_own_gateway(source, local):
            raise LineRefused("translated")
        return source, self._options.decoy(local, source.version)

    def _row(
        self,
        event: dict[str, Any],
        *,
        session: _Session | None = None,
        packets: tuple[int, int] = (1, 1),
        logins: tuple[int, int] = (0, 0),
        closed: bool = False,
    ) -> bytes:
        if session is None:
            session = self._session_of(event)
        # The decoy's accept() returned, so the handshake was complete; packets beyond are unknown
        # and counted as the least that the event needs.
        seen = _SEEN | FIN if closed else _SEEN
        source, target = self._ends(event, session)
        return pack_row(
            at_us=iso_us(event.get("timestamp"), self._options.timezone),
            source=source,
            target=target,
            protocol=TCP,
            state=STATE["SF" if closed else "S1"],
            ports=session.ports,
            flags=(seen, seen),
            packets=packets,
            logins=logins,
            indicators=SSH_BANNER if session.ssh else 0,
            translated=True,
            conversation=True,
        )

    def _inside(self, event: dict[str, Any], name: str) -> Iterable[Sighting]:
        session = self._session_of(event)
        out: list[Sighting] = []
        if name == "cowrie.login.success":
            session = session._replace(user="root" if event.get("username") == "root" else "other")
            if _name(event) in self._sessions:
                self._sessions[_name(event)] = session
            out.append(self._row(event, session=session, logins=(0, 1)))
        confidence, words = INSIDE[name]
        source, target = self._ends(event, session)
        who = {"root": "as root", "other": "as an ordinary user"}.get(session.user, "in a session")
        what = ""
        if name.startswith("cowrie.command"):
            what = f": {clean(event.get('input', ''), 80)!r}"
        elif name == "cowrie.direct-tcpip.request":
            what = (
                f" to {clean(event.get('dst_ip', ''), 60)} port {clean(event.get('dst_port'), 6)}"
            )
        out.append(
            Claim(
                "RootAccess" if session.user == "root" else "Exploit",
                source,
                target,
                session.ports[1] or None,
                TCP,
                iso_us(event.get("timestamp"), self._options.timezone),
                confidence,
                True,
                f"Cowrie: {words} {who}{what}",
                users=_users(event, session),
            )
        )
        out.append(self._traces(event))
        return out


def _users(event: dict[str, Any], session: _Session) -> tuple[str, ...]:
    """Whose account it is, as far as it is known: of others than root only at the login."""
    named = event.get("username")
    return (named,) if isinstance(named, str) else ("root",) if session.user == "root" else ()


def _name(event: dict[str, Any]) -> str:
    value = event.get("session")
    if not isinstance(value, str) or not 0 < len(value) <= 64:
        raise LineRefused("session")
    return value


def _session(value: Any) -> _Session:
    target, (src, dst), ssh, user = value
    found = _Session(str(host(target).value), (port(src), port(dst)), ssh is True, str(user))
    if found.user not in ("", "root", "other"):
        raise ValueError("not a session")
    return found
