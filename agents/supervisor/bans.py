"""Who is blocked until when, in the whole honeynet: pure, the one keeper of it.

One entry per source address: a second decision for a blocked source lengthens the entry, it never
makes a second one, so that one lift ends it on every gateway. Correlation recommends and keeps
nothing; a gateway keeps claims. Times are ``now_us`` of a clock that no step of the wall clock
moves (`agents.base.steady_clock`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from agents.base.protected import Protected, canonical
from agents.settings.modes import HELD, Counts, Modes
from agents.supervisor.entry import Entry, EntryState, GatewayState, Wanted, expired, in_force
from ontology.oversight import USER_PREFIX
from ontology.records import Block, Decision

__all__ = ["Bans", "Entry", "GatewayState", "Outcome", "Ruling", "expired", "in_force"]

Outcome = Literal[
    "blocked",
    "extended",
    "shortened",
    "covered",
    "unblocked",
    "nothing",
    "refused",
    "known",
    "held",
    "vetoed",
]
"""``held``: no gateway is told to block; a person must approve, or nobody may (`Entry.held`)."""

LATE_US = 60 * 1_000_000
"""Reports of one gateway overtake each other by less than this."""


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
        modes: what is carried out where; everything without them.
        waiting_s: how long a decision waits for a person.
    """

    def __init__(
        self,
        gateways: Iterable[str],
        protected: Protected,
        maximum_s: int,
        modes: Modes | None = None,
        waiting_s: int = 3600,
    ) -> None:
        self._gateways = tuple(sorted(gateways))
        self.protected = protected
        self.maximum_s = maximum_s
        self.modes = modes or Modes()
        self.waiting_us = waiting_s * 1_000_000

    def rule(
        self,
        decision: Decision,
        current: Entry | None,
        last: Entry | None,
        *,
        new_id: str,
        now_us: int,
        rule: str = "",
        grace_s: int = 0,
    ) -> Ruling:
        """Rule on a decision that is new.

        Args:
            current: the active entry of its source, if there is one.
            last: the newest entry of its source, active or not.
            new_id: id for an entry, should one be made.
            rule: label of the rule that the decision's incident rests on.
            grace_s: how long the lift of ``last`` holds against the same.
        """
        decision = replace(decision, source=canonical(decision.source))
        if decision.action == "unblock":
            if current is None:
                return Ruling("nothing", None, f"{decision.source} is not blocked")
            return self.lift(current, decision, now_us)
        refusal = self.protected.refusal(decision.source) or _lifted_since(
            decision, last, now_us, grace_s
        )
        if refusal:
            return Ruling("refused", None, refusal)
        decision = replace(decision, duration_s=min(decision.duration_s, self.maximum_s))
        expires_us = min(decision.decided_us, now_us) + decision.duration_s * 1_000_000
        if expires_us <= now_us:
            return Ruling("refused", None, "its time was over before it came")
        modes = self._modes_of(decision, rule)
        if all(counts.mode != "enforce" for counts in modes.values()):
            held = self._hold(decision, current, modes, expires_us, new_id=new_id, now_us=now_us)
            if held is not None:
                return held
        if current is None:
            entry = Entry(
                id=new_id,
                cause=decision,
                decision=decision,
                state="active",
                since_us=now_us,
                expires_us=expires_us,
                gateways=self._wanted((), "block", now_us, modes),
            )
            return Ruling("blocked", entry)
        approved = current.waits and decision.origin.startswith(USER_PREFIX)
        if current.reach == "reported" or current.held or approved:
            # A gateway said so before; now it is known why, and every gateway shall do it. Or it
            # was held back, and no longer is.
            entry = replace(
                current,
                cause=decision if current.reach == "reported" else current.cause,
                decision=decision,
                expires_us=expires_us if current.held else max(expires_us, current.expires_us),
                reach="everywhere",
                gateways=self._wanted(current.gateways, "block", now_us, modes),
            )
            return Ruling("blocked", entry)
        if expires_us > current.expires_us:
            entry = replace(
                current,
                decision=decision,
                expires_us=expires_us,
                gateways=self._wanted(current.gateways, "block", now_us, modes),
            )
            return Ruling("extended", entry)
        return Ruling("covered", None, f"{decision.source} is already blocked for longer")

    def _modes_of(self, decision: Decision, rule: str) -> dict[str, Counts]:
        person = decision.origin.startswith(USER_PREFIX)
        return {
            gateway: self.modes.of(gateway, decision.classification, rule, by_person=person)
            for gateway in self._gateways
        }

    def _hold(
        self,
        decision: Decision,
        current: Entry | None,
        modes: Mapping[str, Counts],
        expires_us: int,
        *,
        new_id: str,
        now_us: int,
    ) -> Ruling | None:
        """What becomes of a block that no gateway may carry out now; None without gateways.

        What is blocked already stays so, and its end where it is.
        """
        if not modes:
            return None
        words = "; ".join(sorted({counts.words for counts in modes.values()}))
        if current is not None and not current.held:
            return Ruling("covered", None, f"{words}: the block that runs stays as it is")
        if any(counts.mode == "approve" for counts in modes.values()):
            expires_us = now_us + self.waiting_us
        if current is None:
            current = Entry(
                id=new_id,
                cause=decision,
                decision=decision,
                state="active",
                since_us=now_us,
                expires_us=expires_us,
            )
        entry = replace(
            current,
            decision=decision,
            expires_us=max(expires_us, current.expires_us),
            gateways=self._wanted(current.gateways, "block", now_us, modes),
        )
        return Ruling("held", entry, words)

    def lift(self, entry: Entry, decision: Decision, now_us: int) -> Ruling:
        """End an entry everywhere, by an ``unblock`` decision."""
        lifted = replace(
            entry,
            state="lifted",
            ended_us=now_us,
            ended_by=decision.origin,
            gateways=self._wanted(entry.gateways, "none", now_us),
        )
        return Ruling("vetoed" if entry.held == "waiting" else "unblocked", lifted)

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
        if old is not None and old.wanted == "none" and old.state == report.state in HELD.values():
            return None  # it says what was known here before
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
        self,
        old: Iterable[GatewayState],
        wanted: Wanted,
        now_us: int,
        modes: Mapping[str, Counts] | None = None,
    ) -> tuple[GatewayState, ...]:
        """The gateways' states with a new wish; what they last said stays until they say more.
        Where a mode holds it back, nothing is wanted, unless it is blocked there already."""
        known = {g.gateway: g for g in old}
        out = []
        for name in sorted({*known, *self._gateways}):
            state = known.get(name)
            counts = (modes or {}).get(name, Counts())
            runs = state is not None and (state.wanted, state.state) in _RUNS
            if counts.mode != "enforce" and not runs:
                held = GatewayState(
                    gateway=name,
                    wanted="none",
                    state=HELD[counts.mode],
                    since_us=now_us,
                    expires_us=0,
                    reported_us=state.reported_us if state is not None else 0,
                    detail=counts.words,
                )
                out.append(state if state is not None and state.state == held.state else held)
                continue
            if state is None:
                state = GatewayState(
                    gateway=name,
                    wanted=wanted,
                    state="pending",
                    since_us=now_us,
                    expires_us=0,
                    reported_us=0,
                )
            elif wanted == "none" and state.state == "waiting":
                state = replace(state, state="lifted", since_us=now_us, detail="")
            elif wanted == "block" and state.state != "active":
                state = replace(state, wanted=wanted, state="pending", since_us=now_us, detail="")
            out.append(replace(state, wanted=wanted))
        return tuple(out)


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


def _lifted_since(decision: Decision, last: Entry | None, now_us: int, grace_s: int) -> str | None:
    """A decision from before a lift must not undo it, however late it comes; nor may one for the
    same class of incidents, for as long as the lift says."""
    if last is None or last.state != "lifted" or decision.origin.startswith(USER_PREFIX):
        return None  # who sees the lift may block again
    if decision.decided_us <= last.ended_us:
        return f"the block of {decision.source} was lifted after this was decided"
    left_s = grace_s - (now_us - last.ended_us) // 1_000_000
    if left_s <= 0 or decision.classification != last.cause.classification:
        return None
    return (
        f"the block of {decision.source} was lifted by {last.ended_by}: for another {left_s} s"
        f" no {decision.classification} blocks it"
    )


_RUNS: Final = (("block", "active"), ("block", "pending"))
"""Wanted and actual where a source is blocked, or the order is on its way."""


def _wants(entry: Entry) -> Wanted:
    return "block" if entry.state == "active" else "none"
