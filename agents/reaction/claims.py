"""Who claims that an address is blocked, and until when: a maximum with a veto. Pure.

Several may order blocks of one address: the supervisor, and the correlation agent of this node.
Each has *claims*; the address is blocked until the last of them ends. A claimant withdraws its own.
A supervisor (an *authority*) has one claim, its newest order, so that it can shorten as well as
lengthen; its lift removes every claim and vetoes new ones of others for as long as it says.

The state of an address is the same in whatever order the messages about it came, however often each
of them came, and however late one came that was lost at first (docs/decisions/0011). Ends are
seconds on a clock that nobody sets (``CLOCK_BOOTTIME``); wall clocks only put one claimant's own
messages in order.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from ontology.records import Address

LEAST_VETO_S: Final = 60.0
"""A lift holds at least this long against claims of others: what led to the block may be on its way
once more, and it takes the clocks of two hosts being apart into account."""
MAX_CLAIMS: Final = 16
"""Of one claimant on one address that are neither over nor covered by another one of it."""
MAX_SPENT: Final = 16
MAX_ENDED: Final = 100_000
"""Addresses without a claim whose lifts and withdrawals are remembered."""

Joined = Literal["applied", "covered", "lifted", "over"]
"""What became of a claim: in force; nothing to add to what is; void by a lift or a withdrawal; void
because its time has run out here before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One order to block, as it stands."""

    claimant: str
    """Bare JID of who signed the order."""
    decision: str
    """Id of the decision."""
    decided_us: int
    """By the claimant's clock; compared with other messages of the same claimant only."""
    since_us: int
    """When it came, by the wall clock."""
    end: float
    """Seconds, on the clock of the caller."""


@dataclass(frozen=True, slots=True)
class Veto:
    """A lift by an authority."""

    decided_us: int
    end: float
    """Claims of others decided up to here are void; on the clock of the caller."""


@dataclass(frozen=True, slots=True)
class AddressClaims:
    """All that was said about one address."""

    claims: tuple[Claim, ...] = ()
    veto: Veto | None = None
    floors: Mapping[str, int] = field(default_factory=dict)
    """Claimant to ``decided_us``: an authority's newest order, another's last withdrawal."""
    spent: tuple[str, ...] = ()
    """Decisions that ended here or are covered by a longer one; the last `MAX_SPENT`."""

    @property
    def latest(self) -> Claim | None:
        """The claim that ends last: the address is blocked until then."""
        return max(self.claims, key=lambda c: (c.end, c.decision), default=None)

    def with_claim(
        self, claim: Claim, *, decided: float, authority: bool
    ) -> tuple[AddressClaims, Joined]:
        """The state with one more order.

        Args:
            decided: when it was decided, on the clock of the caller.
            authority: whether the claimant is a supervisor.
        """
        covered: Joined = "covered" if self.claims else "over"
        if self.veto is not None and (
            claim.decided_us <= self.veto.decided_us if authority else decided <= self.veto.end
        ):
            return self, "lifted"
        floor = self.floors.get(claim.claimant, -1)
        own = [c for c in self.claims if c.claimant == claim.claimant]
        same = next((c for c in own if c.decision == claim.decision), None)
        if same is not None:
            # Ordered again: that must not lengthen it.
            newest = max(same.decided_us, claim.decided_us)
            claim = replace(
                same, decided_us=newest, end=min(same.end, claim.end), since_us=same.since_us
            )
        elif authority and claim.decided_us <= floor:
            return self, covered
        elif not authority and claim.decided_us <= floor:
            return self, "lifted"
        elif not authority and claim.decision in self.spent:
            return self, covered
        kept = [c for c in own if c is not same] if not authority else []
        others = [c for c in self.claims if c.claimant != claim.claimant]
        floors = self.floors
        if authority:
            floors = {**floors, claim.claimant: max(floor, claim.decided_us)}
        state = replace(self, claims=(*others, *kept, claim), floors=floors)
        return (state if authority else state._without_covered(claim.claimant)), "applied"

    def without(self, claimant: str, decided_us: int) -> AddressClaims:
        """The state after a claimant withdrew what it had decided until then."""
        floor = max(self.floors.get(claimant, -1), decided_us)
        kept = tuple(c for c in self.claims if c.claimant != claimant or c.decided_us > floor)
        return replace(self, claims=kept, floors={**self.floors, claimant: floor})

    def lifted(
        self, decided_us: int, now: float, veto_s: float, authorities: Container[str]
    ) -> AddressClaims:
        """The state after an authority's lift; one that is older than the last changes nothing."""
        if self.veto is not None and decided_us <= self.veto.decided_us:
            return self
        veto = Veto(decided_us, now + max(veto_s, LEAST_VETO_S))
        kept = tuple(
            c for c in self.claims if c.claimant in authorities and c.decided_us > decided_us
        )
        return replace(self, claims=kept, veto=veto)

    def after(self, now: float) -> AddressClaims:
        """The state without the claims whose time is over."""
        over = [c.decision for c in self.claims if c.end <= now]
        if not over:
            return self
        kept = tuple(c for c in self.claims if c.end > now)
        return replace(self, claims=kept, spent=_spent(self.spent, over))

    def _without_covered(self, claimant: str) -> AddressClaims:
        """Without claims that add nothing: a later decided one of the same claimant ends later."""
        own = sorted(
            (c for c in self.claims if c.claimant == claimant),
            key=lambda c: (c.decided_us, c.end, c.decision),
            reverse=True,
        )
        kept: list[Claim] = []
        for claim in own:
            if not kept or claim.end > kept[-1].end:
                kept.append(claim)
        kept = kept[-MAX_CLAIMS:]
        gone = [c.decision for c in own if c not in kept]
        others = tuple(c for c in self.claims if c.claimant != claimant)
        return replace(self, claims=(*others, *kept), spent=_spent(self.spent, gone))


