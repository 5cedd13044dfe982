"""The reaction agent: one per gateway, the only one that touches a firewall.

Takes block and unblock decisions from the supervisor; answers ``refuse``, or ``agree`` and then
``inform`` or ``failure``, each with the state of the block on this gateway.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, TypeVar

from agents.base import AgentContext, BaseAgent
from agents.clock import now_us
from agents.messages.acl import AclMessage
from agents.reaction.desk import ReactionDesk
from agents.reaction.firewall import DryRunFirewall, Firewall, FirewallError
from agents.reaction.policy import ReactionPolicy
from agents.reaction.responders import ResponderOptions, Team, make_team
from agents.reaction.store import BlockStore
from ontology.records import Block, Decision, Record, Role

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

TICK_S = 1.0
"""How soon an ended block is reported, and a flushed rule set repaired, at the latest."""
_PER_MESSAGE = 50
_ANSWERS = {"active": "inform", "lifted": "inform", "failed": "failure", "refused": "refuse"}


class ReactionAgent(BaseAgent[None]):
    """Shell around `ReactionDesk`: firewall and disk work in a thread of their own."""

    role: ClassVar[Role] = "reaction"
    services: ClassVar[tuple[str, ...]] = ("block", "unblock")

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="firewall")
        self._desk: ReactionDesk | None = None
        self._team: Team | None = None
        self._trouble = ""

    async def on_start(self) -> None:
        """Install the rules and report the blocks in force.

        Raises: FirewallError (no capability, no nft): the agent ends with one line.
        """
        policy = ReactionPolicy(self.settings)
        node = self.settings.node_named(self.node)
        firewall: Firewall
        note = ""
        if self.settings.policy.dry_run:
            firewall, note = DryRunFirewall(), "dry run: nothing is really blocked"
        else:
            options = ResponderOptions(
                gateway=self.node, allow=tuple(policy.allow), interfaces=node.interfaces
            )
            firewall = self._team = await self._in_worker(
                lambda: make_team(node.responders, options)
            )
        store = BlockStore(self.context.state_dir / "blocks.sqlite3")
        desk = ReactionDesk(policy, firewall, store, gateway=self.node, note=note)
        self._desk = desk
        active = await self._in_worker(lambda: desk.start(now_us()))
        if self._team is not None:
            self._team.catch_up({b.source: (b.expires_us - now_us()) / 1e6 for b in active})
        logger.info("%d blocks in force%s", len(active), f" ({note})" if note else "")
        await self._tell(active)
        self.every(TICK_S, self._tick, name="firewall watch")

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """A request with decisions; anything else from the supervisor needs no answer."""
        if message.performative != "request":
            return
        decisions = [record for record in records if isinstance(record, Decision)]
        if len(decisions) != len(records):
            raise ValueError("only decisions can be requested of a reaction agent")
        desk = self._enforcement()
        blocks = await self._in_worker(lambda: desk.handle(decisions, now_us()))
        self._count()
        by_answer: dict[str, list[Block]] = {}
        for block in blocks:
            by_answer.setdefault(_ANSWERS[block.state], []).append(block)
        # FIPA SC00026: agree comes first. It is sent after the work, which takes less time than it.
        if by_answer.keys() != {"refuse"}:
            await self.reply(message, "agree", ())
        for performative, part in by_answer.items():
            await self.reply(message, performative, part)

    async def on_stop(self) -> None:
        """Rules and blocks stay: a stopped agent must not open the door."""
        if self._desk is not None:
            await self._in_worker(self._desk.close)
        self._worker.shutdown(wait=True)

    async def _tick(self) -> None:
        desk = self._enforcement()
        try:
            ended = await self._in_worker(lambda: desk.tick(now_us()))
        except FirewallError as e:
            self.counters["firewall_errors"] += 1
            if str(e) != self._trouble:  # once, not every second
                logger.error("the firewall can't be checked: %s", e)
            self._trouble = str(e)
            return
        self._trouble = ""
        self._count()
        await self._tell(ended)

    async def _tell(self, blocks: Sequence[Block]) -> None:
        """Report to the supervisor what it didn't ask for."""
        for supervisor in self.settings.jids("supervisor"):
            for start in range(0, len(blocks), _PER_MESSAGE):
                part = blocks[start : start + _PER_MESSAGE]
                await self.send(supervisor, "inform", part, protocol="fipa-request")

    def _enforcement(self) -> ReactionDesk:
        if self._desk is None:
            raise RuntimeError("the reaction agent has not started")
        return self._desk

    def _count(self) -> None:
        desk = self._enforcement()
        for name, value in desk.counters.items():
            self.counters[f"blocks_{name}"] = value
        self.counters["blocks_active"] = desk.active
        if self._team is not None:
            for name, value in self._team.health().items():
                self.counters[name] = value

    async def _in_worker(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)
