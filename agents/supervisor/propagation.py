"""What each gateway must be told: pure, from a decision and what the ledger holds.

One entry per source address: a second decision for a blocked source lengthens the entry, it never
makes a second one, so that one lift ends it on every gateway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID, uuid5

from agents.base.protected import Protected, canonical
from agents.settings.honeynet import Settings
from ontology.records import Address, Block, Decision

Outcome = Literal["blocked", "extended", "covered", "unblocked", "nothing", "refused", "known"]
EntryState = Literal["active", "lifted", "expired"]

MIN_REMAINING_S = 1
"""A block with less than this to go isn't sent again: it would outlive its end."""


LATE_US = 60 * 1_000_000
"""Reports of one gateway overtake each other by less than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayState:
    """Wanted against actual, of one entry on one gateway."""

    gateway: str
    """Node name."""
    wanted: Literal["block", "none"]
    state: str
    """What the reaction agent last said, one of `ontology.records.BLOCK_STATES`."""
    since_us: int
    expires_us: int
    """When the kernel ends the block, as the gateway says; 0 before it has said so."""
    reported_us: int
    """``since_us`` of the last report, by the gateway's clock; 0 before there is one."""
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
    gateways: tuple[GatewayState, ...] = ()
    """Sorted by gateway."""

    @property
    def source(self) -> Address:
        """The blocked address."""
        return self.decision.source

    def remaining_s(self, now_us: int) -> int:
        """Whole seconds to go, rounded up; 0 when ended."""
        return max(0, -((now_us - self.expires_us) // 1_000_000)) if self.state == "active" else 0

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


@dataclass(frozen=True, slots=True)
class Order:
    """One decision for one reaction agent."""

    gateway: str
    receiver: str
    """Bare JID."""
    decision: Decision


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write into the ledger, and what to send."""

    outcome: Outcome
    entry: Entry | None
    """The entry as it must stand after; None when there is nothing to write."""
    orders: tuple[Order, ...] = ()
    detail: str = ""

    @property
    def accepted(self) -> bool:
        """False when the answer is ``refuse``."""
        return self.outcome != "refused"


class Propagation:
    """The orders that keep every gateway at what is wanted.

    Args:
        gateways: node name to bare JID of its reaction agent.
        protected: who must never be blocked.
        maximum_s: the longest block, in seconds from now.
    """

    def __init__(
        self,
        gateways: Mapping[str, str],
        protected: Protected,
        maximum_s: int,
    ) -> None:
        self.gateways = dict(sorted(gateways.items()))
        self.protected = protected
        self.maximum_s = maximum_s

    @classmethod
    def from_settings(cls, settings: Settings) -> Propagation:
        """Every node with a reaction agent is a gateway."""
        nodes = (node for role, node in settings.agents() if role == "reaction")
        return cls(
            {node: settings.jid("reaction", node) for node in nodes},
            Protected.from_settings(settings),
            settings.policy.maximum_duration,
        )

    def on_decision(
        self, decision: Decision, current: Entry | None, *, new_id: str, now_us: int
    ) -> Plan:
        """Plan a decision that the ledger doesn't know yet.

        Args:
            current: the active entry of the same source, if there is one.
            new_id: id for an entry, should one be made.
        """
        decision = replace(decision, source=canonical(decision.source))
        if decision.action == "unblock":
            if current is None:
                return Plan("nothing", None, detail=f"{decision.source} is not blocked")
            return self.lift(current, decision, now_us)
        refusal = self.protected.refusal(decision.source)
        if refusal:
            return Plan("refused", None, detail=refusal)
        cut = min(decision.duration_s, self.maximum_s)
        decision = replace(decision, duration_s=cut)
        # The ledger keeps when it was decided; a gateway counts from when it was ordered.
        order = replace(decision, decided_us=now_us)
        expires_us = now_us + cut * 1_000_000
        if current is None:
            entry = Entry(
                id=new_id,
                cause=decision,
                decision=decision,
                state="active",
                since_us=now_us,
                expires_us=expires_us,
                gateways=self._wanted((), "block", now_us),
            )
            return Plan("blocked", entry, self._orders(order, self.gateways))
        if expires_us > current.expires_us:
            entry = replace(
                current,
                decision=decision,
                expires_us=expires_us,
                gateways=self._wanted(current.gateways, "block", now_us),
            )
            return Plan("extended", entry, self._orders(order, self.gateways))
        # Shorter than what stands: only a gateway that doesn't do its part is told again.
        lacking = [name for name in self.gateways if not _done(current, name)]
        again = self._again(current, now_us)
        return Plan(
            "covered",
            None,
            self._orders(again, lacking) if again else (),
            f"{decision.source} is already blocked for longer",
        )

    def lift(self, entry: Entry, decision: Decision, now_us: int) -> Plan:
        """End an entry everywhere, by an ``unblock`` decision."""
        lifted = replace(
            entry,
            state="lifted",
            ended_us=now_us,
            ended_by=decision.origin,
            gateways=self._wanted(entry.gateways, "none", now_us),
        )
        return Plan("unblocked", lifted, self._orders(decision, self.gateways))

    def on_registration(
        self,
        gateway: str,
        active: Iterable[Entry],
        lifted: Iterable[Entry] = (),
        *,
        fresh: bool,
        now_us: int,
    ) -> tuple[Order, ...]:
        """The active blocks that a gateway lacks, each with what remains of it, and the lifts that
        it has not confirmed (a crash may have come between the ledger and the order).

        A block that the gateway refused is not sent again, unless it is a new process.

        Args:
            lifted: entries that were lifted and would else still run, active ones excluded.
            fresh: the reaction agent is a new process (its host may have rebooted, the kernel's
                table may be gone), so that what it confirmed before no longer counts.
        """
        orders: list[Order] = []
        if gateway not in self.gateways:
            return ()
        for entry in active:
            if fresh or _lacks(entry, gateway):
                again = self._again(entry, now_us)
                if again is not None:
                    orders.append(Order(gateway, self.gateways[gateway], again))
        for entry in lifted:
            if entry.expires_us > now_us and _runs(entry, gateway):
                orders.append(Order(gateway, self.gateways[gateway], unblock_of(entry)))
        return tuple(orders)

    def on_report(self, entry: Entry, report: Block) -> Entry | None:
        """The entry after a gateway's report; None if the report changes nothing.

        A report older (by the gateway's own clock) than the last one is late, and ignored; one
        that is much older comes from a clock that was set back, and counts. An
        entry is kept ``active`` by what we want, not by what one gateway says.
        """
        old = entry.on(report.gateway)
        if report.gateway not in self.gateways:
            return None
        if old is not None and 0 < old.reported_us - report.since_us < LATE_US:
            return None
        new = GatewayState(
            gateway=report.gateway,
            wanted=old.wanted if old is not None else _wants(entry),
            state=report.state,
            since_us=report.since_us,
            expires_us=report.expires_us,
            reported_us=report.since_us,
            detail=report.detail,
            decision=report.decision,
        )
        if new == old:
            return None
        others = [g for g in entry.gateways if g.gateway != report.gateway]
        gateways = tuple(sorted([*others, new], key=lambda g: g.gateway))
        return replace(entry, gateways=gateways)

    def _wanted(
        self, old: Iterable[GatewayState], wanted: Literal["block", "none"], now_us: int
    ) -> tuple[GatewayState, ...]:
        """The gateways' states with a new wish; what they last said stays until they say more."""
        known = {g.gateway: g for g in old}
        out = []
        for name in sorted({*known, *self.gateways}):
            state = known.get(name)
            if state is None:
                state = GatewayState(
                    gateway=name,
                    wanted=wanted,
                    state="pending",
                    since_us=now_us,
                    expires_us=0,
                    reported_us=0,
                )
            elif wanted == "block" and state.state != "active":
                state = replace(state, wanted=wanted, state="pending", since_us=now_us, detail="")
            out.append(replace(state, wanted=wanted))
        return tuple(out)

    def _again(self, entry: Entry, now_us: int) -> Decision | None:
        remaining = entry.remaining_s(now_us)
        if remaining < MIN_REMAINING_S:
            return None
        # Ordered anew: with its first time a half-used block would look stale to the gateway.
        return replace(entry.decision, decided_us=now_us, duration_s=remaining)

    def _orders(self, decision: Decision, gateways: Iterable[str]) -> tuple[Order, ...]:
        return tuple(Order(name, self.gateways[name], decision) for name in gateways)


def expired(entry: Entry) -> Entry:
    """The entry after its end: nothing is wanted of any gateway, the kernels end it themselves."""
    return replace(
        entry,
        state="expired",
        ended_us=entry.expires_us,
        ended_by="time",
        gateways=tuple(replace(g, wanted="none") for g in entry.gateways),
    )


def unblock_of(entry: Entry) -> Decision:
    """The order that ends a lifted entry on a gateway that still runs it; its id is determined."""
    return Decision(
        id=uuid5(UUID(entry.id.removeprefix("urn:uuid:")), "unblock").urn,
        action="unblock",
        source=entry.source,
        classification=entry.cause.classification,
        origin=entry.ended_by,
        decided_us=entry.ended_us,
        duration_s=0,
        reason="lifted",
    )


def _lacks(entry: Entry, gateway: str) -> bool:
    state = entry.on(gateway)
    return state is None or not (entry.confirmed(state) or state.state == "refused")


def _done(entry: Entry, gateway: str) -> bool:
    state = entry.on(gateway)
    return state is not None and entry.confirmed(state)


def _runs(entry: Entry, gateway: str) -> bool:
    state = entry.on(gateway)
    return state is not None and state.state == "active"


def _wants(entry: Entry) -> Literal["block", "none"]:
    return "block" if entry.state == "active" else "none"