def _spent(known: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known, *more)))[-MAX_SPENT:]


class Claims:
    """The claims on every address of one gateway.

    Args:
        authorities: bare JIDs of the supervisors.
    """

    def __init__(self, authorities: Container[str]) -> None:
        self._authorities = authorities
        self._states: dict[Address, AddressClaims] = {}
        self._ended: OrderedDict[Address, AddressClaims] = OrderedDict()
        """Addresses without a claim, which still have a veto or a withdrawal."""

    def __len__(self) -> int:
        """Addresses that somebody claims."""
        return len(self._states)

    def __contains__(self, address: object) -> bool:
        return address in self._states

    def __iter__(self) -> Iterator[Address]:
        return iter(self._states)

    def of(self, address: Address) -> AddressClaims:
        """All that was said about an address."""
        found = self._states.get(address)
        return found if found is not None else self._ended.get(address, _NOTHING)

    def states(self) -> dict[Address, AddressClaims]:
        """Every address with what was said about it, claimed or not."""
        return {**self._ended, **self._states}

    def put(self, address: Address, state: AddressClaims) -> None:
        """Let this be the state of an address."""
        self._ended.pop(address, None)
        if state.claims:
            self._states[address] = state
            return
        self._states.pop(address, None)
        if state != _NOTHING:
            self._ended[address] = state
            if len(self._ended) > MAX_ENDED:
                self._ended.popitem(last=False)

    def latest(self, address: Address) -> Claim | None:
        """The claim that an address is blocked for; None if nobody claims it."""
        return self.of(address).latest

    def claim(self, address: Address, claim: Claim, *, decided: float) -> Joined:
        """Take in an order to block."""
        authority = claim.claimant in self._authorities
        state, joined = self.of(address).with_claim(claim, decided=decided, authority=authority)
        self.put(address, state)
        return joined

    def end(
        self, address: Address, claimant: str, decided_us: int, *, now: float, veto_s: float
    ) -> None:
        """Take in an order to unblock: an authority lifts, anybody else withdraws its own."""
        state = self.of(address)
        if claimant in self._authorities:
            state = state.lifted(decided_us, now, veto_s, self._authorities)
        else:
            state = state.without(claimant, decided_us)
        self.put(address, state)


_NOTHING: Final = AddressClaims()
