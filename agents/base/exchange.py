"""One agent's exchange of messages: two ways out, durable delivery, one handler at a time.

`agents.base.agent` says what to send and what to do with what comes in; `delivery` makes it arrive
at least once; `bus` and `local` are the ways. Here they are joined, and here a handler's exceptions
end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agents.base.backlog import Backlog
from agents.base.bus import Bus
from agents.base.context import AgentContext
from agents.base.delivery import Delivery
from agents.base.disk_faults import Faults, NotNow
from agents.base.local import LocalLinks
from agents.base.message_log import MessageLog
from agents.base.notices import PROTOCOL
from agents.base.routes import Routes
from agents.base.storage import Database
from agents.clock import ClockReading, read_clocks
from agents.messages.acl import AclMessage, MessageError, from_spade
from agents.trust.identity import Identity, Refused
from ontology.records import Record

logger = logging.getLogger(__name__)

LAST_HANDLER_S = 5.0
"""What a handler gets that runs when the agent is to end."""
HANDLER_LIMIT_S = 60.0
IDLE_S = 5.0
"""Longest sleep of the task that sends."""
FAILED_S = 1.0
"""How long it waits after an error."""

Handle = Callable[[AclMessage, tuple[Record, ...]], Awaitable[None]]
Refusal = Callable[[str, str, str], Awaitable[None]]

NOT_YET: dict[str, Any] = {"connected": False, "server_error": "", "local": 0, "local_peers": 0}
NOT_YET |= {"pending": 0, "busy_s": 0.0}
"""`Exchange.health` before there is one."""


class Exchange:
    """Messages of one agent, out and in. `start` it, let `keep_sending` run, `close` it.

    Args:
        mail, log: what it keeps on disk; the caller closes them.
        handle: what to do with a message that passed every check. A ValueError refuses it for good
            (the sender is told); any other exception leaves it unacknowledged: it comes again.
        refused: a receiver turned a message of ours down for good: who, its reply-with, why.
    """

    def __init__(
        self,
        context: AgentContext,
        identity: Identity,
        mail: Database,
        log: MessageLog,
        counters: Counter[str],
        *,
        handle: Handle,
        refused: Refusal,
        faults: Faults | None = None,
    ) -> None:
        self._jid = context.jid
        self._counters = counters
        self._handle = handle
        self._refused = refused
        self.bus = Bus(identity, context.settings, counters)
        self.local = LocalLinks(context.settings, context.role, context.node, counters, faults)
        self.routes = Routes(self.bus, self.local)
        self.delivery = Delivery(
            identity,
            mail,
            counters,
            self.routes.transmit,
            started=read_clocks(),
            log=log,
            reaches=self.routes.reaches,
            has_room=self.routes.has_room,
        )
        self.wake = asyncio.Event()
        """Set when there may be something to send."""
        self._busy_since: float | None = None
        self._free = asyncio.Event()
        """Set while no handler runs."""
        self._free.set()
        self._ending = False
        self._taken = 0
        """Messages dealt with, for good or not."""
        self.backlog = Backlog()
        """Whether messages are dealt with as fast as they come."""
        self._handling: asyncio.Task[Any] | None = None
        """The task in which `handle` runs just now."""
        self.age_s = 0.0
        """How long ago, at most, its sender composed the message that is being handled."""
        self._said: list[tuple[AclMessage, Sequence[Record], float | None]] = []
        """What that handler sent: stored in one transaction with the fact that it is done."""
        self.bus.on_mail = self._on_mail
        self.bus.on_notice = self._on_notice
        self.bus.on_session = self._on_session
        self.local.on_message = self._on_local
        self.local.on_broken = self._on_broken
        self.local.on_peer = self._on_peer
        self.local.on_room = self.wake.set

    @property
    def connected(self) -> bool:
        """Whether there is a session with the XMPP server."""
        return self.bus.session.is_set()

    @property
    def in_handler(self) -> bool:
        """Whether the caller is the handler of a message."""
        return self._handling is not None and asyncio.current_task() is self._handling

    @property
    def busy_s(self) -> float:
        """Seconds since the handler of the moment began; 0 if none runs."""
        return 0.0 if self._busy_since is None else time.monotonic() - self._busy_since

    def health(self) -> dict[str, Any]:
        """Links and work that waits, for the launcher."""
        return {
            "connected": self.connected,
            "server_error": "" if self.connected else self.bus.last_error,
            "local": len(self.local.connected),
            "local_peers": len(self.local.peers),
            "pending": self.delivery.pending,
            "busy_s": round(self.busy_s, 3),
        }

    async def start(self) -> None:
        """Open both ways; neither the server nor a peer need be there. Nothing is taken in yet."""
        await self.bus.start(auto_register=False)
        await self.local.start()

    def receive(self) -> None:
        """From now on messages are taken in."""
        self.bus.ensure_receiving()

    async def end_receiving(self) -> None:
        """No further message is handled (each comes again to our next process), and the handler
        that runs gets a while: the role is about to close what handlers use."""
        self._ending = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_HANDLER_S):
                await self._free.wait()

    def waited(self) -> tuple[float, int]:
        """Seconds that messages wait to be dealt with, and how many do; ask every second."""
        waiting = self.bus.mailbox.qsize() + (self._busy_since is not None)
        return self.backlog.look(self._taken, waiting, time.monotonic()), waiting

    async def watch(self) -> None:
        """Call it now and then: start what takes messages in again, should it have ended."""
        if self.bus.is_alive() and self.bus.ensure_receiving():
            self._counters["behaviour_restarts"] += 1
            logger.error("%s: the receiving behaviour had ended; started again", self._jid)

    async def close(self) -> None:
        """Close both ways."""
        await self.local.close()
        await self.bus.hang_up()

    def flush(self) -> None:
        """Send the acknowledgements that wait for company."""
        self.delivery.flush(read_clocks(), force=True)

    # ---- out

    def post(
        self, message: AclMessage, records: Sequence[Record], within_s: float | None = None
    ) -> None:
        """Store a message and send it; what a handler sends, once the handler is done.

        Given up when it isn't handled ``within_s`` seconds.
        """
        if self.in_handler:
            self._said.append((message, records, within_s))
            return
        self.delivery.post(message, records, read_clocks(), within_s)
        self._send_due()

    def _send_due(self) -> None:
        self.delivery.pump(read_clocks())
        self.wake.set()

    async def keep_sending(self) -> None:
        """Send what is due; sleep until something is, or a message was posted."""
        while True:
            self.wake.clear()
            try:
                wait = await self._send_round()
            except Exception:
                # A full disk, say. Once there is room, what waits must still go out, and peers need
                # our acknowledgements.
                self._counters["sending_errors"] += 1
                logger.exception("%s: sending failed; again in %.0f s", self._jid, FAILED_S)
                await asyncio.sleep(FAILED_S)
                continue
            # Not wait_for: Python 3.11's forgets a cancellation that comes with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self.wake.wait()

    async def _send_round(self) -> float:
        """Everything that is due now; seconds until something is again."""
        now = read_clocks()
        self.delivery.flush(now)
        if self.delivery.pump(now):
            self.wake.set()  # there may be more; come back after the others had their turn
        due = self.delivery.next_due()
        wait = IDLE_S if due is None else min(IDLE_S, max(0.005, due - now.steady_s))
        if self.bus.session.is_set() and not self.bus.writable:
            wait = min(wait, 0.05)  # slixmpp doesn't say when it has written enough
        turned_down = self.delivery.refused_by_peer
        while turned_down:
            await self._refused(*turned_down.pop(0))
        return wait

    def _on_session(self) -> None:
        """Those of this node need not be told: what was sent to them is on its way."""
        self.delivery.link_started(read_clocks(), but=self.local.connected)
        self.wake.set()

    def _on_peer(self, peer: str) -> None:
        self.delivery.link_started(read_clocks(), [peer])
        self.wake.set()

    # ---- in

    def _on_local(self, message: AclMessage) -> None:
        if message.protocol == PROTOCOL:
            self._on_notice(message)
        else:
            self.bus.accept(message)

    def _on_notice(self, raw: Any) -> None:
        """Acknowledgements don't queue behind a slow handler, or others would send in vain."""
        try:
            message = raw if isinstance(raw, AclMessage) else from_spade(raw)
            self.delivery.on_notice(message, read_clocks())
        except Refused as e:
            self._counters["unmet" if e.reason == "unmet" else f"refused_{e.reason}"] += 1
        except MessageError:
            self._counters["refused_unparsable"] += 1
        self.wake.set()

    def _on_broken(self, sender: str, reply_with: str, error: MessageError) -> None:
        self.delivery.unparsable(sender, reply_with, error, read_clocks())

    async def _on_mail(self, raw: Any, arrived: ClockReading) -> None:
        """Everything else, in order; nothing may leave here but a cancellation."""
        if self._ending:
            return
        self._free.clear()
        self._busy_since = time.monotonic()
        try:
            message = raw if isinstance(raw, AclMessage) else from_spade(raw)
            await self._on_acl(message, arrived)
        except MessageError as e:
            key = raw.get_metadata("reply-with") or ""
            self.delivery.unparsable(str(raw.sender.bare), key, e, read_clocks())
        except NotNow:
            self._counters["messages_put_off"] += 1
        except Exception:
            self._counters["handler_errors"] += 1
            logger.exception("%s: handler failed; the message will come again", self._jid)
        finally:
            self._busy_since = None
            self._free.set()
            self._taken += 1
            self.wake.set()

    async def _on_acl(self, message: AclMessage, arrived: ClockReading) -> None:
        try:
            received = self.delivery.receive(message, arrived, read_clocks())
        except Refused as e:
            self.delivery.refuse(message, e, read_clocks())
            return
        if received is None:
            return
        self._handling = asyncio.current_task()
        self.age_s = received.age_s
        done = False
        try:
            async with asyncio.timeout(HANDLER_LIMIT_S):
                await self._handle(message, received.records)
            done = True
        except ValueError as e:
            refusal = e if isinstance(e, Refused) else Refused("content", str(e))
            self.delivery.refuse(message, refusal, read_clocks())
        finally:
            self._handling = None
            said, self._said = self._said, []
            # All or nothing: a SIGKILL can't come between what a handler said and "handled", so
            # that the message, sent again, would be answered twice or not at all.
            self.delivery.commit(said, message if done else None, read_clocks())
        self._send_due()
