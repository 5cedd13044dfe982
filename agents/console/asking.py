"""How the console asks other agents: the agent supplies it, tests supply another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agents.base.conversations import Reply
from ontology.records import Record, Role


class Ask(Protocol):
    """Asks the first agent of a role, or the one called ``name``.

    Raises: NoAnswer, RefusedByPeer; RuntimeError if it can't be asked just now; ValueError if a
        record can't be written.
    """

    async def __call__(
        self, role: Role, performative: str, record: Record, limit_s: float, *, name: str = ""
    ) -> Reply: ...


class Tell(Protocol):
    """Informs the supervisor; what can't be delivered now is kept."""

    async def __call__(self, records: Sequence[Record]) -> None: ...
