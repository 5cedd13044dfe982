"""Which way a message goes: to agents of this node over a unix socket, to all others by the server.

An agent of this node whose socket is not there yet is tried over the server, like any other.
"""

from __future__ import annotations

from agents.base.bus import Bus
from agents.base.local import LocalLinks
from agents.messages.acl import AclMessage


class Routes:
    """The two transports of one agent as one. Messages are signed before they come here."""

    def __init__(self, bus: Bus, local: LocalLinks) -> None:
        self._bus = bus
        self._local = local

    def transmit(self, message: AclMessage, to: str) -> None:
        """Put it on the wire; it is lost if there is none."""
        if self._local.reaches(to):
            self._local.transmit(message, to)
        else:
            self._bus.transmit(message, to)

    def reaches(self, to: str) -> bool:
        """Whether what is sent to this agent leaves us at all."""
        return self._local.reaches(to) or self._bus.session.is_set()

    def has_room(self, to: str) -> bool:
        """Whether there is a link to this agent that keeps up."""
        return self._local.has_room(to) if self._local.reaches(to) else self._bus.writable
