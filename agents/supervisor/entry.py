"""One blocked source: what is wanted of all gateways, and what each of them does. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal
from uuid import UUID, uuid5

from agents.settings.modes import HELD
from ontology.records import Address, Block, BlockState, Decision

EntryState = Literal["active", "lifted", "expired"]
Wanted = Literal["block", "none"]
Reach = Literal["everywhere", "reported"]

_FINAL: Final = ("refused", *HELD.values())
"""What a gateway says that does not do, and will not, what is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayState:
    """Wanted against actual, of one entry on one gateway."""

    gateway: str
    """Node name."""
    wanted: Wanted
    state: BlockState
    """What the reaction agent last said."""
    since_us: int
    expires_us: int
    """When the kernel ends the block, by our clock; 0 before the gateway has said so."""
    reported_us: int
    """``since_us`` of the last report, by our clock; 0 before there is one."""
    detail: str = ""
    decision: str = ""
    """Id of the decision that the last report named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One blocked source: what is wanted everywhere, and what each gateway does."""

    id: str
    cause: Decision
    """The decision that made the entry: why the source is blocked."""
    decision: Decision
    """The block decision in force (the latest that set the end)."""
    state: EntryState
    since_us: int
    expires_us: int
    ended_us: int = 0
    ended_by: str = ""
    reach: Reach = "everywhere"
    """``reported``: only where a gateway says so. Nobody told the supervisor why, and it orders
    nothing of it: it shows what a node did alone."""
    gateways: tuple[GatewayState, ...] = ()
    """Sorted by gateway."""

    @property
    def source(self) -> Address:
        """The blocked address."""
        return self.decision.source

    def remaining_s(self, now_us: int) -> int:
        """Whole seconds to go, rounded up; 0 when ended."""
        return max(0, -((now_us - self.expires_us) // 1_000_000)) if self.state == "active" else 0

    @property
    def held(self) -> Literal["", "waiting", "shadow"]:
        """What keeps a source from being blocked anywhere; empty if nothing does, or it ended."""
        if self.state != "active" or any(g.wanted == "block" for g in self.gateways):
            return ""
        if self.waits:
            return "waiting"
        return "shadow" if any(g.state == "shadow" for g in self.gateways) else ""

    @property
    def waits(self) -> bool:
        """Whether a gateway waits for a person."""
        return self.state == "active" and any(g.state == "waiting" for g in self.gateways)

    def confirmed(self, state: GatewayState) -> bool:
        """Whether a gateway says that it does what is wanted, and until when it is wanted.

        Ends aren't compared, clocks differ: a longer block is a new decision, and the gateway's
        report names the one that it carries out.
        """
        if state.wanted == "block":
            return state.state == "active" and state.decision == self.decision.id
        return state.state not in ("active", "pending")

    def on(self, gateway: str) -> GatewayState | None:
        """The state on one gateway."""
        return next((g for g in self.gateways if g.gateway == gateway), None)

    def lacks(self, gateway: str) -> bool:
        """Whether a gateway must be told (again) to block."""
        if self.reach == "reported":
            return False
        state = self.on(gateway)
        return state is None or not (
            self.confirmed(state) or state.state in _FINAL or not self.wants(gateway)
        )

    def wants(self, gateway: str) -> bool:
        """Whether an active entry's source shall be blocked on a gateway: nothing holds it back."""
        state = self.on(gateway)
        return state is None or state.wanted == "block"

    def done(self, gateway: str) -> bool:
        """Whether a gateway says that it does what is wanted."""
        state = self.on(gateway)
        return state is not None and self.confirmed(state)

    def runs(self, gateway: str) -> bool:
        """Whether a gateway last said that it blocks."""
        state = self.on(gateway)
        return state is not None and state.state == "active"


def expired(entry: Entry) -> Entry:
    """The entry after its end: nothing is wanted of any gateway, the kernels end it themselves."""
    return replace(
        entry,
        state="expired",
        ended_us=entry.expires_us,
        ended_by="time",
        gateways=tuple(
            replace(g, wanted="none", state="expired" if g.state == "waiting" else g.state)
            for g in entry.gateways
        ),
    )


def in_force(entry: Entry, now_us: int) -> Block:
    """What a supervisor says of an entry, now, to those who order blocks of their own."""
    name = f"{entry.state}|{entry.decision.id}|{entry.expires_us}"
    active = entry.state == "active"
    return Block(
        id=uuid5(UUID(entry.id.removeprefix("urn:uuid:")), name).urn,
        decision=entry.decision.id,
        gateway="*",
        source=entry.source,
        state=entry.state,
        # As gateways do: what remains is told by two times of one clock.
        since_us=now_us if active else entry.ended_us,
        expires_us=entry.expires_us if active else entry.ended_us,
        detail=entry.ended_by,
    )
