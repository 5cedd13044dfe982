"""What the supervisor does: each operation in one place, whoever asks for it.

Writes go to the ledger in a thread and in one transaction; only then do orders leave, and after
them what the console is told. The agent supplies how orders and archive records are sent, and the
clock.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from uuid import uuid4

from agents.base.log_limits import ORDER
from agents.base.protected import canonical
from agents.settings.honeynet import Settings
from agents.settings.modes import HELD
from agents.supervisor.bans import Outcome
from agents.supervisor.catching_up import CatchingUp
from agents.supervisor.directory import Change, Directory, DirectoryError
from agents.supervisor.feed import Feed
from agents.supervisor.ledger import Ledger
from agents.supervisor.operator_actions import OperatorActions
from agents.supervisor.propagation import Entry, Order, Plan, Propagation
from agents.supervisor.reconciliation import Reconciliation
from agents.supervisor.timekeeper import NOTE_EVERY_US
from ontology.blocks_in_force import BlocksInForce, sum_up
from ontology.oversight import AuditLine
from ontology.records import (
    AgentDescription,
    Alert,
    Block,
    Decision,
    GatewayAddresses,
    Incident,
    Record,
)

logger = logging.getLogger(__name__)

SendOrders = Callable[[Sequence[Order]], Awaitable[None]]
Archive = Callable[[Sequence[Record]], Awaitable[None]]
Ask = Callable[[BlocksInForce], Awaitable[None]]
"""Asks a gateway whether it has these; `Operations.compare` is told its answer."""
Publish = Callable[[Sequence[Entry]], Awaitable[None]]
"""Tells those who order blocks of their own what is in force."""


class Operations(OperatorActions):
    """The supervisor's operations. Coroutines run in the agent's loop."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        *,
        clock: Callable[[], int],
        send: SendOrders,
        archive: Archive,
        counters: Counter[str] | None = None,
        ask: Ask | None = None,
        publish: Publish | None = None,
        catching_up: CatchingUp | None = None,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.directory = Directory(settings)
        self.propagation = Propagation.from_settings(settings)
        self.feed = Feed(ledger, self.directory, clock=clock)
        self.clock = clock
        self.counters = Counter[str]() if counters is None else counters
        self.reconciliation = Reconciliation(
            ledger, self.propagation, self.directory, self.counters, clock()
        )
        self._send = send
        self._archive = archive
        self._ask = ask
        self._new_gateways: set[str] = set()
        """Whose answer is awaited, for the first time since they are up."""
        self._publish = publish
        self._catching_up = catching_up or CatchingUp()
        # Orders may have been given since that was noted, and a gateway goes by the newest.
        self.propagation.last_order_us = ledger.clock()[1] + NOTE_EVERY_US

    # ---- from the agents

    async def decide(
        self,
        decision: Decision,
        incident: Incident | None,
        alerts: Sequence[Alert],
        *,
        ordered_at: str = "",
    ) -> Plan:
        """Rule on a decision, keep it with its evidence, and send the orders it takes.

        Idempotent by the decision's id: a repeat gets the first ruling and sends no orders.

        Args:
            ordered_at: gateway that has the order already, from its own node.
        """
        decision = replace(decision, source=canonical(decision.source))
        now_us = self.clock()
        plan = await asyncio.to_thread(self._decide, decision, incident, alerts, now_us, ordered_at)
        if plan.outcome == "known":
            self.counters["decisions_repeated"] += 1
            # A crash may have come between the ledger and the outbox. The orders come again when
            # the gateways register; nobody else would tell the archive.
            await self._archive([decision])
            return plan
        self.counters[f"decisions_{plan.outcome}"] += 1
        logger.info(
            "decision %s %s %s: %s%s (class %s, incident %s, by %s, reason %r)",
            decision.id,
            decision.action,
            decision.source,
            plan.outcome,
            f" ({plan.detail})" if plan.detail else "",
            decision.classification,
            decision.incident,
            decision.origin,
            decision.reason,
            extra=ORDER,
        )
        await self._dispatch(plan.orders)
        if plan.entry is not None:
            self.reconciliation.expect(plan.entry, ordered_at, now_us)
            if not plan.entry.held:
                await self._announce([plan.entry])
        await self._tell(decision, plan, incident, alerts, now_us)
        await self._archive([decision])
        return plan

    def _decide(
        self,
        decision: Decision,
        incident: Incident | None,
        alerts: Sequence[Alert],
        now_us: int,
        ordered_at: str,
    ) -> Plan:
        ledger = self.ledger
        with ledger.transaction():
            known = ledger.ruling(decision.id)
            if known is not None:
                if known.outcome == "refused":
                    return Plan("refused", None, detail=known.detail)
                return Plan("known", None, detail=known.detail)
            # Ends what is over first: a block that lapsed a moment ago isn't one to lengthen.
            ledger.expire(now_us)
            current = ledger.active_for(decision.source)
            last = ledger.latest_for(decision.source)
            plan = self.propagation.on_decision(
                decision,
                current,
                last,
                new_id=uuid4().urn,
                now_us=now_us,
                ordered_at=ordered_at,
                rule=incident.rule if incident is not None else "",
                grace_s=ledger.grace_s(last) if last is not None else 0,
            )
            if plan.entry is not None:
                ledger.save(plan.entry)
            entry = plan.entry or current
            entry_id = entry.id if entry is not None else None
            ledger.add_decision(decision, plan.outcome, plan.detail, entry_id, now_us)
            if incident is not None:
                ledger.add_incident(incident, now_us)
            ledger.add_alerts(alerts, now_us)
            ledger.audit(
                decision.origin,
                f"{decision.action}: {plan.outcome}",
                entry_id or str(decision.source),
                plan.detail or decision.reason,
                now_us,
            )
        return plan

    async def changed_by_hand(self, decision: Decision, outcome: Outcome, entry: Entry) -> None:
        """See `OperatorActions.changed_by_hand`."""
        now_us = self.clock()
        if outcome == "shortened":
            await self._dispatch(self.propagation.again(entry, now_us))
            await self._announce([entry])
        self.feed.decision(decision, outcome, "", entry.id, now_us)
        self.feed.ban(entry.id)
        await self._archive([decision])

    async def observe(self, incident: Incident, alerts: Sequence[Alert]) -> None:
        """Keep and show an incident that led to no decision."""
        now_us = self.clock()
        await asyncio.to_thread(self._observe, incident, alerts, now_us)
        self.feed.evidence(incident, alerts, now_us)

    def _observe(self, incident: Incident, alerts: Sequence[Alert], now_us: int) -> None:
        with self.ledger.transaction():
            self.ledger.add_incident(incident, now_us)
            self.ledger.add_alerts(alerts, now_us)

    async def report(self, *blocks: Block) -> bool:
        """Take in a gateway's reports; False if one is about nothing we know."""
        known = []
        for block, entries in await asyncio.to_thread(self._report, blocks, self.clock()):
            self.counters["reports_unknown" if entries is None else "reports"] += 1
            if entries is None:
                if block.state in HELD.values():
                    continue  # its decision is on its way
                logger.warning(
                    "gateway %s reports %s of unknown decision %r", block.gateway, block.state,
                    block.decision,
                )  # fmt: skip
                continue
            known.append(block)
            for entry in entries:
                self.feed.ban(entry.id)
            await self._announce([e for e in entries if e.reach == "reported"])
        if known:
            # Also a repeat: a crash may have come between the ledger and the outbox.
            await self._archive(known)
        return len(known) == len(blocks)

    def _report(
        self, blocks: Sequence[Block], now_us: int
    ) -> list[tuple[Block, list[Entry] | None]]:
        with self.ledger.transaction():
            return [(block, self.reconciliation.report(block, now_us)) for block in blocks]

    async def protect(self, kernel: GatewayAddresses) -> None:
        """Never block what a gateway's kernel has, and lift what is blocked of it."""
        found = await asyncio.to_thread(self.reconciliation.protect, kernel, self.clock())
        for entry, refusal in found:
            await self._lift(entry, refusal, self.settings.jids("supervisor")[0])

    async def register(self, description: AgentDescription, sender: str) -> Change:
        """Enter an agent; a reaction agent that came (back) gets the blocks that it lacks.

        Raises: DirectoryError
        """
        now_us = self.clock()
        try:
            change = self.directory.register(description, sender, now_us)
        except DirectoryError as e:
            self.counters["registrations_refused"] += 1
            await self._audit(sender, "registration refused", sender, str(e), now_us)
            raise
        if change not in ("renewed", "changed"):
            logger.info("agent %s is %s", sender, change)
            await self._audit(sender, f"agent {change}", sender, description.health, now_us)
            if description.role == "reaction":
                await self._find_out(description.node, new=change != "returned", now_us=now_us)
            elif description.role == "correlation":
                names = await asyncio.to_thread(self.ledger.active_names, now_us)
                await self._catching_up.tell([name for name, _ in names], self._tell_in_force)
        self.feed.agent(sender, renewed=change == "renewed")
        return change

    async def _find_out(self, gateway: str, *, new: bool, now_us: int) -> None:
        """Ask a gateway what it has: its host may have rebooted, the kernel's table may be gone.

        Args:
            new: the reaction agent is a new process, which may do what the former one refused.
        """
        if new:
            self._new_gateways.add(gateway)
        believed = await asyncio.to_thread(self.reconciliation.believed, gateway, now_us)
        if self._ask is None:
            # Nobody to ask: nothing is taken for granted.
            await self.compare(replace(believed, part_digests=sum_up(())))
        else:
            await self._ask(believed)

    async def compare(self, theirs: BlocksInForce) -> None:
        """A gateway says what it has: it gets what it lacks, and all where it has something else
        than we believe (it tells us of that as well)."""
        gateway, now_us = theirs.node, self.clock()
        new = gateway in self._new_gateways
        self._new_gateways.discard(gateway)
        wanted = await asyncio.to_thread(self.reconciliation.wanted, theirs, now_us, new=new)

        async def order(ids: Sequence[str]) -> None:
            """As things stand when it is sent: an order made earlier would undo a lift, and last
            too long. Nothing is awaited from here to the outbox."""
            found = [e for e in self.ledger.named(ids) if self._is_latest(e)]
            orders = self.reconciliation.restore(gateway, found, self.clock())
            if orders:
                logger.info("gateway %s gets %d orders again", gateway, len(orders))
            await self._dispatch(orders)

        await self._catching_up.tell(wanted, order)

    def _is_latest(self, entry: Entry) -> bool:
        """Whether nothing else was decided of its source since."""
        if entry.state == "active":
            return True
        latest = self.ledger.latest_for(entry.source)
        return latest is not None and latest.id == entry.id

    async def _tell_in_force(self, ids: Sequence[str]) -> None:
        await self._announce(await asyncio.to_thread(self.ledger.named, ids))

    async def sweep(self) -> None:
        """Every second: end what is over, note the agents whose lease lapsed, keep the bounds."""
        now_us = self.clock()
        for entry in await asyncio.to_thread(self._expire, now_us):
            self.counters["blocks_expired"] += 1
            self.feed.ban(entry.id)
            await self._announce([entry])
        lapsed = self.directory.lapse(now_us)
        for registration in lapsed:
            name = registration.description.name
            logger.warning("agent %s is silent", name)
            await self._audit(name, "agent lapsed", name, "no renewal in its lease", now_us)
            self.feed.agent(name)
        if not self._catching_up.is_under_way:
            due = await asyncio.to_thread(self.reconciliation.due, now_us)
            await self._dispatch(due)
        self.counters["pruned"] = self.ledger.dropped

    def _expire(self, now_us: int) -> tuple[Entry, ...]:
        with self.ledger.transaction():
            ended = self.ledger.expire(now_us)
            for entry in ended:
                self.ledger.audit(
                    "supervisor", "block expired", entry.id, "its time is over", now_us
                )
        return ended

    async def note(self, line: AuditLine) -> None:
        """Write into the trail what a person did at the console: a login, a logout."""
        await self._audit(line.actor, line.act, line.subject, line.reason, line.audited_us)

    # ---- to the console, the gateways, the trail

    async def _tell(
        self,
        decision: Decision,
        plan: Plan,
        incident: Incident | None,
        alerts: Sequence[Alert],
        now_us: int,
    ) -> None:
        entry = plan.entry
        if entry is None and plan.outcome == "covered":
            entry = await asyncio.to_thread(self.ledger.active_for, decision.source)
        if incident is not None:
            self.feed.evidence(incident, alerts, now_us)
        entry_id = entry.id if entry is not None else None
        self.feed.decision(decision, plan.outcome, plan.detail, entry_id, now_us)
        if entry is not None:
            self.feed.ban(entry.id)

    async def _audit(self, who: str, what: str, subject: str, reason: str, at_us: int) -> None:
        await asyncio.to_thread(self.ledger.audit, who, what, subject, reason, at_us)
        self.feed.touch()

    async def _announce(self, entries: Sequence[Entry]) -> None:
        if entries and self._publish is not None:
            await self._publish(entries)

    async def _dispatch(self, orders: Sequence[Order]) -> None:
        if orders:
            self.counters["orders"] += len(orders)
            await self._send(orders)
