"""What operators ask of the supervisor: to block, lift and extend by hand."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import uuid4

from agents.settings.fields import duration_text
from agents.supervisor.bans import Outcome
from agents.supervisor.by_hand import shortened, vetoed, waiting_again
from agents.supervisor.errors import ServiceError
from agents.supervisor.feed import Feed
from agents.supervisor.feed_records import ban_group, derived_id
from agents.supervisor.ledger import Ledger
from agents.supervisor.propagation import Entry, Plan, Propagation
from ontology.oversight import USER_PREFIX, BanAction
from ontology.records import Address, Alert, Decision, Incident, Record

HELD_WORDS = "a mode holds it back (docs/modes.md)"


class OperatorActions(ABC):
    """The part of `agents.supervisor.operations.Operations` that serves people."""

    ledger: Ledger
    propagation: Propagation
    feed: Feed
    clock: Callable[[], int]

    @abstractmethod
    async def decide(
        self,
        decision: Decision,
        incident: Incident | None,
        alerts: Sequence[Alert],
        *,
        ordered_at: str = "",
    ) -> Plan:
        """As in `Operations`."""

    @abstractmethod
    async def changed_by_hand(self, decision: Decision, outcome: Outcome, entry: Entry) -> None:
        """Order what an entry wants now, and tell who must know; the ledger has it."""

    async def act(self, action: BanAction) -> tuple[Record, ...]:
        """Do what an operator asks for; returns the ban as it is then, with its cause and blocks.

        Idempotent by the action's id. Raises: ServiceError, with why not.
        """
        user = action.origin.removeprefix(USER_PREFIX)
        decision_id = derived_id(action.id, "decision")
        entry = await asyncio.to_thread(self.ledger.entry_of_decision, decision_id)
        if entry is None:
            if action.source is not None:
                entry = await self.block(
                    action.source, action.duration_s, action.reason, user, decision_id
                )
            else:
                entry = await self._change(action, user, decision_id)
        return ban_group(entry)

    async def _change(self, action: BanAction, user: str, decision_id: str) -> Entry:
        ban, reason = action.ban or "", action.reason
        match action.ban_action:
            case "lift":
                return await self.lift(ban, reason, user, decision_id, action.duration_s)
            case "shorten":
                return await self.shorten(ban, action.duration_s, reason, user, decision_id)
            case "undo":
                return await self.undo(reason, user, decision_id)
            case "approve":
                return await self.approve(ban, reason, user, decision_id)
            case "veto":
                return await self.veto(ban, reason, user, decision_id, action.duration_s)
            case _:
                return await self.extend(ban, action.duration_s, reason, user, decision_id)

    async def block(
        self, source: Address, duration_s: int, reason: str, user: str, decision_id: str = ""
    ) -> Entry:
        """Block an address by hand. Raises: ServiceError when it must not be blocked."""
        if duration_s > self.propagation.maximum_s:
            longest = duration_text(self.propagation.maximum_s)
            raise ServiceError("refused", f"a block lasts at most {longest}")
        decision = Decision(
            id=decision_id or uuid4().urn,
            action="block",
            source=source,
            classification="Manual",
            origin=USER_PREFIX + user,
            decided_us=self.clock(),
            duration_s=duration_s,
            reason=reason,
        )
        plan = await self.decide(decision, None, ())
        if not plan.accepted:
            raise ServiceError("refused", plan.detail)
        entry = plan.entry or await asyncio.to_thread(self.ledger.active_for, source)
        if entry is None:  # lifted by somebody else in this very moment
            raise ServiceError("ended", f"{source} was lifted meanwhile")
        return entry

    async def lift(
        self, entry_id: str, reason: str, user: str, decision_id: str = "", grace_s: int = 0
    ) -> Entry:
        """End a block on every gateway.

        Args:
            grace_s: for so long no incident of the same class blocks the address again.

        Raises: ServiceError
        """
        entry = await self._active(entry_id)
        if entry.held == "shadow":
            raise ServiceError("refused", f"{entry.source} is not blocked anywhere: {HELD_WORDS}")
        return await self._lift(entry, reason, USER_PREFIX + user, decision_id, grace_s)

    async def _lift(
        self, entry: Entry, reason: str, origin: str, decision_id: str = "", grace_s: int = 0
    ) -> Entry:
        decision = self._unblock(entry, reason, origin, decision_id, grace_s)
        plan = await self.decide(decision, None, ())
        if plan.entry is None:
            raise ServiceError("ended", f"the block of {entry.source} has already ended")
        return plan.entry

    def _unblock(
        self, entry: Entry, reason: str, origin: str, decision_id: str, grace_s: int
    ) -> Decision:
        return Decision(
            id=decision_id or uuid4().urn,
            action="unblock",
            source=entry.source,
            classification=entry.cause.classification,
            origin=origin,
            decided_us=self.clock(),
            duration_s=grace_s,
            reason=reason,
        )

    async def extend(
        self, entry_id: str, seconds: int, reason: str, user: str, decision_id: str = ""
    ) -> Entry:
        """Make a block end later by ``seconds``. Raises: ServiceError"""
        entry = await self._active(entry_id)
        if entry.held:
            raise ServiceError("refused", f"{entry.source} is not blocked anywhere: {HELD_WORDS}")
        total = entry.remaining_s(self.clock()) + seconds
        if total > self.propagation.maximum_s:
            longest = duration_text(self.propagation.maximum_s)
            raise ServiceError("refused", f"a block lasts at most {longest}")
        decision = replace(
            entry.cause,
            id=decision_id or uuid4().urn,
            origin=USER_PREFIX + user,
            decided_us=self.clock(),
            duration_s=total,
            reason=reason,
        )
        plan = await self.decide(decision, None, ())
        if not plan.accepted:
            raise ServiceError("refused", plan.detail)
        return plan.entry or await self._active(entry_id)

    async def shorten(
        self, entry_id: str, seconds: int, reason: str, user: str, decision_id: str = ""
    ) -> Entry:
        """Make a block end earlier by ``seconds``. Raises: ServiceError"""
        entry = await self._active(entry_id)
        if entry.held:
            raise ServiceError("refused", f"{entry.source} is not blocked anywhere: {HELD_WORDS}")
        left_s = entry.remaining_s(self.clock()) - seconds
        return await self._end_in(entry, left_s, reason, USER_PREFIX + user, decision_id)

    async def approve(self, entry_id: str, reason: str, user: str, decision_id: str = "") -> Entry:
        """Have carried out what waits for a person, on all gateways but those in mode ``shadow``;
        it lasts as long as was decided, from now on. Raises: ServiceError"""
        entry = await self._waiting(entry_id)
        now_us = self.clock()
        decision = replace(
            entry.decision,
            id=decision_id or uuid4().urn,
            origin=USER_PREFIX + user,
            decided_us=now_us,
            duration_s=entry.decision.duration_s if entry.held else entry.remaining_s(now_us),
            reason=reason,
        )
        plan = await self.decide(decision, None, ())
        if not plan.accepted:
            raise ServiceError("refused", plan.detail)
        return plan.entry or await self._active(entry_id)

    async def veto(
        self, entry_id: str, reason: str, user: str, decision_id: str = "", grace_s: int = 0
    ) -> Entry:
        """Say no to what waits for a person; where it is blocked already it stays so.

        Args:
            grace_s: for so long no incident of the same class asks again.

        Raises: ServiceError
        """
        entry = await self._waiting(entry_id)
        origin = USER_PREFIX + user
        if entry.held:
            return await self._lift(entry, reason, origin, decision_id, grace_s)
        decision = self._unblock(entry, reason, origin, decision_id, grace_s)
        return await self._write(
            decision, "vetoed", entry_id, lambda e: vetoed(e, origin, decision.decided_us)
        )

    async def undo(self, reason: str, user: str, decision_id: str = "") -> Entry:
        """Take back the last thing that a person did about a block: what was made or approved is
        lifted, an end is what it was before, what was lifted is blocked for what remains, what was
        vetoed waits again. Raises: ServiceError"""
        origin = USER_PREFIX + user
        found = await asyncio.to_thread(self.ledger.last_of, origin)
        if found is None:
            raise ServiceError("refused", f"{user} has done nothing that could be undone")
        ruling, entry_id = found
        entry = await asyncio.to_thread(self.ledger.entry, entry_id)
        if entry is None:
            raise ServiceError("ended", "the block that it was about is no longer known")
        if ruling.outcome in ("unblocked", "vetoed"):
            return await self._bring_back(entry, ruling.outcome, reason, origin, decision_id)
        await self._active(entry_id)
        if ruling.outcome == "blocked":
            return await self._lift(entry, reason, origin, decision_id)
        before_us = await asyncio.to_thread(self.ledger.end_before, entry_id, ruling.decision.id)
        return await self._end_in(
            entry, (before_us - self.clock()) // 1_000_000, reason, origin, decision_id
        )

    async def _bring_back(
        self, entry: Entry, outcome: str, reason: str, origin: str, decision_id: str
    ) -> Entry:
        now_us = self.clock()
        other = await asyncio.to_thread(self.ledger.active_for, entry.source)
        if other is not None and (other.id != entry.id or other.waits):
            raise ServiceError("refused", f"{entry.source} is blocked or waits again already")
        decision = replace(
            entry.cause,
            id=decision_id or uuid4().urn,
            origin=origin,
            decided_us=now_us,
            duration_s=max(1, (entry.expires_us - now_us) // 1_000_000),
            reason=reason,
        )
        if outcome == "vetoed":
            waiting_us = self.propagation.bans.waiting_us
            return await self._write(
                decision, "held", entry.id, lambda e: waiting_again(e, now_us, waiting_us)
            )
        if entry.expires_us - now_us < 1_000_000:
            raise ServiceError("ended", f"the block of {entry.source} would have ended by now")
        plan = await self.decide(decision, None, ())
        if plan.entry is None:
            raise ServiceError("refused", plan.detail)
        return plan.entry

    async def _end_in(
        self, entry: Entry, seconds: int, reason: str, origin: str, decision_id: str
    ) -> Entry:
        """Let a block end so long from now, be that earlier or later."""
        if seconds < 1:
            raise ServiceError("refused", f"nothing would be left of {entry.source}: lift it")
        now_us = self.clock()
        end_us = now_us + seconds * 1_000_000
        decision = replace(
            entry.cause,
            id=decision_id or uuid4().urn,
            origin=origin,
            decided_us=now_us,
            duration_s=seconds,
            reason=reason,
        )
        if end_us > entry.expires_us:
            plan = await self.decide(decision, None, ())
            if not plan.accepted:
                raise ServiceError("refused", plan.detail)
            return plan.entry or await self._active(entry.id)
        return await self._write(
            decision, "shortened", entry.id, lambda e: shortened(e, decision, end_us, now_us)
        )

    async def _write(
        self,
        decision: Decision,
        outcome: Outcome,
        entry_id: str,
        change: Callable[[Entry], Entry],
    ) -> Entry:
        """Keep what a person changed of an entry, and tell who must know."""

        def write() -> Entry:
            ledger, now_us = self.ledger, decision.decided_us
            with ledger.transaction():
                entry = ledger.entry(entry_id)
                if entry is None:
                    raise ServiceError("unknown", "there is no such block")
                new = change(entry)
                ledger.save(new)
                ledger.add_decision(decision, outcome, "", entry_id, now_us)
                what = f"{decision.action}: {outcome}"
                ledger.audit(decision.origin, what, entry_id, decision.reason, now_us)
            return new

        entry = await asyncio.to_thread(write)
        await self.changed_by_hand(decision, outcome, entry)
        return entry

    async def _waiting(self, entry_id: str) -> Entry:
        entry = await self._active(entry_id)
        if not entry.waits:
            raise ServiceError("refused", f"the block of {entry.source} waits for nobody")
        return entry

    async def _active(self, entry_id: str) -> Entry:
        entry = await asyncio.to_thread(self.ledger.entry, entry_id)
        if entry is None:
            raise ServiceError("unknown", "there is no such block")
        if entry.state != "active":
            raise ServiceError("ended", f"the block of {entry.source} has already ended")
        return entry
