"""The supervisor's shell: messages in and out, the clock, and the feed of a console."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from agents.base import BaseAgent
from agents.base.conversations import Reply
from agents.base.own_clock import block_here, decision_here
from agents.base.steady_clock import SteadyClock
from agents.base.subscriptions import SAVE_AGAIN_S, Subscribers
from agents.clock import now_us
from agents.knowledge.following import ontology_agent_of
from agents.messages.acl import AclMessage
from agents.supervisor.bans import Entry, in_force
from agents.supervisor.catching_up import CatchingUp
from agents.supervisor.changes import Changes
from agents.supervisor.errors import ServiceError
from agents.supervisor.feed import TOPIC
from agents.supervisor.ledger import Ledger
from agents.supervisor.operations import Operations
from agents.supervisor.propagation import Order
from agents.supervisor.timekeeper import Timekeeper
from ontology.oversight import AuditLine, BanAction
from ontology.records import (
    AgentDescription,
    Alert,
    Block,
    BlocksInForce,
    Decision,
    GatewayAddresses,
    Incident,
    OntologyAction,
    Record,
    Subscription,
    TrafficCluster,
)

logger = logging.getLogger(__name__)

ORDERS_PER_MESSAGE = 50
"""A few hundred bytes each in Turtle: far below the 200 kB of a stanza."""
UNBLOCK_LIMIT_S = 3600
"""An unblock that waited longer is given up; the gateway gets it again when it registers."""
OWN_RENEWAL_S = 5.0
NEWS_LIMIT_S = 60
"""What is in force is told a correlation agent within this, or when it registers."""
FEED_LIMIT_S = 60
"""A part of the feed that waited longer is given up: the console asks for everything anew."""
MAX_CHANGES = 16
"""Operators' changes on their way to the ontology agent at once."""


@dataclass(slots=True)
class SupervisorRun:
    """What a supervisor works with once it has started."""

    ledger: Ledger
    operations: Operations
    timekeeper: Timekeeper
    changes: Changes
    subscribers: Subscribers
    sweeping: asyncio.Lock
    open: bool = True
    """Until the ledger is about to be closed."""
    changing: int = 0


