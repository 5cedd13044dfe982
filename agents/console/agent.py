"""The console's shell: the page's listener, and the feed that it is told by."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from fastapi import FastAPI

from agents.base import AgentContext, BaseAgent
from agents.base.confinement import Needs
from agents.base.conversations import NoAnswer, Reply
from agents.base.disk_faults import fault_of
from agents.clock import now_us, read_clocks
from agents.console.app import create_app
from agents.console.console import Console
from agents.console.foreign_managers import read_keys
from agents.console.operator_socket import bind_operator_socket, operator_socket, operators
from agents.console.server import ConsoleServer, bind, is_unix
from agents.console.sessions import FIRST_USER, Credentials, open_credentials
from agents.console.store import ReadStore
from agents.messages.acl import AclMessage
from ontology.oversight import FeedPart
from ontology.records import OntologyChanged, Record, Role, Subscription, TrafficCluster

logger = logging.getLogger(__name__)

OPEN_AGAIN_S = 2.0
FEED_TOPIC = "Oversight"
"""What the supervisor offers."""
LOOK_EVERY_S = 5.0
"""How often we look whether the feed is whole."""
ASK_AGAIN_S = 10.0
"""After which a part that is missing is given up, and between two subscriptions."""
ASK_RARELY_S = 300.0
"""Longest time between two subscriptions, when they don't help."""
QUIET_S = 50.0
"""The supervisor says something every 15 s: after three of them it has forgotten us."""
WISH_LIMIT_S = 60
PASS_ON_LIMIT_S = 600
NICE = 5
"""How much the page gives way to the other agents of its host (nice(2))."""


@dataclass(slots=True)
class ConsoleRun:
    """What a console works with once it has started."""

    console: Console
    store: ReadStore
    server: ConsoleServer
    told_s: float = 0.0
    """When the last part came (monotonic seconds)."""
    asked_s: float = float("-inf")
    """When we subscribed last."""
    asked: int = 0
    """How often since the feed was whole."""


