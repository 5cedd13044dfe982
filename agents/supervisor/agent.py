"""The supervisor's shell: messages in and out, the console, the clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

from agents.base import AgentContext, BaseAgent
from agents.clock import now_us
from agents.console.app import create_app
from agents.console.clusters import ANSWER_LIMIT_S
from agents.console.knowledge import ANSWER_LIMIT_S as KNOWLEDGE_LIMIT_S
from agents.console.server import ConsoleServer, bind, is_unix
from agents.console.sessions import FIRST_USER, open_credentials
from agents.messages.acl import AclMessage
from agents.supervisor.ledger import Ledger
from agents.supervisor.operations import ConsoleService
from agents.supervisor.propagation import Order
from ontology.records import (
    AgentDescription,
    Alert,
    Answer,
    Block,
    Decision,
    Incident,
    OntologyAction,
    OntologyChanged,
    Query,
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
WISH_LIMIT_US = 60_000_000


class SupervisorAgent(BaseAgent[None]):
    """Directory, propagation to all gateways, expiry and the console."""

    role = "supervisor"
    services = ("audit", "console", "directory", "propagation")

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self._sweeping = asyncio.Lock()
        self._open = False
        self._ledger: Ledger
        self._service: ConsoleService
        self._server: ConsoleServer

    async def on_start(self) -> None:
        """Open the ledger, then the console. Raises: LedgerError, ListenError, UsersError"""
        listen = self.settings.console.listen
        credentials = await asyncio.to_thread(open_credentials, self.settings.state_dir)
        sock = bind(listen)
        try:
            path = self.context.state_dir / "ledger.sqlite3"
            self._ledger = await asyncio.to_thread(Ledger, path)
        except BaseException:
            sock.close()
            raise
        self._service = ConsoleService(
            self.settings,
            self._ledger,
            clock=now_us,
            send=self._send_orders,
            archive=self._archive,
            counters=self.counters,
        )
        self._service.clusters.ask = self._ask_for_name
        self._service.knowledge.ask = self._ask_ontology
        for ontology in self.settings.jids("ontology"):
            wish = Subscription(id=uuid4().urn, topic="TrafficCluster")
            # One that starts later tells us unasked.
            limit = now_us() + WISH_LIMIT_US
            await self.send(
                ontology, "subscribe", [wish], protocol="fipa-subscribe", reply_by_us=limit
            )
        app = create_app(self._service, credentials, behind_proxy=is_unix(listen))
        self._server = ConsoleServer(app, sock)
        self._open = True
        self.spawn(self._server.serve(), name="console")
        self.every(1.0, self._sweep, name="sweep")
        self.every(OWN_RENEWAL_S, self._register_myself, name="own registration")
        logger.info("console on %s", listen)
        if credentials.first_start:
            logger.warning(
                "console: log in as %r; the password is in %s",
                FIRST_USER,
                credentials.password_file,
            )

    async def on_stop(self) -> None:
        """Close the console, then the ledger, with no sweep in between."""
        if self._open:
            await self._server.stop()
            async with self._sweeping:
                self._open = False
                await asyncio.to_thread(self._ledger.close)

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """Registrations, decisions with their evidence, incidents, and reports of gateways."""
        descriptions = [r for r in records if isinstance(r, AgentDescription)]
        decisions = [r for r in records if isinstance(r, Decision)]
        incidents = {r.id: r for r in records if isinstance(r, Incident)}
        alerts = {r.id: r for r in records if isinstance(r, Alert)}
        for description in descriptions:
            await self._service.register(description, message.sender)
            await self.reply(message, "inform", ())
        for decision in decisions:
            incident = incidents.pop(decision.incident or "", None)
            await self._decide(message, decision, incident, alerts)
        for incident in incidents.values():
            await self._service.observe(incident, _of(incident, alerts))
        for record in records:
            if isinstance(record, Block):
                await self._service.report(record)
            elif isinstance(record, Answer | OntologyAction):
                done = message.performative in ("inform", "inform-ref")
                self._service.knowledge.answered(message.conversation_id, record, done=done)
        self._hear_of_clusters(message, records)

    def _hear_of_clusters(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """An announcement of all names, or the answer to an operator's wish."""
        desk = self._service.clusters
        if any(isinstance(record, OntologyChanged) for record in records):
            desk.told(records)
            return
        for record in records:
            if isinstance(record, TrafficCluster):
                done = message.performative == "inform"
                desk.answered(message.conversation_id, record, done=done)

    async def _ask_ontology(self, record: Record, performative: str, conversation: str) -> None:
        protocol = "fipa-query" if isinstance(record, Query) else "fipa-request"
        for receiver in self.settings.jids("ontology"):
            await self.send(
                receiver,
                performative,
                [record],
                protocol=protocol,
                conversation_id=conversation,
                reply_by_us=now_us() + int(KNOWLEDGE_LIMIT_S * 1_000_000),
            )

    async def _ask_for_name(self, wanted: TrafficCluster, conversation: str) -> None:
        for receiver in self.settings.jids("ontology"):
            await self.send(
                receiver,
                "request",
                [wanted],
                protocol="fipa-request",
                conversation_id=conversation,
                # Later the operator has long been told that it failed.
                reply_by_us=now_us() + int(ANSWER_LIMIT_S * 1_000_000),
            )

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
        plan = await self._service.decide(decision, incident, evidence)
        if plan.accepted:
            await self.reply(message, "agree", [decision])
        else:
            await self.reply(message, "refuse", [replace(decision, reason=plan.detail)])

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
                    reply_by_us=now_us() + limit_s * 1_000_000,
                )

    async def _archive(self, records: Sequence[Record]) -> None:
        for receiver in self.settings.jids("ontology"):
            await self.send(receiver, "inform", records, protocol="fipa-subscribe")

    async def _sweep(self) -> None:
        async with self._sweeping:
            if self._open:
                await self._service.sweep()

    async def _register_myself(self) -> None:
        async with self._sweeping:
            if self._open:
                await self._service.register(self.describe(), self.jid)


def _of(incident: Incident, alerts: dict[str, Alert]) -> tuple[Alert, ...]:
    return tuple(alerts[name] for name in incident.alerts if name in alerts)
