"""Who is blocked until when, in the whole honeynet: pure, the one keeper of it.

One entry per source address: a second decision for a blocked source lengthens the entry, it never
makes a second one, so that one lift ends it on every gateway. Correlation recommends and keeps
nothing; a gateway keeps claims. Times are ``now_us`` of a clock that no step of the wall clock
moves (`agents.base.steady_clock`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID, uuid5

from agents.base.protected import Protected, canonical
from ontology.records import Address, Block, BlockState, Decision

Outcome = Literal["blocked", "extended", "covered", "unblocked", "nothing", "refused", "known"]
EntryState = Literal["active", "lifted", "expired"]
Wanted = Literal["block", "none"]
Reach = Literal["everywhere", "reported"]

LATE_US = 60 * 1_000_000
"""Reports of one gateway overtake each other by less than this."""


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
        return state is None or not (self.confirmed(state) or state.state == "refused")

    def done(self, gateway: str) -> bool:
        """Whether a gateway says that it does what is wanted."""
        state = self.on(gateway)
        return state is not None and self.confirmed(state)

    def runs(self, gateway: str) -> bool:
        """Whether a gateway last said that it blocks."""
        state = self.on(gateway)
        return state is not None and state.state == "active"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of one decision."""

    outcome: Outcome
    entry: Entry | None
    """The entry as it must stand after; None when there is nothing to write."""
    detail: str = ""


