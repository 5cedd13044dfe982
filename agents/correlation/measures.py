"""What is really in force against hosts, as gateways and the supervisor report it.

A look at the world, not a record of our own recommendations: who keeps blocks and their ends is the
supervisor (`agents.supervisor.bans`), and each gateway.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from agents.settings.modes import HELD
from ontology.records import Address, Block

Change = Literal["begun", "ended"]


class Measures:
    """Blocked addresses, each with the gateways that say so.

    Args:
        capacity: addresses remembered; the one reported longest ago is forgotten first.
    """

    def __init__(self, capacity: int = 50_000) -> None:
        self._capacity = capacity
        self._in_force: OrderedDict[Address, dict[str, int]] = OrderedDict()
        """Address → gateway → when the block ends there."""

    def __contains__(self, address: object) -> bool:
        return address in self._in_force

    def take(self, report: Block) -> Change | None:
        """What a report changes: the first gateway that blocks, or the last that stops."""
        gateways = self._in_force.get(report.source)
        if report.state == "active":
            begun = gateways is None
            gateways = {} if gateways is None else gateways
            gateways[report.gateway] = report.expires_us
            self._in_force[report.source] = gateways
            self._in_force.move_to_end(report.source)
            while len(self._in_force) > self._capacity:
                self._in_force.popitem(last=False)
            return "begun" if begun else None
        if report.state in ("pending", *HELD.values()) or gateways is None:
            return None
        gateways.pop(report.gateway, None)
        return self._ended(report.source, gateways)

    def end(self, now_us: int) -> list[Address]:
        """Addresses whose block is over by the time that was reported, though nobody said so."""
        over = []
        for address, gateways in list(self._in_force.items()):
            for gateway in [name for name, until_us in gateways.items() if until_us <= now_us]:
                del gateways[gateway]
            if self._ended(address, gateways):
                over.append(address)
        return over

    def clock_set(self, step_us: int) -> None:
        """The clock by which we are told the time was set: what remains of a block stays."""
        for gateways in self._in_force.values():
            for gateway in gateways:
                gateways[gateway] += step_us

    def _ended(self, address: Address, gateways: dict[str, int]) -> Change | None:
        if gateways:
            return None
        del self._in_force[address]
        return "ended"