class SupervisorAgent(BaseAgent[SupervisorRun]):
    """Directory, propagation to all gateways, expiry, the audit trail, and a console's feed."""

    role = "supervisor"
    services = ("audit", "directory", "oversight", "propagation")

    async def on_start(self) -> SupervisorRun:
        """Open the ledger, and tell a console that had subscribed before. Raises: LedgerError"""
        folder = self.context.state_dir
        ledger = await asyncio.to_thread(Ledger, folder / "ledger.sqlite3", faults=self.conditions)
        self.keeps(ledger.look, name="ledger")
        clock = SteadyClock(ledger.clock()[0])
        operations = Operations(
            self.settings,
            ledger,
            clock=clock,
            send=self._send_orders,
            archive=self._archive,
            counters=self.counters,
            ask=self._ask_gateway,
            publish=self._publish,
            catching_up=CatchingUp(partial(self.spawn, name="catching up"), lambda: self.pending),
        )
        run = SupervisorRun(
            ledger=ledger,
            operations=operations,
            timekeeper=Timekeeper(clock, ledger, operations.propagation),
            changes=Changes(ledger, now_us, self._ask_ontology),
            subscribers=Subscribers(folder / "subscribers.json", self.conditions),
            sweeping=asyncio.Lock(),
        )
        self.at_end(lambda: self._close(run))
        self.every(1.0, self._sweep, name="sweep")
        self.every(SAVE_AGAIN_S, run.subscribers.save_again, name="subscribers")
        self.every(OWN_RENEWAL_S, self._register_myself, name="own registration")
        for console in self.settings.jids("console"):
            if console in run.subscribers.to(TOPIC):
                self.spawn(self._open_feed(console), name="feed")
        return run

    async def _close(self, run: SupervisorRun) -> None:
        """The feed ends, then the ledger is closed, with no sweep in between."""
        await run.operations.feed.close()
        async with run.sweeping:
            run.open = False
            await asyncio.to_thread(run.ledger.close)

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """Registrations, decisions with their evidence, incidents, reports of gateways, and what
        a console subscribes to and asks for."""
        operations = self.running.operations
        incidents = {r.id: r for r in records if isinstance(r, Incident)}
        alerts = {r.id: r for r in records if isinstance(r, Alert)}
        reports: list[Block] = []
        for record in records:
            match record:
                case AgentDescription():
                    await operations.register(record, message.sender)
                    await self.reply(message, "inform", ())
                case Decision():
                    incident = incidents.pop(record.incident or "", None)
                    await self._decide(message, record, incident, alerts)
                case Block():
                    reports.append(block_here(record, operations.clock(), self.age_s))
                case GatewayAddresses():
                    await operations.protect(record)
                case BlocksInForce():
                    await operations.compare(record)
                case Subscription():
                    await self._subscribe(message, record)
                case BanAction():
                    await self._act(message, record)
                case AuditLine():
                    await operations.note(record)
                case TrafficCluster() | OntologyAction() if message.performative == "request":
                    self.spawn(self._change(message, record), name="change of the knowledge")
                case _:
                    pass
        if reports:
            await operations.report(*reports)
        for incident in incidents.values():
            await operations.observe(incident, _of(incident, alerts))

    # ---- the console

    async def _subscribe(self, message: AclMessage, wish: Subscription) -> None:
        subscribers = self.running.subscribers
        if wish.topic != TOPIC:
            await self.reply(message, "refuse", [wish])
        elif message.performative == "cancel":
            subscribers.remove(message.sender, TOPIC)
            await self.running.operations.feed.close()
        else:
            subscribers.add(message.sender, TOPIC)
            await self.reply(message, "agree", [wish])
            self.spawn(self._open_feed(message.sender), name="feed")

    async def _open_feed(self, console: str) -> None:
        async def post(records: Sequence[Record]) -> None:
            await self.send(
                console,
                "inform",
                records,
                protocol="fipa-subscribe",
                within_s=FEED_LIMIT_S,
            )

        await self.running.operations.feed.open(post)

    async def _act(self, message: AclMessage, action: BanAction) -> None:
        try:
            done = await self.running.operations.act(action)
        except ServiceError as e:
            refused = replace(action, outcome=e.kind, detail=str(e))
            await self.reply(message, "refuse", [refused])
        else:
            await self.reply(message, "inform", done)

    async def _change(self, message: AclMessage, wanted: TrafficCluster | OntologyAction) -> None:
        run = self.running
        if run.changing >= MAX_CHANGES:
            busy = replace(wanted, detail=f"{MAX_CHANGES} changes are under way already")
            await self.reply(message, "failure", [busy])
            return
        run.changing += 1
        try:
            performative, answer = await run.changes.make(wanted)
            run.operations.feed.touch()
            await self.reply(message, performative, [answer])
        finally:
            run.changing -= 1

    async def _ask_ontology(self, record: Record, limit_s: float) -> Reply:
        ontology = ontology_agent_of(self.settings, self.node)
        return await self.ask(
            ontology, "request", [record], protocol="fipa-request", limit_s=limit_s
        )

    # ---- decisions and orders

    async def _decide(
        self,
        message: AclMessage,
        decision: Decision,
        incident: Incident | None,
        alerts: dict[str, Alert],
    ) -> None:
        if decision.origin != message.sender:
            # ``user:…`` and other agents' names belong to those who have them.
            raise ValueError(f"{message.sender} decides in the name of {decision.origin!r}")
        evidence = _of(incident, alerts) if incident is not None else ()
        operations = self.running.operations
        decision = decision_here(decision, operations.clock(), self.age_s)
        plan = await operations.decide(
            decision, incident, evidence, ordered_at=self._ordered_at(message.sender, decision)
        )
        if message.performative != "request":
            return
        if plan.accepted:
            await self.reply(message, "agree", [decision])
        else:
            await self.reply(message, "refuse", [replace(decision, reason=plan.detail)])

    def _ordered_at(self, sender: str, decision: Decision) -> str:
        """The gateway that a correlation agent has ordered before it told us: that of its node."""
        for node in self.running.operations.propagation.gateways:
            if decision.action == "block" and sender == self.settings.jid("correlation", node):
                return node
        return ""

    async def _publish(self, entries: Sequence[Entry]) -> None:
        """Tell correlation agents what is in force, or no longer; one that starts gets all."""
        now_us = self.running.operations.clock()
        for start in range(0, len(entries), ORDERS_PER_MESSAGE):
            await self.send_many(
                self.settings.jids("correlation"),
                "inform",
                [in_force(e, now_us) for e in entries[start : start + ORDERS_PER_MESSAGE]],
                protocol="fipa-subscribe",
                within_s=NEWS_LIMIT_S,
            )

    async def _send_orders(self, orders: Sequence[Order]) -> None:
        """One message per gateway and 50 orders. An order that comes too late isn't delivered."""
        by_receiver: dict[str, list[Decision]] = {}
        for order in orders:
            by_receiver.setdefault(order.receiver, []).append(order.decision)
        for receiver, decisions in by_receiver.items():
            for start in range(0, len(decisions), ORDERS_PER_MESSAGE):
                part = decisions[start : start + ORDERS_PER_MESSAGE]
                limit_s = min(d.duration_s or UNBLOCK_LIMIT_S for d in part)
                await self.send(
                    receiver,
                    "request",
                    part,
                    protocol="fipa-request",
                    within_s=limit_s,
                )

    async def _ask_gateway(self, believed: BlocksInForce) -> None:
        receiver = self.running.operations.propagation.gateways[believed.node]
        await self.send(receiver, "query-ref", [believed], protocol="fipa-query")

    async def _archive(self, records: Sequence[Record]) -> None:
        for receiver in self.settings.jids("ontology"):
            await self.send(receiver, "inform", records, protocol="fipa-subscribe")

    async def _sweep(self) -> None:
        run = self.running
        async with run.sweeping:
            if run.open:
                step_us = await asyncio.to_thread(run.timekeeper.tick)
                run.operations.directory.move(step_us)
                if step_us:
                    run.operations.reconciliation.clock_set(step_us)
                    run.operations.feed.anew()
                await run.operations.sweep()
        await run.operations.feed.beat()

    def renew_soon(self) -> None:
        """Into the directory at once: it is our own."""
        self.spawn(self._register_myself(), name="own registration")

    async def _register_myself(self) -> None:
        run = self.running
        async with run.sweeping:
            if run.open:
                await run.operations.register(self.describe(), self.jid)


def _of(incident: Incident, alerts: dict[str, Alert]) -> tuple[Alert, ...]:
    return tuple(alerts[name] for name in incident.alerts if name in alerts)
