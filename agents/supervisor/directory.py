"""The FIPA directory (SC00023) of the honeynet: who is up, under which lease. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agents.settings.honeynet import Settings
from ontology.records import AgentDescription

Change = Literal["up", "returned", "restarted", "changed", "renewed"]
"""``up``: first heard of. ``returned``: the same process after its lease had lapsed. ``changed``:
its conditions did; otherwise it only ``renewed`` its lease."""

MAX_LEASE_S = 300
"""Longer leases are cut to this: an agent that is gone must not look alive for long."""
SUPERSEDED = 8
"""Remembered former processes per JID, enough to know a duplicate when it calls again."""


class DirectoryError(ValueError):
    """A registration that the directory refuses; the message is one line."""


@dataclass(frozen=True, slots=True)
class Registration:
    """One agent's entry."""

    description: AgentDescription
    since_us: int
    """When this process of the agent first registered."""
    renewed_us: int
    up: bool

    @property
    def expires_us(self) -> int:
        """When the lease ends without a renewal."""
        return self.renewed_us + min(self.description.lease_s, MAX_LEASE_S) * 1_000_000


class Directory:
    """Registrations by bare JID.

    The id of an `AgentDescription` names the process: an agent keeps it as long as it runs. So a
    new id is a restart, and an id that was superseded and calls again is a second process under
    the same JID, which is refused (it would otherwise answer orders meant for the other).
    """

    def __init__(self, settings: Settings) -> None:
        self._allowed = {settings.jid(role, node): (role, node) for role, node in settings.agents()}
        self._entries: dict[str, Registration] = {}
        self._superseded: dict[str, deque[str]] = {}

    def register(self, description: AgentDescription, sender: str, now_us: int) -> Change:
        """Enter or renew. ``sender`` is the verified bare JID that the message came from.

        Raises: DirectoryError if the agent is not the sender's own, unknown, in a role that the
            honeynet file doesn't give it, or a second process under its JID.
        """
        name = description.name
        if name != sender:
            raise DirectoryError(f"{sender!r} may not register {name!r}")
        allowed = self._allowed.get(name)
        if allowed is None:
            raise DirectoryError(f"{name!r} is not an agent of this honeynet")
        if (description.role, description.node) != allowed:
            raise DirectoryError(
                f"{name!r} may be {allowed[0]} on {allowed[1]},"
                f" not {description.role} on {description.node!r}"
            )
        if description.lease_s <= 0:
            raise DirectoryError(f"{name!r} asks for a lease of {description.lease_s} s")
        former = self._superseded.setdefault(name, deque(maxlen=SUPERSEDED))
        entry = self._entries.get(name)
        if description.id in former:
            if entry is not None and entry.up and entry.expires_us > now_us:
                raise DirectoryError(f"a second agent runs as {name!r}")
            # The one that took its place is gone, and it is still there.
            former.remove(description.id)
        change: Change = "renewed"
        since = now_us
        if entry is None:
            change = "up"
        elif entry.description.id != description.id:
            former.append(entry.description.id)
            change = "restarted"
        else:
            since = entry.since_us
            if not entry.up or entry.expires_us <= now_us:
                change = "returned"
            elif entry.description.conditions != description.conditions:
                change = "changed"
        self._entries[name] = Registration(description, since, now_us, up=True)
        return change

    def lapse(self, now_us: int) -> tuple[Registration, ...]:
        """Mark and return the agents whose lease has ended since the last call."""
        lapsed = []
        for name, entry in self._entries.items():
            if entry.up and entry.expires_us <= now_us:
                down = Registration(entry.description, entry.since_us, entry.renewed_us, up=False)
                self._entries[name] = down
                lapsed.append(down)
        return tuple(lapsed)

    def move(self, step_us: int) -> None:
        """The clock was set by ``step_us``: leases end as much later, or sooner."""
        for name, entry in self._entries.items():
            self._entries[name] = Registration(
                entry.description,
                entry.since_us + step_us,
                entry.renewed_us + step_us,
                up=entry.up,
            )

    def is_up(self, jid: str) -> bool:
        """Whether the agent held its lease at the last `lapse`."""
        entry = self._entries.get(jid)
        return entry is not None and entry.up

    def get(self, jid: str) -> Registration | None:
        """The entry, lapsed or not; None if the agent never registered."""
        return self._entries.get(jid)

    def expected(self) -> Iterable[tuple[str, str, str]]:
        """(JID, role, node) of every agent that the honeynet file names."""
        return ((jid, role, node) for jid, (role, node) in self._allowed.items())
