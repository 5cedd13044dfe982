"""Login sessions in systemd-logind's lines: who logged in at the host, and when a session ended.

Format: logind-session.c, "New session 5 of user bob." (since version 256 with quotes, class and
type) and "Removed session 5." The lines say not from where: that stands in sshd's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

import re2

from agents.sensor.inputs.events import LineRefused, Options, Sighting
from agents.sensor.inputs.host_sightings import HostSighting, host_of

LOGIND: Final = "systemd-logind"
MAX_SESSIONS: Final = 256
"""Open sessions of which the user is remembered."""
_NEW = re2.compile(
    r"New session '?([0-9A-Za-z]{1,16})'? of user '?([!-~]{1,64}?)'?"
    r"(?: with class '?([\w-]{1,32})'? and type '?[\w-]{1,32}'?)?\.$"
)
_REMOVED = re2.compile(r"Removed session '?([0-9A-Za-z]{1,16})'?\.$")


class LogindLog:
    """Keeps whose the open sessions are: the line of the end does not say."""

    def __init__(self, options: Options) -> None:
        self._host = host_of(options)
        self._open: OrderedDict[str, str] = OrderedDict()

    def memory(self) -> list[list[str]]:
        return [[session, user] for session, user in self._open.items()]

    def remember(self, memory: Any) -> None:
        """Raises: ValueError."""
        pairs = [(str(session)[:16], str(user)[:64]) for session, user in memory[:MAX_SESSIONS]]
        self._open = OrderedDict(pairs)

    def on_message(self, message: str, at: Callable[[], int]) -> Iterable[Sighting]:
        """Raises: LineRefused."""
        if message.startswith("New session "):
            found = _NEW.match(message)
            if found is None:
                raise LineRefused("shape")
            session, user, sort = found.groups()
            if sort is not None and not sort.startswith("user"):
                return ()  # the user's service manager, a greeter
            seen = self._sighting("login", session, user, at())
            self._open[session] = user
            self._open.move_to_end(session)
            if len(self._open) > MAX_SESSIONS:
                self._open.popitem(last=False)
            return (seen,)
        if message.startswith("Removed session "):
            found = _REMOVED.match(message)
            if found is None:
                raise LineRefused("shape")
            if found[1] not in self._open:
                return ()  # opened before we looked, or none of a user's
            seen = self._sighting("logout", found[1], self._open[found[1]], at())
            del self._open[found[1]]
            return (seen,)
        return ()

    def _sighting(
        self, kind: Literal["login", "logout"], session: str, user: str, at_us: int
    ) -> HostSighting:
        return HostSighting(
            kind=kind,
            key=f"logind {session} {at_us}",
            host=self._host,
            at_us=at_us,
            user=user,
            login=user,
            session=session,
        )
