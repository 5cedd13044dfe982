"""Supervisor and console joined without a server: every message is judged, written and read, as on
its way, but arrives at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from agents.base.conversations import NoAnswer, RefusedByPeer, Reply
from agents.console.console import Console
from agents.console.store import ReadStore
from agents.messages.acl import AclMessage
from agents.settings.honeynet import Settings
from agents.supervisor.changes import Changes
from agents.supervisor.errors import ServiceError
from agents.supervisor.operations import Operations
from agents.trust.identity import Peer
from agents.trust.roles import check_roles
from ontology.fragments import decode, encode
from ontology.oversight import AuditLine, BanAction
from ontology.records import Record, Role

Answerer = Callable[[Role, str, Record], Awaitable[tuple[str, Record]]]
"""An ontology agent: (who asks, performative, record) to (performative, record)."""


class Link:
    """Both ends; ``ontology`` answers for the third. ``silent`` names roles that don't answer."""

    def __init__(self, settings: Settings, operations: Operations, store: ReadStore) -> None:
        self.settings, self.operations = settings, operations
        self.silent: set[Role] = set()
        self.ontology: Answerer | None = None
        self.sensor: Callable[[Record], tuple[str, Sequence[Record]]] | None = None
        """Answers for the sensors."""
        self.sizes: list[int] = []
        """Bytes of each message of the feed."""
        self.changes = Changes(operations.ledger, operations.clock, self._ask_ontology)
        self.console = Console(
            settings, store, clock=operations.clock, ask=self.ask, tell=self.tell
        )

    async def follow(self) -> None:
        """The console subscribes."""
        await self.operations.feed.open(self._feed)

    async def flush(self) -> None:
        """What the supervisor has to tell arrives now."""
        await self.operations.feed.flush()

    async def _feed(self, records: Sequence[Record]) -> None:
        text = encode(records)
        self.sizes.append(len(text.encode()))
        await self.console.on_feed(self.carry("supervisor", "console", "inform", records))

    def carry(
        self, sender: Role, receiver: Role, performative: str, records: Sequence[Record]
    ) -> tuple[Record, ...]:
        """The records as they arrive. Raises: Refused, FragmentError"""
        read = decode(encode(records))
        check_roles(self._peer(sender), self._peer(receiver), performative, read)
        return read

    def _peer(self, role: Role) -> Peer:
        return Peer(self.settings.jids(role)[0], role, "gw1", None)  # type: ignore[arg-type]

    async def tell(self, records: Sequence[Record]) -> None:
        """The console informs the supervisor."""
        for record in self.carry("console", "supervisor", "inform", records):
            assert isinstance(record, AuditLine)
            await self.operations.note(record)

    async def ask(
        self, role: Role, performative: str, record: Record, limit_s: float, *, name: str = ""
    ) -> Reply:
        """The console asks."""
        (record,) = self.carry("console", role, performative, [record])
        if role in self.silent:
            raise NoAnswer(role, limit_s)
        if role == "ontology":
            return await self._ontology("console", performative, record, limit_s)
        if role == "sensor":
            if self.sensor is None:
                raise NoAnswer(name, limit_s)
            answer, records = await asyncio.to_thread(self.sensor, record)
            return self._reply("sensor", "console", answer, records)
        answer, records = await self._supervise(record)
        return self._reply("supervisor", "console", answer, records)

    async def _supervise(self, record: Record) -> tuple[str, Sequence[Record]]:
        """As `SupervisorAgent` does."""
        if isinstance(record, BanAction):
            try:
                return "inform", await self.operations.act(record)
            except ServiceError as e:
                return "refuse", [replace(record, outcome=e.kind, detail=str(e))]
        performative, answer = await self.changes.make(record)  # type: ignore[arg-type]
        self.operations.feed.touch()
        return performative, [answer]

    async def _ask_ontology(self, record: Record, limit_s: float) -> Reply:
        (record,) = self.carry("supervisor", "ontology", "request", [record])
        return await self._ontology("supervisor", "request", record, limit_s)

    async def _ontology(
        self, asker: Role, performative: str, record: Record, limit_s: float
    ) -> Reply:
        if self.ontology is None or "ontology" in self.silent:
            raise NoAnswer("ontology", limit_s)
        answer, said = await self.ontology(asker, performative, record)
        return self._reply("ontology", asker, answer, [said])

    def _reply(
        self, sender: Role, receiver: Role, performative: str, records: Sequence[Record]
    ) -> Reply:
        read = self.carry(sender, receiver, performative, records)
        if performative in ("refuse", "failure"):
            raise RefusedByPeer(sender, performative, "", read)
        message = AclMessage(
            performative=performative,
            sender=self._peer(sender).jid,
            receivers=(self._peer(receiver).jid,),
            content="-",
        )
        return Reply(message, read)