class Bans:
    """Rules on decisions and takes in what gateways report.

    Args:
        gateways: node names of all gateways.
        protected: who must never be blocked.
        maximum_s: the longest block, in seconds from now.
    """

    def __init__(self, gateways: Iterable[str], protected: Protected, maximum_s: int) -> None:
        self._gateways = tuple(sorted(gateways))
        self.protected = protected
        self.maximum_s = maximum_s

    def rule(
        self,
        decision: Decision,
        current: Entry | None,
        last: Entry | None,
        *,
        new_id: str,
        now_us: int,
    ) -> Ruling:
        """Rule on a decision that is new.

        Args:
            current: the active entry of its source, if there is one.
            last: the newest entry of its source, active or not.
            new_id: id for an entry, should one be made.
        """
        decision = replace(decision, source=canonical(decision.source))
        if decision.action == "unblock":
            if current is None:
                return Ruling("nothing", None, f"{decision.source} is not blocked")
            return self.lift(current, decision, now_us)
        refusal = self.protected.refusal(decision.source) or _lifted_since(decision, last)
        if refusal:
            return Ruling("refused", None, refusal)
        decision = replace(decision, duration_s=min(decision.duration_s, self.maximum_s))
        expires_us = min(decision.decided_us, now_us) + decision.duration_s * 1_000_000
        if expires_us <= now_us:
            return Ruling("refused", None, "its time was over before it came")
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
            return Ruling("blocked", entry)
        if current.reach == "reported":
            # A gateway said so before; now it is known why, and every gateway shall do it.
            entry = replace(
                current,
                cause=decision,
                decision=decision,
                expires_us=expires_us,
                reach="everywhere",
                gateways=self._wanted(current.gateways, "block", now_us),
            )
            return Ruling("blocked", entry)
        if expires_us > current.expires_us:
            entry = replace(
                current,
                decision=decision,
                expires_us=expires_us,
                gateways=self._wanted(current.gateways, "block", now_us),
            )
            return Ruling("extended", entry)
        return Ruling("covered", None, f"{decision.source} is already blocked for longer")

    def lift(self, entry: Entry, decision: Decision, now_us: int) -> Ruling:
        """End an entry everywhere, by an ``unblock`` decision."""
        lifted = replace(
            entry,
            state="lifted",
            ended_us=now_us,
            ended_by=decision.origin,
            gateways=self._wanted(entry.gateways, "none", now_us),
        )
        return Ruling("unblocked", lifted)

    def adopt(self, report: Block, reporter: str, *, new_id: str, now_us: int) -> Entry | None:
        """The entry for a block that a gateway has and that nobody told the supervisor of; None if
        the report is of no block that runs.

        What is left of it comes from the report alone, whose times are by one clock.

        Args:
            reporter: bare JID of the reaction agent.
        """
        left_us = min(report.expires_us - report.since_us, self.maximum_s * 1_000_000)
        if report.state != "active" or left_us < 1_000_000 or report.gateway not in self._gateways:
            return None
        source = canonical(report.source)
        if self.protected.refusal(source):
            return None
        decision = Decision(
            id=report.decision,
            action="block",
            source=source,
            classification="Reported",
            origin=reporter,
            decided_us=now_us,
            duration_s=left_us // 1_000_000,
            reason=f"gateway {report.gateway} blocks it; why has not reached the supervisor",
        )
        return Entry(
            id=new_id,
            cause=decision,
            decision=decision,
            state="active",
            since_us=now_us,
            expires_us=now_us + left_us,
            reach="reported",
            gateways=(_state_of(report, "block"),),
        )

    def on_report(self, entry: Entry, report: Block, now_us: int) -> Entry | None:
        """The entry after a gateway's report; None if the report changes nothing.

        Its times are on our clock. One that is older than the last is late, and ignored; unless by
        so much that our own clock was set back between them. An entry is kept
        ``active`` by what we want, not by what one gateway says, unless it is only known from what
        gateways say.
        """
        old = entry.on(report.gateway)
        if report.gateway not in self._gateways:
            return None
        if old is not None and 0 < old.reported_us - report.since_us < LATE_US:
            return None
        wanted = old.wanted if old is not None else _wants(entry)
        new = _state_of(report, wanted)
        if new == old:
            return None
        others = [g for g in entry.gateways if g.gateway != report.gateway]
        gateways = tuple(sorted([*others, new], key=lambda g: g.gateway))
        entry = replace(entry, gateways=gateways)
        if entry.reach == "everywhere" or entry.state != "active":
            return entry
        left_us = report.expires_us - report.since_us
        if report.state == "active":
            bounded_us = min(left_us, self.maximum_s * 1_000_000)
            return replace(entry, expires_us=max(entry.expires_us, now_us + bounded_us))
        if any(g.state == "active" for g in gateways):
            return entry
        ended: EntryState = "lifted" if report.state == "lifted" else "expired"
        return replace(
            entry,
            state=ended,
            ended_us=now_us,
            ended_by=f"gateway {report.gateway}",
            gateways=tuple(replace(g, wanted="none") for g in gateways),
        )

    def _wanted(
        self, old: Iterable[GatewayState], wanted: Wanted, now_us: int
    ) -> tuple[GatewayState, ...]:
        """The gateways' states with a new wish; what they last said stays until they say more."""
        known = {g.gateway: g for g in old}
        out = []
        for name in sorted({*known, *self._gateways}):
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


def expired(entry: Entry) -> Entry:
    """The entry after its end: nothing is wanted of any gateway, the kernels end it themselves."""
    return replace(
        entry,
        state="expired",
        ended_us=entry.expires_us,
        ended_by="time",
        gateways=tuple(replace(g, wanted="none") for g in entry.gateways),
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


def _state_of(report: Block, wanted: Wanted) -> GatewayState:
    return GatewayState(
        gateway=report.gateway,
        wanted=wanted,
        state=report.state,
        since_us=report.since_us,
        expires_us=report.expires_us,
        reported_us=report.since_us,
        detail=report.detail,
        decision=report.decision,
    )


def _lifted_since(decision: Decision, last: Entry | None) -> str | None:
    """A decision from before a lift must not undo it, however late it comes."""
    if last is None or last.state != "lifted" or decision.decided_us > last.ended_us:
        return None
    if decision.origin.startswith("user:"):
        return None  # who sees the lift may block again
    return f"the block of {decision.source} was lifted after this was decided"


def _wants(entry: Entry) -> Wanted:
    return "block" if entry.state == "active" else "none"
