"""What all agents share: durable verified messages, guarded tasks, registration, health, a clean
stop.

A role's ``agent.py`` derives from `BaseAgent` and meets neither SPADE nor sockets. The event loop
is ours: `spade.run` ends with exit code 0 after an exception, and SPADE's container is a
process-wide singleton that would keep the loop. One process runs one agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, ClassVar, Generic, TypeVar, cast

from agents.base.bus import Bus
from agents.base.context import AgentContext
from agents.base.conversations import Conversations, NoAnswer, Reply
from agents.base.delivery import PROTOCOL, Delivery, reply_to
from agents.base.health import give_back_memory, resident_kib
from agents.base.local import LocalLinks
from agents.base.message_log import MessageLog, log_folder
from agents.base.outbox import open_mail
from agents.base.routes import Routes
from agents.base.tasks import Tasks
from agents.clock import now_us
from agents.messages.acl import AclMessage, MessageError, from_spade
from agents.trust.identity import Refused, load_identity
from ontology.records import AgentDescription, Record, Role
from ontology.vocabulary import ONTOLOGY_VERSION

logger = logging.getLogger(__name__)

HANDLER_LIMIT_S = 60.0
IDLE_S = 5.0
"""Longest sleep of the task that sends."""
REGISTER_EVERY_S = 5.0
_REGISTER_FIRST_S = 1.0  # until the supervisor has answered for the first time
LEASE_S = 15
_REGISTRATION = "registration"
_MAX_HEALTH = 2000


Running = TypeVar("Running")
"""What `BaseAgent.on_start` gives: everything that the role works with."""


class BaseAgent(Generic[Running]):
    """One agent. Override `role`, `services`, `on_start`, `on_message`, `on_stop`; see
    `run_agent`."""

    role: ClassVar[Role]
    services: ClassVar[tuple[str, ...]] = ()

    def __init__(self, context: AgentContext) -> None:
        if context.role != self.role:
            raise ValueError(f"{type(self).__name__} is a {self.role}, not a {context.role}")
        self.context = context
        self.settings = context.settings
        self.jid = context.jid
        self.node = context.node
        self.counters: Counter[str] = Counter()
        """Shown in `ontoidps status`, in /metrics and on the supervisor's page."""
        self.registered = asyncio.Event()
        """Set once the supervisor has answered a registration."""
        self.supervisor_heard_s: float | None = None
        """When it last did (monotonic seconds); it does every `REGISTER_EVERY_S`."""
        self._process_id = uuid.uuid4().urn
        """Id of our directory entry: a new one tells the supervisor that we started anew."""
        self._stopping, self._wake, self._ready = (asyncio.Event() for _ in range(3))
        self._tasks = Tasks(self.counters, self._ready)
        self._running: Running
        self._at_end = contextlib.AsyncExitStack()
        self._conversations = Conversations()
        self._busy_since: float | None = None
        self._handling: asyncio.Task[Any] | None = None
        """The task in which `on_message` runs just now."""
        self._said: list[tuple[AclMessage, Sequence[Record]]] = []
        """What that handler sent: stored in one transaction with the fact that it is done."""
        self._bus: Bus
        self._local: LocalLinks
        self._routes: Routes
        self._delivery: Delivery

    # --- for the role to override ---------------------------------------------------------------

    def enter_process(self) -> None:
        """Called once in a process that runs this agent and nothing else, before its first thread
        and its first connection: the place to give up rights. Blocks."""

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

    async def send(
        self,
        receiver: str,
        performative: str,
        records: Sequence[Record],
        *,
        protocol: str,
        conversation_id: str | None = None,
        in_reply_to: str | None = None,
        reply_by_us: int | None = None,
    ) -> AclMessage:
        """Store a message and send it until ``receiver`` acknowledges it (or ``reply_by_us``
        passes).

        Returns it as stored. Raises: MessageError (too large), FragmentError.
        """
        [message] = await self.send_many(
            (receiver,),
            performative,
            records,
            protocol=protocol,
            conversation_id=conversation_id,
            in_reply_to=in_reply_to,
            reply_by_us=reply_by_us,
        )
        return message

    async def send_many(
        self,
        receivers: Sequence[str],
        performative: str,
        records: Sequence[Record],
        *,
        protocol: str,
        conversation_id: str | None = None,
        in_reply_to: str | None = None,
        reply_by_us: int | None = None,
    ) -> tuple[AclMessage, ...]:
        """As `send`, to each of them; the records are encoded once.

        Returns the messages as stored, in the receivers' order; without a
        ``conversation_id`` each is a conversation of its own.
        """
        messages = self._delivery.compose_many(
            receivers,
            performative,
            records,
            protocol=protocol,
            conversation_id=conversation_id,
            in_reply_to=in_reply_to,
            reply_by_us=reply_by_us,
        )
        for message in messages:
            self._post(message, records)
        return messages

    async def ask(
        self,
        receiver: str,
        performative: str,
        records: Sequence[Record],
        *,
        protocol: str,
        limit_s: float,
        conversation_id: str | None = None,
    ) -> Reply:
        """Send a question and wait for its answer, which `on_message` never sees.

        The question is stored until it is acknowledged or the time is over. Not for `on_message`
        itself: messages are handled one at a time, so the answer would wait behind it.

        Raises: NoAnswer after ``limit_s`` seconds; RefusedByPeer; MessageError, FragmentError;
            RuntimeError when called by a message handler, or if too many questions wait.
        """
        if self._handling is not None and asyncio.current_task() is self._handling:
            raise RuntimeError("a message handler can't wait for an answer")
        message = self._delivery.compose(
            receiver,
            performative,
            records,
            protocol=protocol,
            conversation_id=conversation_id,
            reply_by_us=now_us() + int(limit_s * 1e6),
        )
        answer = self._conversations.open(message)
        try:
            self._post(message, records)
            async with asyncio.timeout(limit_s):
                return await answer
        except TimeoutError as e:
            raise NoAnswer(receiver, limit_s) from e
        finally:
            self._conversations.close(message)

    async def reply(
        self, message: AclMessage, performative: str, records: Sequence[Record]
    ) -> AclMessage:
        """Answer in the same conversation; durable if ``message`` was."""
        answer = reply_to(self._delivery, message, performative, records)
        if answer.reply_with:
            self._post(answer, records)
        else:
            self._delivery.send_once(answer, now_us())
        return answer

    def spawn(self, coroutine: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run it beside the others, once the agent has started; an exception is logged and counted,
        the end of the agent ends it."""
        return self._tasks.spawn(coroutine, name=name)

    def every(self, seconds: float, function: Callable[[], Awaitable[None]], *, name: str) -> None:
        """Call it again and again, ``seconds`` apart (monotonic); an exception doesn't end that."""
        self._tasks.every(seconds, function, name=name)

    @property
    def connected(self) -> bool:
        """Whether there is a session with the XMPP server."""
        return hasattr(self, "_bus") and self._bus.session.is_set()

    @property
    def pending(self) -> int:
        """Messages sent and not yet acknowledged."""
        return self._delivery.pending

    def stop(self) -> None:
        """Ask `run` to end (SIGTERM)."""
        self._stopping.set()

    def health(self) -> dict[str, Any]:
        """The answer to the launcher's ping."""
        busy = 0.0 if self._busy_since is None else time.monotonic() - self._busy_since
        started = hasattr(self, "_delivery")
        return {
            "jid": self.jid,
            "connected": self.connected,
            "server_error": "" if self.connected or not started else self._bus.last_error,
            "local": len(self._local.connected) if started else 0,
            "local_peers": len(self._local.peers) if started else 0,
            "registered": self.registered.is_set(),
            "counters": dict(self.counters),
            "pending": self._delivery.pending if started else 0,
            "busy_s": round(busy, 3),
            "rss_kib": resident_kib(),
        }

    # --- the life of the agent ------------------------------------------------------------------

    async def run(self) -> None:
        """Start, connect, register, work until `stop`. The XMPP server need not be there.

        Raises: IdentityError (keys), RuntimeError (already running), and what `on_start` raises.
        """
        identity = load_identity(self.settings, self.role, self.node)
        state = self.context.state_dir
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (state / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as e:
                raise RuntimeError(f"{self.jid} is already running ({state / 'lock'})") from e
            mail = open_mail(state / "mail.sqlite3")
            log = MessageLog(
                log_folder(self.settings.state_dir, self.jid),
                self.settings.message_log_mib << 20,
                self.counters,
            )
            try:
                self._bus = Bus(identity, self.settings, self.counters)
                self._local = LocalLinks(self.settings, self.role, self.node, self.counters)
                self._routes = Routes(self._bus, self._local)
                self._delivery = Delivery(
                    identity,
                    mail,
                    self.counters,
                    self._routes.transmit,
                    started_us=now_us(),
                    log=log,
                    reaches=self._routes.reaches,
                    has_room=self._routes.has_room,
                )
                await self._run_linked()
            finally:
                log.close()
                mail.close()

    async def _run_linked(self) -> None:
        self._bus.on_mail = self._on_mail
        self._bus.on_notice = self._on_notice
        self._bus.on_session = self._on_session
        self._local.on_message = self._on_local
        self._local.on_broken = self._on_broken
        self._local.on_peer = self._on_peer
        self._local.on_room = self._wake.set
        try:
            await self._bus.start(auto_register=False)
            try:
                await self._local.start()
            except OSError as e:
                logger.error("no links within the node, all goes over the server: %s", e)
            await self._work()
        finally:
            await self._tasks.end()
            await self._local.close()
            await self._bus.hang_up()

    async def begin(self) -> None:
        """Start the role: from now on there is `running`. Raises: what `on_start` raises."""
        self._running = await self.on_start()
        self._ready.set()

    async def _work(self) -> None:
        self._tasks.spawn(self._pump(), name="outbox", at_once=True)
        try:
            await self.begin()
            give_back_memory()
            self._bus.ensure_receiving()
            # Not before: an agent that can't start must not look like one that is up.
            if self.role != "supervisor":
                self.spawn(self._keep_registered(), name="registration")
            self.every(1.0, self._watch_behaviour, name="behaviour watch")
            logger.info("%s has started", self.jid)
            await self._stopping.wait()
        finally:
            try:
                if self._ready.is_set():
                    await self.on_stop()
            finally:
                await self._at_end.aclose()
            self._delivery.flush(now_us(), time.monotonic(), force=True)

    # --- mail -----------------------------------------------------------------------------------

    def _post(self, message: AclMessage, records: Sequence[Record]) -> None:
        if self._handling is not None and asyncio.current_task() is self._handling:
            self._said.append((message, records))
            return
        self._delivery.post(message, records)
        self._send_due()

    def _send_due(self) -> None:
        self._delivery.pump(now_us(), time.monotonic())
        self._wake.set()

    def _on_session(self) -> None:
        """Those of this node need not be told: what was sent to them is on its way."""
        self._delivery.link_started(now_us(), but=self._local.connected)
        self._wake.set()

    def _on_peer(self, peer: str) -> None:
        self._delivery.link_started(now_us(), [peer])
        self._wake.set()

    async def _pump(self) -> None:
        """Send what is due; sleep until something is, or a message was posted."""
        while True:
            self._wake.clear()
            now = time.monotonic()
            self._delivery.flush(now_us(), now)
            if self._delivery.pump(now_us(), now):
                self._wake.set()  # there may be more; come back after the others had their turn
            due = self._delivery.next_due()
            wait = IDLE_S if due is None else min(IDLE_S, max(0.005, due - now))
            if self._bus.session.is_set() and not self._bus.writable:
                wait = min(wait, 0.05)  # slixmpp doesn't say when it has written enough
            await self._report_refusals()
            # Not wait_for: Python 3.11's forgets a cancellation that comes with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _report_refusals(self) -> None:
        refused = self._delivery.refused_by_peer
        while refused:
            receiver, reply_with, reason = refused.pop(0)
            if not self._conversations.refused(reply_with, reason):
                await self.on_refused(receiver, reply_with, reason)

    async def _watch_behaviour(self) -> None:
        if self._bus.is_alive() and self._bus.ensure_receiving():
            self.counters["behaviour_restarts"] += 1
            logger.error("%s: the receiving behaviour had ended; started again", self.jid)

    def _on_notice(self, raw: Any) -> None:
        """Acknowledgements don't queue behind a slow handler, or others would send in vain."""
        try:
            message = raw if isinstance(raw, AclMessage) else from_spade(raw)
            self._delivery.on_notice(message, now_us())
        except Refused as e:
            self.counters[f"refused_{e.reason}"] += 1
        except MessageError:
            self.counters["refused_unparsable"] += 1
        self._wake.set()

    def _on_local(self, message: AclMessage) -> None:
        if message.protocol == PROTOCOL:
            self._on_notice(message)
        else:
            self._bus.accept(message)

    def _on_broken(self, sender: str, reply_with: str, error: MessageError) -> None:
        self._delivery.unparsable(sender, reply_with, error, now_us(), time.monotonic())

    async def _on_mail(self, raw: Any, arrived_us: int) -> None:
        """Everything else, in order; nothing may leave here but a cancellation."""
        self._busy_since = time.monotonic()
        try:
            message = raw if isinstance(raw, AclMessage) else from_spade(raw)
            await self._on_acl(message, arrived_us)
        except MessageError as e:
            key = raw.get_metadata("reply-with") or ""
            self._delivery.unparsable(str(raw.sender.bare), key, e, now_us(), time.monotonic())
        except Exception:
            self.counters["handler_errors"] += 1
            logger.exception("%s: handler failed; the message will come again", self.jid)
        finally:
            self._busy_since = None
            self._wake.set()

    async def _on_acl(self, message: AclMessage, arrived_us: int) -> None:
        try:
            # Fresh is what was fresh on arrival, however long it waited behind others.
            received = self._delivery.receive(message, arrived_us, time.monotonic())
        except Refused as e:
            self._delivery.refuse(message, e, now_us(), time.monotonic())
            return
        if received is None:
            return
        self._handling = asyncio.current_task()
        done = False
        try:
            if not self._is_answer(message, received.records):
                async with asyncio.timeout(HANDLER_LIMIT_S):
                    await self.on_message(message, received.records)
            done = True
        except ValueError as e:
            refusal = e if isinstance(e, Refused) else Refused("content", str(e))
            self._delivery.refuse(message, refusal, now_us(), time.monotonic())
        finally:
            self._handling = None
            said, self._said = self._said, []
            # All or nothing: a SIGKILL can't come between what a handler said and "handled", so
            # that the message, sent again, would be answered twice or not at all.
            self._delivery.commit(said, message if done else None, time.monotonic())
        self._send_due()

    def _is_answer(self, message: AclMessage, records: tuple[Record, ...]) -> bool:
        """Whether someone here waits for it."""
        return self._is_registration_answer(message) or self._conversations.take(message, records)

    # --- registration (FIPA SC00023) ------------------------------------------------------------

    @property
    def ontology_version(self) -> str:
        """Of the words that this agent was built with; of the rules in force, for those who reason
        with them."""
        return ONTOLOGY_VERSION

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
        )

    async def _keep_registered(self) -> None:
        if not self.settings.jids("supervisor"):
            self.registered.set()  # there is nobody to register with
            return
        while True:
            self._register()
            first = not self.registered.is_set()
            await asyncio.sleep(_REGISTER_FIRST_S if first else REGISTER_EVERY_S)

    def _register(self) -> None:
        """Renewed too often to be worth storing: a lost one is replaced by the next."""
        description = self.describe()
        for supervisor in self.settings.jids("supervisor"):
            if not self._routes.reaches(supervisor):
                continue
            message = self._delivery.compose(
                supervisor,
                "request",
                (description,),
                protocol="fipa-request",
                conversation_id=f"{_REGISTRATION}-{self.node}-{self.role}",
                durable=False,
            )
            self._delivery.send_once(message, now_us())

    def _is_registration_answer(self, message: AclMessage) -> bool:
        if not message.conversation_id.startswith(_REGISTRATION) or self.role == "supervisor":
            return False
        self.registered.set()
        self.supervisor_heard_s = time.monotonic()
        return True