class ConsoleAgent(BaseAgent[ConsoleRun]):
    """REST API and page; told by the supervisor, and asks it in the name of people."""

    role = "console"
    services = ("page", "rest")

    @classmethod
    def needs(cls, context: AgentContext) -> Needs:
        """The page's process may read messages and who may log in, and start nothing."""
        return Needs(reads_logs=True, reads_console=True)

    @classmethod
    def take(cls, context: AgentContext) -> tuple[socket.socket, Credentials]:
        """The listener and the secrets. Raises: ListenError, UsersError, KeyFileError"""
        credentials = replace(
            open_credentials(context.settings.state_dir),
            manager_keys=read_keys(context.settings.manager),
        )
        return bind(context.settings.console.listen), credentials

    async def on_start(self) -> ConsoleRun:
        """Open the store and the page. Raises: StoreError, ListenError, UsersError"""
        listen = self.settings.console.listen
        # Orders go first where the processors don't suffice for both.
        os.nice(NICE)
        taken = self.taken or await asyncio.to_thread(self.take, self.context)
        sock, credentials = taken
        self.at_end(sock.close)
        store = await asyncio.to_thread(
            ReadStore, self.context.state_dir / "store.sqlite3", faults=self.conditions
        )
        self.at_end(lambda: asyncio.to_thread(store.close))
        self.keeps(store.look, name="page")
        console = Console(
            self.settings,
            store,
            clock=now_us,
            steady=lambda: read_clocks().steady_us,
            ask=self._ask,
            tell=self._tell,
            heard=self._heard,
            counters=self.counters,
            pass_on=self._pass_on if self.settings.jids("analyzer") else None,
        )
        app = create_app(console, credentials, behind_proxy=is_unix(listen))
        server = ConsoleServer(app, sock, counters=self.counters)
        self.at_end(server.stop)
        self.spawn(server.serve(), name="page")
        commands = await self._open_for_operators(app)
        if commands is None:
            self.spawn(self._serve_operators_later(app), name="operator's socket")
        else:
            self.spawn(commands.serve(), name="operator's socket")
        self.every(LOOK_EVERY_S, self._look_at_feed, name="feed watch")
        await self._subscribe("ontology", "TrafficCluster")
        logger.info("page on %s", listen)
        if credentials.first_start:
            logger.warning(
                "log in as %r; the password is in %s",
                FIRST_USER,
                credentials.password_file,
            )
        return ConsoleRun(console=console, store=store, server=server)

    async def _open_for_operators(self, app: FastAPI) -> ConsoleServer | None:
        """As ourselves, not as root: the folder is ours, and what it leads to is our word. None:
        no socket can be made there just now, which is told."""
        name = "operator's socket"
        try:
            sock = await asyncio.to_thread(bind_operator_socket, self.settings, self.node)
        except OSError as e:
            path = operator_socket(self.settings, self.node)
            self.conditions.fault(name, f"{path}: {fault_of(e)}; the page goes on, commands can't")
            return None
        self.conditions.clear(name)
        self.at_end(sock.close)
        commands = ConsoleServer(
            app, sock, operators=operators(self.settings), counters=self.counters
        )
        self.at_end(commands.stop)
        return commands

    async def _serve_operators_later(self, app: FastAPI) -> None:
        while True:
            await asyncio.sleep(OPEN_AGAIN_S)
            if (commands := await self._open_for_operators(app)) is not None:
                await commands.serve()
                return

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """Parts of the feed, and how clusters are called."""
        run = self.running
        if records and isinstance(records[0], FeedPart):
            run.told_s = time.monotonic()
            await run.console.on_feed(records)
        elif any(isinstance(r, OntologyChanged) for r in records):
            if any(isinstance(r, TrafficCluster) for r in records):
                run.console.on_clusters(records)

    # ---- the feed

    async def _look_at_feed(self) -> None:
        """Subscribe when nothing was told yet, when a part is missing, or after a long silence."""
        run, now_s = self.running, time.monotonic()
        self.counters["pruned"] = run.store.dropped
        intake = run.console.intake
        quiet = now_s - run.told_s > (QUIET_S if intake.complete else ASK_AGAIN_S)
        lacking = intake.behind and now_s - run.told_s > LOOK_EVERY_S
        if not quiet and not lacking:
            run.asked = 0 if intake.complete else run.asked
            return
        # A full disk isn't mended by a snapshot every ten seconds.
        if now_s - run.asked_s >= min(ASK_AGAIN_S * 2**run.asked, ASK_RARELY_S):
            if intake.parts:
                self.counters["feeds_again"] += 1
            run.asked_s, run.asked = now_s, min(run.asked + 1, 10)
            await self._subscribe("supervisor", FEED_TOPIC)

    async def _subscribe(self, role: Role, topic: str) -> None:
        for publisher in self.settings.jids(role)[:1]:
            await self.send(
                publisher,
                "subscribe",
                [Subscription(id=uuid4().urn, topic=topic)],
                protocol="fipa-subscribe",
                # The supervisor is asked again; the ontology agent tells us unasked when it starts.
                within_s=WISH_LIMIT_S,
            )

    def _heard(self) -> int:
        if self.supervisor_heard_s is None:
            return 0
        return now_us() - int((time.monotonic() - self.supervisor_heard_s) * 1e6)

    # ---- other agents

    async def _ask(
        self, role: Role, performative: str, record: Record, limit_s: float, *, name: str = ""
    ) -> Reply:
        receivers = [jid for jid in self.settings.jids(role) if name in ("", jid)]
        if not receivers:
            raise NoAnswer(role, 0)
        return await self.ask(
            receivers[0],
            performative,
            [record],
            protocol="fipa-query" if performative.startswith("query") else "fipa-request",
            limit_s=limit_s,
        )

    async def _pass_on(self, records: Sequence[Record]) -> None:
        """Alerts of managers of others, to the analyzer beside us or else the first one."""
        every = self.settings.jids("analyzer")
        own = self.settings.jid("analyzer", self.node)
        await self.send(
            own if own in every else every[0],
            "inform",
            records,
            protocol="fipa-subscribe",
            # They are no news any more when the analyzer was away for longer.
            within_s=PASS_ON_LIMIT_S,
        )

    async def _tell(self, records: Sequence[Record]) -> None:
        for supervisor in self.settings.jids("supervisor"):
            await self.send(supervisor, "inform", records, protocol="fipa-request")
