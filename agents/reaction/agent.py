"""The reaction agent: one per gateway, the only one that touches a firewall.

Takes block and unblock decisions from the supervisor and from the correlation agent of its node;
answers ``refuse``, or ``agree`` and then ``inform`` or ``failure``, each with the state of the
block on this gateway. What one of them ordered, or what ended, the others are informed of.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Final, TypeVar

from agents.base import AgentContext, BaseAgent
from agents.base.conditions import FIREWALL, PACKET_PATH
from agents.base.confinement import Needs
from agents.base.host_peers import FOLDERS, NameLookups
from agents.base.kernel_addresses import KernelAddressesError, read_kernel_addresses
from agents.base.losses import Loss
from agents.base.privileges import NET_ADMIN, NET_RAW
from agents.clock import now_us
from agents.messages.acl import AclMessage
from agents.reaction.enforcement import Enforcement, Report
from agents.reaction.firewall import DryRunFirewall, Firewall, FirewallError
from agents.reaction.policy import ReactionPolicy
from agents.reaction.responders import ResponderOptions, Team, make_team
from agents.reaction.store import ClaimStore
from ontology.records import (
    Address,
    Block,
    BlocksInForce,
    BlockState,
    Decision,
    GatewayAddresses,
    Record,
    Role,
)

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

TICK_S = 1.0
"""How soon an ended block is reported, and a flushed rule set repaired, at the latest."""
PROVE_EVERY_S = 30.0
"""How often a packet of our own shows that the kernel drops."""
KERNEL_EVERY_S = 30.0
"""How often the kernel is asked for its addresses and routes."""
_PER_MESSAGE = 50
_ANSWERS: Final[dict[BlockState, str]] = {
    "active": "inform",
    "lifted": "inform",
    "failed": "failure",
    "refused": "refuse",
    "waiting": "inform",
    "shadow": "inform",
}


@dataclass(frozen=True, slots=True)
class Gateway:
    """What a reaction agent works with while it runs."""

    enforcement: Enforcement
    policy: ReactionPolicy
    team: Team | None
    """The node's responders; None in a dry run."""


