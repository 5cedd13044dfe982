"""What operators ask of the supervisor: to block, lift and extend by hand."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import uuid4

from agents.settings.fields import duration_text
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
                return await self.lift(ban, reason, user, decision_id)
            case "approve":
                return await self.approve(ban, reason, user, decision_id)
            case "veto":
                return await self.veto(ban, reason, user, decision_id)
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

    async def lift(self, entry_id: str, reason: str, user: str, decision_id: str = "") -> Entry:
        """End a block on every gateway. Raises: ServiceError"""
        entry = await self._active(entry_id)
        return await self._lift(entry, reason, USER_PREFIX + user, decision_id)

    async def _lift(self, entry: Entry, reason: str, origin: str, decision_id: str = "") -> Entry:
        plan = await self.decide(self._unblock(entry, reason, origin, decision_id), None, ())
        if plan.entry is None:
            raise ServiceError("ended", f"the block of {entry.source} has already ended")
        return plan.entry

    def _unblock(self, entry: Entry, reason: str, origin: str, decision_id: str) -> Decision:
        return Decision(
            id=decision_id or uuid4().urn,
            action="unblock",
            source=entry.source,
            classification=entry.cause.classification,
            origin=origin,
            decided_us=self.clock(),
            duration_s=0,
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

    async def veto(self, entry_id: str, reason: str, user: str, decision_id: str = "") -> Entry:
        """Say no to what waits for a person; where it is blocked already it stays so.

        Raises: ServiceError
        """
        entry = await self._waiting(entry_id)
        origin = USER_PREFIX + user
        if entry.held:
            return await self._lift(entry, reason, origin, decision_id)
        decision = self._unblock(entry, reason, origin, decision_id)

        def write() -> Entry:
            with self.ledger.transaction():
                now = self.ledger.entry(entry_id) or entry
                vetoed = self.propagation.bans.veto(now, decision, decision.decided_us)
                self.ledger.save(vetoed)
                self.ledger.add_decision(decision, "vetoed", "", entry_id, decision.decided_us)
                self.ledger.audit(origin, "veto", entry_id, reason, decision.decided_us)
            return vetoed

        vetoed = await asyncio.to_thread(write)
        self.feed.ban(entry_id)
        return vetoed

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
