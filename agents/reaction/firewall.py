"""What the reaction agent asks of a firewall, and one that only keeps notes (``dry_run``)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from ontology.records import Address


class FirewallError(RuntimeError):
    """The firewall could not do as asked; one line that says what and why."""


class Traffic(NamedTuple):
    """What a counter saw."""

    packets: int
    octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What a comparison of the wanted with the actual rules found, and repaired."""

    reinstalled: bool = False
    """The table was missing or altered."""
    restored: tuple[Address, ...] = ()
    """Blocks that were missing or too short."""

    def __bool__(self) -> bool:
        return self.reinstalled or bool(self.restored)


@runtime_checkable
class Firewall(Protocol):
    """Timed blocks of exact addresses. Methods block; any thread may call them."""

    def install(self) -> None:
        """Put the rules in place; blocks that are there stay. Raises: FirewallError."""

    def block(self, address: Address, seconds: float) -> float:
        """Block until ``seconds`` from now, or until its present end if that is later.

        Returns the seconds that the block now has. Raises: FirewallError.
        """

    def reblock(self, address: Address, seconds: float) -> float:
        """Block until ``seconds`` from now, also if the present end is later.

        Returns the seconds that the block now has. Raises: FirewallError.
        """

    def block_many(self, wanted: Mapping[Address, float]) -> None:
        """`block` for many addresses at once. Raises: FirewallError."""

    def unblock(self, address: Address) -> bool:
        """End a block now; False if there was none. Raises: FirewallError."""

    def blocked(self) -> dict[Address, float]:
        """Every blocked address and the seconds it still has. Raises: FirewallError."""

    def remaining(self, address: Address) -> float | None:
        """Seconds that a block still has; None if there is none. Raises: FirewallError."""

    def changed(self) -> bool:
        """True unless nobody else changed any rule since all was found well; cheap.

        Raises: FirewallError.
        """

    def counters(self) -> dict[str, Traffic]:
        """What the named counters saw since the rules were installed. Raises: FirewallError."""

    def verify(self) -> bool:
        """True if the rules are as installed; cheap while nobody changes any.

        Raises: FirewallError.
        """

    def prove(self) -> str:
        """See that a packet of a blocked address is dropped: empty, or what happened instead; empty
        too where it can't be tried. Raises: FirewallError.
        """

    def reconcile(self, wanted: Mapping[Address, float]) -> Drift:
        """Repair rules that somebody changed, and the blocks that should be there.

        ``wanted``: seconds each block still has. Raises: FirewallError.
        """

    def remove(self) -> None:
        """Take the rules and all blocks away; only ever on a person's explicit order."""

    def close(self) -> None:
        """Let go of the kernel; rules and blocks stay."""


class DryRunFirewall:
    """Keeps the blocks in memory and never touches the kernel.

    ``orders`` holds the last thousand things it was told, newest last.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: dict[Address, float] = {}
        self.orders: deque[tuple[str, Address, float]] = deque(maxlen=1000)

    def install(self) -> None:
        pass

    def block(self, address: Address, seconds: float) -> float:
        now = self._clock()
        end = max(now + seconds, self._ends.get(address, 0.0))
        self._ends[address] = end
        self.orders.append(("block", address, end - now))
        return end - now

    def reblock(self, address: Address, seconds: float) -> float:
        self._ends.pop(address, None)
        return self.block(address, seconds)

    def block_many(self, wanted: Mapping[Address, float]) -> None:
        for address, seconds in wanted.items():
            self.block(address, seconds)

    def unblock(self, address: Address) -> bool:
        present = address in self.blocked()
        self._ends.pop(address, None)
        self.orders.append(("unblock", address, 0.0))
        return present

    def blocked(self) -> dict[Address, float]:
        now = self._clock()
        self._ends = {address: end for address, end in self._ends.items() if end > now}
        return {address: end - now for address, end in self._ends.items()}

    def remaining(self, address: Address) -> float | None:
        return self.blocked().get(address)

    def changed(self) -> bool:
        return False

    def counters(self) -> dict[str, Traffic]:
        return {}

    def verify(self) -> bool:
        return True

    def prove(self) -> str:
        return ""

    def reconcile(self, wanted: Mapping[Address, float]) -> Drift:
        present = self.blocked()
        missing = {a: s for a, s in wanted.items() if a not in present and s > 0}
        self.block_many(missing)
        return Drift(restored=tuple(missing))

    def remove(self) -> None:
        self._ends.clear()

    def close(self) -> None:
        pass