class ReactionAgent(BaseAgent[Gateway]):
    """Shell around `Enforcement`: firewall and disk work in a thread of their own."""

    role: ClassVar[Role] = "reaction"
    services: ClassVar[tuple[str, ...]] = ("block", "unblock")
    losses: ClassVar[tuple[Loss, ...]] = (
        Loss("blocks_refused_rate", "blocks put off, more than policy.maximum_blocks_per_minute"),
        Loss("blocks_drift", "our nftables rules were changed by somebody else, and put back"),
        Loss("blocks_failed", "orders that the firewall did not carry out"),
        Loss("responder.*.errors", "responder {} failed, it is tried again"),
        Loss("responder.*.forgotten", "responder {}: orders given up, too many wait"),
    )

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="firewall")
        self._supervisors = self.settings.jids("supervisor")
        self._correlation = self.settings.jid("correlation", self.node)
        """The correlation agent of this node, where it has one: nobody else but a supervisor
        orders."""
        self._kernel_reported = ""
        self._names = NameLookups(self.settings.xmpp.host, self.settings.policy.allow_hosts)

    @classmethod
    def needs(cls, context: AgentContext) -> Needs:
        """CAP_NET_ADMIN for the rules; raw packets only where connections are reset; other people's
        responders may speak to their own devices."""
        node = context.settings.node_named(context.node)
        read = tuple(folder for folder in FOLDERS if folder.is_dir())
        if context.settings.policy.dry_run:
            return Needs(read=read, executes=True)
        resets = "tcp-reset" in node.responders
        return Needs(
            read=read,
            executes=True,
            capabilities=frozenset({NET_ADMIN, NET_RAW} if resets else {NET_ADMIN}),
            families=(socket.AF_NETLINK, *((socket.AF_PACKET,) if resets else ())),
            any_port=not {"nftables", "tcp-reset"}.issuperset(node.responders),
        )

    async def on_start(self) -> Gateway:
        """Install the rules and report the blocks in force.

        Raises: FirewallError (no capability, no nft), StoreError: the agent ends with one line.
        """
        self.at_end(self._end_worker)
        policy = ReactionPolicy(self.settings, self.node)
        if (kernel := await self._ask_kernel()) is not None:
            policy.protected = policy.protected.with_kernel(kernel)
        node = self.settings.node_named(self.node)
        firewall: Firewall
        team: Team | None = None
        note = ""
        if self.settings.policy.dry_run:
            firewall, note = DryRunFirewall(), "dry run: nothing is really blocked"
        else:
            options = ResponderOptions(
                gateway=self.node, allow=tuple(policy.allow), interfaces=node.interfaces
            )
            firewall = team = await self._in_worker(lambda: make_team(node.responders, options))
        store = await self._in_worker(
            lambda: ClaimStore(self.context.state_dir / "blocks.sqlite3", self.conditions)
        )
        self.keeps(store.look, name="claim")
        enforcement = Enforcement(
            policy,
            firewall,
            store,
            gateway=self.node,
            authorities=self._supervisors,
            note=note,
        )
        self.at_end(lambda: self._in_worker(enforcement.close))
        active = await self._in_worker(enforcement.start)
        if team is not None:
            now = now_us()
            team.catch_up({r.block.source: (r.block.expires_us - now) / 1e6 for r in active})
        logger.info("blocks in force: %d%s", len(active), f" ({note})" if note else "")
        # Before any order is taken: a report that waits is read as news of when it is sent.
        # A supervisor asks, once it has our registration.
        for begin in range(0, len(active), _PER_MESSAGE):
            await self._report(active[begin : begin + _PER_MESSAGE], but=self._supervisors)
            await asyncio.sleep(0)  # very many must not keep the launcher's question waiting
        self.every(TICK_S, self._tick, name="firewall watch")
        self.every(PROVE_EVERY_S, self._prove, name="packet path")
        self.every(KERNEL_EVERY_S, self._look_at_kernel, name="kernel addresses")
        return Gateway(enforcement, policy, team)

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """A request with decisions, or a question what is in force; anything else needs no
        answer."""
        if message.performative == "query-ref":
            for record in records:
                if isinstance(record, BlocksInForce):
                    await self._compare(message, record)
        if message.performative != "request":
            return
        decisions = [record for record in records if isinstance(record, Decision)]
        if len(decisions) != len(records):
            raise ValueError("only decisions can be requested of a reaction agent")
        enforcement = self.running.enforcement
        age_s = self.age_s
        reports = await self._in_worker(
            lambda: enforcement.handle(decisions, message.sender, age_s)
        )
        self._count()
        by_answer: dict[str, list[Block]] = {}
        for report in reports:
            by_answer.setdefault(_ANSWERS[report.block.state], []).append(report.block)
        # FIPA SC00026: agree comes first. It is sent after the work, which takes less time than it.
        if by_answer.keys() != {"refuse"}:
            await self.reply(message, "agree", ())
        for performative, part in by_answer.items():
            await self.reply(message, performative, part)
        await self._report(reports, but={message.sender})

    async def _compare(self, message: AclMessage, believed: BlocksInForce) -> None:
        """Tell a supervisor what we have, and block by block where it believes something else."""
        enforcement = self.running.enforcement

        def look() -> tuple[BlocksInForce, list[Address]]:
            ours = replace(believed, node=self.node, part_digests=enforcement.in_force())
            return ours, enforcement.blocked_in(ours.differs_from(believed))

        ours, differing = await self._in_worker(look)
        await self.reply(message, "inform-ref", [ours])
        if differing:
            self.spawn(self._tell(message.sender, differing), name="blocks in force")

    async def _tell(self, supervisor: str, addresses: Sequence[Address]) -> None:
        """Of each block as it is when it is told: orders may come in between. What the worker gives
        is posted in its order."""
        enforcement = self.running.enforcement
        for begin in range(0, len(addresses), _PER_MESSAGE):
            look = partial(enforcement.reports, addresses[begin : begin + _PER_MESSAGE])
            reports = await self._in_worker(look)
            await self._send_blocks(supervisor, [report.block for report in reports])

    async def _end_worker(self) -> None:
        # Rules and blocks stay: a stopped agent must not open the door.
        self._worker.shutdown(wait=True)

    async def _tick(self) -> None:
        try:
            ended = await self._in_worker(self.running.enforcement.tick)
        except FirewallError as e:
            self.counters["firewall_errors"] += 1
            self.conditions.fault(FIREWALL, f"nobody knows what the kernel drops: {e}")
            return
        self.conditions.clear(FIREWALL)
        if self.conditions.of(PACKET_PATH) is not None:
            await self._prove()  # it may just have been repaired
        self._count()
        await self._report(ended)

    async def _prove(self) -> None:
        try:
            wrong = await self._in_worker(self.running.enforcement.prove)
        except FirewallError:
            return  # `_tick` says so
        self.conditions.hold(PACKET_PATH, wrong)

    async def _look_at_kernel(self) -> None:
        """Never block what the kernel has as its own, and tell the supervisors what that is."""
        # Not at the start: without an answer a lookup takes many seconds.
        kernel = await self._ask_kernel(self._names)
        failed = "; ".join(f"{name} ({why})" for name, why in self._names.failed.items())
        what = f"host names of policy.allow_hosts can't be looked up: {failed}" if failed else ""
        self.conditions.hold("allow-hosts", what, level="warning")
        if kernel is None or kernel.id == self._kernel_reported:
            return
        running = self.running
        protected = running.policy.protected.with_kernel(kernel)
        ended = await self._in_worker(lambda: running.enforcement.protect(protected))
        await self._report(ended)
        own = [n for n in self.settings.jids("correlation") if n == self._correlation]
        await self.send_many(
            [*self._supervisors, *own], "inform", [kernel], protocol="fipa-request"
        )
        self._kernel_reported = kernel.id

    async def _ask_kernel(self, names: NameLookups | None = None) -> GatewayAddresses | None:
        try:
            kernel = await asyncio.to_thread(read_kernel_addresses, self.node, names)
        except KernelAddressesError as e:
            self.counters["kernel_address_errors"] += 1
            reason = f"the kernel's own addresses are not known, and not protected: {e}"
            self.conditions.fault("kernel-addresses", reason, level="warning")
            return None
        self.conditions.clear("kernel-addresses")
        return kernel

    async def _report(self, reports: Iterable[Report], *, but: Collection[str] = ()) -> None:
        """Inform the supervisors, and whoever claims the address, of what they didn't order."""
        by_receiver: dict[str, list[Block]] = {name: [] for name in self._supervisors}
        for report in reports:
            claimants = report.claimants & {self._correlation}
            for name in {*self._supervisors, *claimants}.difference(but):
                by_receiver.setdefault(name, []).append(report.block)
        for receiver, blocks in by_receiver.items():
            await self._send_blocks(receiver, blocks)

    async def _send_blocks(self, receiver: str, blocks: Sequence[Block]) -> None:
        for start in range(0, len(blocks), _PER_MESSAGE):
            part = blocks[start : start + _PER_MESSAGE]
            await self.send(receiver, "inform", part, protocol="fipa-request")

    def _count(self) -> None:
        enforcement, team = self.running.enforcement, self.running.team
        for name, value in enforcement.counters.items():
            self.counters[f"blocks_{name}"] = value
        self.counters["blocks_active"] = enforcement.active
        if team is not None:
            for name, value in team.health().items():
                self.counters[name] = value

    async def _in_worker(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)
