"""What all agents share: durable verified messages, guarded tasks, registration, health, a clean
stop.

A role's ``agent.py`` derives from `BaseAgent` and meets neither SPADE nor sockets. The event loop
is ours: `spade.run` ends with exit code 0 after an exception, and SPADE's container is a
process-wide singleton that would keep the loop. One process runs one agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar, cast

from agents.base.clock_watch import EVERY_S, ClockWatch
from agents.base.conditions import Conditions, as_text
from agents.base.confinement import Needs
from agents.base.context import AgentContext
from agents.base.conversations import Conversations
from agents.base.exchange import NOT_YET, Exchange
from agents.base.health import give_back_memory, memory_now
from agents.base.loop_lag import LoopLag
from agents.base.losses import COMMON, Loss, LossWatch
from agents.base.message_log import MessageLog, log_folder
from agents.base.outbox import open_mail
from agents.base.registration import LEASE_S, Registration
from agents.base.speaker import Speaker
from agents.base.state_folder import locked
from agents.base.storage import LOOK_EVERY_S
from agents.base.tasks import Tasks
from agents.clock import now_us
from agents.knowledge.following import ontology_agent_of
from agents.knowledge.words import READERS, Words
from agents.messages.acl import AclMessage
from agents.trust.identity import load_identity
from ontology.records import AgentDescription, Record, Role
from ontology.vocabulary import ONTOLOGY_VERSION

logger = logging.getLogger(__name__)

_MAX_HEALTH = 2000

Running = TypeVar("Running")
"""What `BaseAgent.on_start` gives: everything that the role works with."""


class BaseAgent(Speaker, Generic[Running]):
    """One agent. Override `role`, `services`, `on_start`, `on_message`, `on_stop`; see
    `run_agent`."""

    role: ClassVar[Role]
    services: ClassVar[tuple[str, ...]] = ()
    losses: ClassVar[tuple[Loss, ...]] = ()
    """Counters of this role that mean that something was lost or held back."""

    def __init__(self, context: AgentContext) -> None:
        if context.role != self.role:
            raise ValueError(f"{type(self).__name__} is a {self.role}, not a {context.role}")
        self.context = context
        self.settings = context.settings
        self.jid = context.jid
        self.node = context.node
        self.counters: Counter[str] = Counter()
        """Shown in `ontoidps status`, in /metrics and on the console's page."""
        self.conditions = Conditions(now_us)
        """What this agent can't do just now, and what it loses; shown there too."""
        self._loss_watch = LossWatch((*self.losses, *COMMON), self.conditions)
        self._lag = LoopLag()
        self._process_id = uuid.uuid4().urn
        """Id of our directory entry: a new one tells the supervisor that we started anew."""
        self._stopping, self._ready = asyncio.Event(), asyncio.Event()
        self._tasks = Tasks(self.counters, self._ready)
        self._running: Running
        self._at_end = contextlib.AsyncExitStack()
        self._conversations = Conversations()
        self._registration = Registration(context, self.describe)
        self._words = Words(context.state_dir, ontology_agent_of(context.settings, context.node))
        self._exchange: Exchange
        self.taken: Any = None
        """What `take` gave, in a process of our own; None elsewhere."""

    # --- for the role to override ---------------------------------------------------------------

    @classmethod
    def needs(cls, context: AgentContext) -> Needs:
        """What a process keeps that runs nothing else (`agents.base.confinement`). Pure."""
        return Needs()

    @classmethod
    def take(cls, context: AgentContext) -> Any:
        """For `taken`, what can't be had once the process has given up its rights. Blocks.
        Reads nothing that the agent can write: this may be root."""
        return None

    async def on_start(self) -> Running:
        """Open what the agent works with, and give it back as `running`.

        Periodic work begins (`every`, `spawn`) once this has returned. What must be closed is
        handed to `at_end` as soon as it is open, so that it is closed as well if the rest fails.
        By default there is nothing to open (`BaseAgent[None]`).
        """
        return cast(Running, None)

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """One verified, authorised message that wasn't handled before; one at a time.

        A ValueError refuses it for good (the sender is told); any other exception leaves it
        unacknowledged, so that it comes again.
        """

    async def on_refused(self, receiver: str, reply_with: str, reason: str) -> None:
        """A receiver turned our message down for good (its role check, or it can't read it)."""

    async def on_clock_set(self, step_us: int) -> None:
        """The wall clock was set by so many microseconds, a second ago at most."""

    async def on_stop(self) -> None:
        """Last words of an agent that had started; what `at_end` holds is closed after it."""

    # --- for the role to use --------------------------------------------------------------------

    @property
    def has_started(self) -> bool:
        """Whether there is `running`."""
        return self._ready.is_set()

    @property
    def running(self) -> Running:
        """What `on_start` gave. Raises: RuntimeError before that."""
        if not self.has_started:
            raise RuntimeError(f"{self.jid} has not started")
        return self._running

    def at_end(self, close: Callable[[], Awaitable[object] | object]) -> None:
        """Call it when the agent ends, the last one first."""

        async def closing() -> None:
            done = close()
            if isinstance(done, Awaitable):
                await done

        self._at_end.push_async_callback(closing)

    def spawn(self, coroutine: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run it beside the others, once the agent has started; an exception is logged and counted,
        the end of the agent ends it."""
        return self._tasks.spawn(coroutine, name=name)

    def every(self, seconds: float, function: Callable[[], Awaitable[None]], *, name: str) -> None:
        """Call it again and again, ``seconds`` apart; an exception doesn't end that."""
        self._tasks.every(seconds, function, name=name)

    def keeps(self, look: Callable[[], None], *, name: str) -> None:
        """Look after a store (`agents.base.storage.Database.look`) as long as the agent runs."""

        async def looking() -> None:
            await asyncio.to_thread(look)

        self.every(LOOK_EVERY_S, looking, name=f"{name} store")

    @property
    def connected(self) -> bool:
        """Whether there is a session with the XMPP server."""
        return hasattr(self, "_exchange") and self._exchange.connected

    @property
    def registered(self) -> asyncio.Event:
        """Set once the supervisor has answered a registration, or if there is no supervisor."""
        return self._registration.done

    @property
    def supervisor_heard_s(self) -> float | None:
        """When the supervisor last answered one (monotonic seconds)."""
        return self._registration.heard_s

    @property
    def ontology_version(self) -> str:
        """Of the ontology in force here; of the installed one until any was sent."""
        return self._words.version or ONTOLOGY_VERSION

    def renew_soon(self) -> None:
        """Tell the supervisor of a change in our directory entry without waiting for its turn."""
        self._registration.renew_soon()

    def describe(self) -> AgentDescription:
        """This agent's directory entry."""
        health = " ".join(f"{name}={value}" for name, value in sorted(self.counters.items()))
        return AgentDescription(
            id=self._process_id,
            name=self.jid,
            role=self.role,
            node=self.node,
            services=tuple(sorted(self.services)),
            ontology_version=self.ontology_version,
            lease_s=LEASE_S,
            health=health[:_MAX_HEALTH],
            conditions=as_text(self.conditions.current()),
        )

    def stop(self) -> None:
        """Ask `run` to end (SIGTERM)."""
        self._stopping.set()

    def health(self) -> dict[str, Any]:
        """The answer to the launcher's ping."""
        exchange = getattr(self, "_exchange", None)
        return {
            "jid": self.jid,
            **(NOT_YET if exchange is None else exchange.health()),
            "registered": self.registered.is_set(),
            "counters": dict(self.counters),
            "conditions": [condition.as_json() for condition in self.conditions.current()],
            "rss_kib": memory_now(self.conditions),
            "lag_ms": self._lag.p99_ms(),
        }

    # --- the life of the agent ------------------------------------------------------------------

    async def run(self) -> None:
        """Start, connect, register, work until `stop`. The XMPP server need not be there.

        Raises: IdentityError (keys), RuntimeError (already running), and what `on_start` raises.
        """
        identity = load_identity(self.settings, self.role, self.node)
        state = self.context.state_dir
        with locked(state, self.jid, self.conditions):
            if self.role in READERS:
                await asyncio.to_thread(self._words.restore)
            mail = await asyncio.to_thread(open_mail, state / "mail.sqlite3", self.conditions)
            self.keeps(mail.look, name="mail")
            log = MessageLog(
                log_folder(self.settings.state_dir, self.jid),
                self.settings.message_log_mib << 20,
                self.counters,
                self.conditions,
            )
            try:
                self._exchange = await asyncio.to_thread(
                    lambda: Exchange(
                        self.context,
                        identity,
                        mail,
                        log,
                        self.counters,
                        handle=self._handle,
                        refused=self._refused,
                        faults=self.conditions,
                    )
                )
                await self._run_linked(self._exchange)
            finally:
                log.close()
                await asyncio.to_thread(mail.close)

    async def _run_linked(self, exchange: Exchange) -> None:
        call_soon = asyncio.get_running_loop().call_soon_threadsafe
        self.conditions.on_change = partial(call_soon, self.renew_soon)
        try:
            await exchange.start()
            await self._work(exchange)
        finally:
            self.conditions.on_change = None
            await self._tasks.end()
            await exchange.close()

    async def begin(self) -> None:
        """Start the role: from now on there is `running`. Raises: what `on_start` raises."""
        self._running = await self.on_start()
        self._ready.set()

    async def _work(self, exchange: Exchange) -> None:
        self._tasks.spawn(exchange.keep_sending(), name="outbox", at_once=True)
        try:
            await self.begin()
            give_back_memory()
            self.spawn(self._lag.keep_looking(), name="loop lag")
            exchange.receive()
            # Not before: an agent that can't start must not look like one that is up.
            if self.role != "supervisor":
                self.spawn(self._registration.keep(exchange), name="registration")
            self.every(1.0, exchange.watch, name="behaviour watch")
            self.every(1.0, self._look_at_itself, name="conditions")
            clock = ClockWatch(self.context, self.conditions, self.counters, self.on_clock_set)
            self.every(EVERY_S, clock.look, name="clock")
            logger.info("%s has started", self.jid)
            await self._stopping.wait()
        finally:
            try:
                await exchange.end_receiving()
                if self._ready.is_set():
                    await self.on_stop()
            finally:
                await self._at_end.aclose()
            exchange.flush()

    async def _look_at_itself(self) -> None:
        self._loss_watch.look(self.counters, time.monotonic())
        waited_s, waiting = self._exchange.waited()
        behind = "falls behind: messages wait too long" if self._exchange.backlog.behind else ""
        self.conditions.hold("behind", behind, seconds=round(waited_s), waiting=waiting)

    async def _handle(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        """What somebody here waits for goes to them, everything else to the role."""
        if self._words.concerns(records):
            if await asyncio.to_thread(self._words.take, message.sender, records):
                self.counters["words_taken"] += 1
                self.renew_soon()
            return
        if not (self._registration.take(message) or self._conversations.take(message, records)):
            await self.on_message(message, records)

    async def _refused(self, receiver: str, reply_with: str, reason: str) -> None:
        if not self._conversations.refused(reply_with, reason):
            await self.on_refused(receiver, reply_with, reason)
