"""Who may keep a connection to the page: people who are logged in, before strangers. Pure.

A stranger is a connection that carried no request of a live session yet: a browser on its way to
the login, or somebody who holds connections open to keep others out. Strangers get a small part of
the connections, each address a part of that, and where there is no room for a new one the oldest
that only waits makes room, of addresses that had to make room before if there is one: so that a
flood turns over its own connections, and who comes with a request is heard.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Final, Protocol

PER_ADDRESS: Final = 48
"""Strangers' connections from one address: a browser opens six, and all come through one tunnel."""
STRANGERS: Final = 128
"""Strangers' connections from all addresses."""
REMEMBERED: Final = 4096
"""Addresses that had to make room."""
TRUSTED: Final = 192
"""Connections of people who are logged in."""


class Guest(Protocol):
    """A connection."""

    @property
    def waits(self) -> bool:
        """Whether it is the peer's turn: to send a request, the rest of one, or to read."""


class Admission:
    """The connections of one listener.

    Args:
        per_address: strangers of one address; behind a reverse proxy all come from one.
    """

    def __init__(self, per_address: int = PER_ADDRESS) -> None:
        self._per_address = per_address
        self._strangers: OrderedDict[Guest, str] = OrderedDict()
        """Connection to address, oldest first."""
        self._trusted: set[Guest] = set()
        self._shed: OrderedDict[str, None] = OrderedDict()
        """Addresses that had to make room, the last one last."""

    def __len__(self) -> int:
        return len(self._strangers) + len(self._trusted)

    @property
    def strangers(self) -> int:
        """Connections that carried no request of a live session."""
        return len(self._strangers)

    def enter(self, guest: Guest, address: str) -> Guest | None:
        """Take in a connection. Returns the one to hang up on, perhaps this one; None: none.

        Whoever is returned is out already.
        """
        self._strangers[guest] = address
        own = [g for g, a in self._strangers.items() if a == address]
        if len(own) > self._per_address:
            return self._out(own, guest)
        if len(self._strangers) <= STRANGERS:
            return None
        counts = Counter(self._strangers.values())

        def kindness(other: Guest) -> tuple[bool, int]:
            its = self._strangers[other]
            return its not in self._shed, -counts[its]

        order = sorted(self._strangers, key=kindness)
        if address in self._shed:
            order = [g for g in order if self._strangers[g] in self._shed]
        return self._out(order, guest)

    def _out(self, candidates: list[Guest], new: Guest) -> Guest:
        found = next((g for g in candidates if g is not new and g.waits), new)
        address = self._strangers.pop(found)
        self._shed[address] = None
        self._shed.move_to_end(address)
        if len(self._shed) > REMEMBERED:
            self._shed.popitem(last=False)
        return found

    def trust(self, guest: Guest) -> None:
        """It carried a request of a live session."""
        if guest in self._strangers and len(self._trusted) < TRUSTED:
            self._shed.pop(self._strangers.pop(guest), None)
            self._trusted.add(guest)

    def trusts(self, guest: Guest) -> bool:
        """Whether it did."""
        return guest in self._trusted

    def leave(self, guest: Guest) -> None:
        """It is closed."""
        self._strangers.pop(guest, None)
        self._trusted.discard(guest)
