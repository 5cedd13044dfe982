"""An agent's entry in the supervisor's directory, renewed before its lease is over (SC00023)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from agents.base.context import AgentContext
from agents.base.exchange import Exchange
from agents.clock import read_clocks
from agents.messages.acl import AclMessage
from ontology.records import AgentDescription

RENEW_EVERY_S = 5.0
LEASE_S = 15
_FIRST_S = 1.0  # until the supervisor has answered for the first time
_NEWS_S = 0.5  # between two renewals that news brings about
_CONVERSATION = "registration"


class Registration:
    """Keeps one agent registered.

    Args:
        describe: makes the entry as it is now.
    """

    def __init__(self, context: AgentContext, describe: Callable[[], AgentDescription]) -> None:
        self._supervisors: Sequence[str] = context.settings.jids("supervisor")
        self._conversation = f"{_CONVERSATION}-{context.node}-{context.role}"
        self._describe = describe
        self.done = asyncio.Event()
        """Set once the supervisor has answered, or if there is none to register with."""
        self.heard_s: float | None = None
        """When it last answered (monotonic seconds); it does every `RENEW_EVERY_S`."""
        self._news = asyncio.Event()

    def renew_soon(self) -> None:
        """The entry has changed in a way that can't wait for its turn."""
        self._news.set()

    async def keep(self, exchange: Exchange) -> None:
        """Register and renew, for ever."""
        if not self._supervisors:
            self.done.set()
            return
        while True:
            self._register(exchange)
            await asyncio.sleep(_NEWS_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(
                    (RENEW_EVERY_S if self.done.is_set() else _FIRST_S) - _NEWS_S
                ):
                    await self._news.wait()
            self._news.clear()

    def _register(self, exchange: Exchange) -> None:
        """Renewed too often to be worth storing: a lost one is replaced by the next."""
        description = self._describe()
        for supervisor in self._supervisors:
            if not exchange.routes.reaches(supervisor):
                continue
            message = exchange.delivery.compose(
                supervisor,
                "request",
                (description,),
                protocol="fipa-request",
                conversation_id=self._conversation,
                durable=False,
            )
            exchange.delivery.send_once(message, read_clocks())

    def take(self, message: AclMessage) -> bool:
        """Whether this is the supervisor's answer to a registration."""
        if message.conversation_id != self._conversation or message.sender not in self._supervisors:
            return False
        self.done.set()
        self.heard_s = time.monotonic()
        return True
