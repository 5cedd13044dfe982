"""Whom this host can't do without: its name servers, the XMPP server, where people are logged in;
and what the host names of the allow-list mean.

Blocking one of them would cut names, messages, or the very session of the person who looks after
the gateway. Asked anew every time: a resolver changes with a lease, a session with a login.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from ontology.addresses import canonical, purpose
from ontology.records import Address

RESOLVER_FILES: Final = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
"""resolv.conf(5); the second names whom systemd-resolved asks where the first names itself."""
SESSIONS: Final = Path("/run/systemd/sessions")
"""A file for each login session that systemd-logind knows, with ``REMOTE_HOST``."""
FOLDERS: Final = (Path("/run/systemd/resolve"), SESSIONS)
"""What must be readable beside ``/etc/resolv.conf``."""
MAX_SESSIONS: Final = 1000
_MAX_BYTES: Final = 65_536
_NO_SUCH_NAME: Final = (socket.EAI_NONAME, socket.EAI_NODATA)


@dataclass(frozen=True, slots=True)
class HostPeers:
    """Addresses in canonical form, without those that are no host's."""

    name_servers: frozenset[Address] = frozenset()
    message_servers: frozenset[Address] = frozenset()
    """What the XMPP server's name means now."""
    logins: frozenset[Address] = frozenset()
    """Where the sessions of people who are logged in on this host come from."""
    allowed: frozenset[Address] = frozenset()
    """What the host names of the allow-list mean now."""


class NameLookups:
    """Host names as this host resolves them. Blocks: for a thread, one call at a time.

    Args:
        server: host name or address of the XMPP server.
        allowed: host names of the allow-list.
    """

    def __init__(self, server: str = "", allowed: Iterable[str] = ()) -> None:
        self._server, self._allowed = server, tuple(allowed)
        self._known: dict[str, frozenset[Address]] = {}
        self.failed: Mapping[str, str] = {}
        """Names of the allow-list that could not be looked up last time, and why."""

    def message_servers(self) -> frozenset[Address]:
        """The XMPP server's addresses."""
        return self._look_up(self._server)[0] if self._server else frozenset()

    def allowed(self) -> frozenset[Address]:
        """The addresses of all names of the allow-list."""
        found = {name: self._look_up(name) for name in self._allowed}
        self.failed = {name: why for name, (_, why) in found.items() if why}
        return frozenset().union(*(addresses for addresses, _ in found.values()))

    def _look_up(self, name: str) -> tuple[frozenset[Address], str]:
        """(addresses, why there was no answer). Without an answer the last one holds; that there
        is no such name is one."""
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except socket.gaierror as e:
            if e.errno in _NO_SUCH_NAME:
                self._known.pop(name, None)
            return self._known.get(name, frozenset()), str(e.strerror)
        except (OSError, UnicodeError) as e:
            return self._known.get(name, frozenset()), str(e)
        self._known[name] = _hosts(str(entry[4][0]) for entry in found)
        return self._known[name], ""


def read_host_peers(
    names: NameLookups | None = None,
    *,
    resolver_files: Iterable[Path] = RESOLVER_FILES,
    sessions: Path = SESSIONS,
) -> HostPeers:
    """What holds on this host now; blocks, while a name is looked up for seconds.

    What can't be read, or is not there, names nobody.

    Args:
        names: to be looked up; without them that is left out, and nothing takes long.
    """
    return HostPeers(
        name_servers=_of_resolvers(map(_read, resolver_files)),
        message_servers=names.message_servers() if names else frozenset(),
        logins=_of_sessions(map(_read, _session_files(sessions))),
        allowed=names.allowed() if names else frozenset(),
    )


def _of_resolvers(texts: Iterable[str]) -> frozenset[Address]:
    """``nameserver`` lines of resolv.conf(5)."""
    lines = (line.split() for text in texts for line in text.splitlines())
    return _hosts(words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")


def _of_sessions(texts: Iterable[str]) -> frozenset[Address]:
    """``REMOTE_HOST`` of sessions of users that are not being closed."""
    found = []
    for text in texts:
        values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        if values.get("CLASS", "user").startswith("user") and values.get("STATE") != "closing":
            found.append(values.get("REMOTE_HOST", ""))
    return _hosts(found)


def _hosts(texts: Iterable[str]) -> frozenset[Address]:
    found: set[Address] = set()
    for text in texts:
        try:
            address = canonical(ip_address(text))
        except ValueError:
            continue
        if purpose(address) is None:
            found.add(address)
    return frozenset(found)


def _session_files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix != ".ref")[:MAX_SESSIONS]
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
