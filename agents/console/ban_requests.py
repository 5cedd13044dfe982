"""What operators do about addresses: requests to the supervisor in their name, and its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import uuid4

from agents.base.conversations import NoAnswer, RefusedByPeer
from agents.console.action_errors import SILENT, ActionError
from agents.console.asking import Ask
from agents.console.feed_intake import Intake, News
from agents.console.views import BlockView, block_view
from ontology.addresses import canonical
from ontology.oversight import USER_PREFIX, Ban, BanAction, BanActionName
from ontology.records import Address, Block, Decision

LIMIT_S = 6.0
"""A command line waits 10 s for us."""


class BanRequests:
    """Blocks by hand, and what is done about them.

    Args:
        publish: tells the viewers what an answer changed.
    """

    def __init__(self, ask: Ask, intake: Intake, publish: Callable[[News], None]) -> None:
        self._ask, self._intake, self._publish = ask, intake, publish

    async def block(self, source: Address, duration_s: int, reason: str, user: str) -> BlockView:
        """Block an address on every gateway. Raises: ActionError"""
        return await self._request(
            BanAction(
                id=uuid4().urn,
                ban_action="block",
                # A scope id is free text of our own host, which no fragment can hold.
                source=canonical(source),
                duration_s=duration_s,
                origin=USER_PREFIX + user,
                reason=reason,
            )
        )

    async def change(
        self, what: BanActionName, ban: str | None, reason: str, user: str, *, seconds: int = 0
    ) -> BlockView:
        """Lift a ban, or do something else about it. Raises: ActionError

        Args:
            seconds: of actions that name a time (`BanAction.duration_s`).
        """
        return await self._request(
            BanAction(
                id=uuid4().urn,
                ban_action=what,
                ban=ban,
                duration_s=seconds,
                origin=USER_PREFIX + user,
                reason=reason,
            )
        )

    async def _request(self, action: BanAction) -> BlockView:
        asked_at = self._intake.parts
        try:
            reply = await self._ask("supervisor", "request", action, LIMIT_S)
        except RefusedByPeer as e:
            for record in e.records:
                if isinstance(record, BanAction):
                    raise ActionError(record.outcome or "refused", record.detail) from e
            raise ActionError("refused", e.reason or "the supervisor refuses") from e
        except (NoAnswer, RuntimeError) as e:
            raise ActionError("supervisor silent", SILENT) from e
        except ValueError as e:  # no fragment can hold it
            if action.ban is not None:
                raise ActionError("unknown", "there is no such block") from e
            raise ActionError("refused", str(e)) from e
        self._publish(await asyncio.to_thread(self._intake.take_answer, reply.records, asked_at))
        for ban in reply.records:
            if isinstance(ban, Ban):
                cause = next(
                    r for r in reply.records if isinstance(r, Decision) and r.id == ban.cause
                )
                return block_view(ban, cause, (r for r in reply.records if isinstance(r, Block)))
        raise ActionError("refused", "the supervisor's answer names no ban")
