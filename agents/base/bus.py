"""The link to the XMPP server, for agents of other nodes: the only module, beside `acl`, that
knows SPADE and slixmpp. It also holds the agent's inbox and the behaviour that empties it.

SPADE has no hook between making its client and connecting it, never reconnects, and verifies
nothing unless told to; `Bus` replaces that part of its agent and keeps the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, cast

from slixmpp import JID
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.stanza import Message as Stanza
from spade.agent import Agent
from spade.behaviour import CyclicBehaviour
from spade.container import Container
from spade.message import Message
from spade.xmpp_client import XMPPClient

from agents.base.notices import PROTOCOL
from agents.clock import ClockReading, read_clocks
from agents.messages.acl import AclMessage, to_stanza
from agents.settings.honeynet import Settings
from agents.trust.identity import Identity

logger = logging.getLogger(__name__)

RESOURCE = "bus"
"""Fixed, so that a new login replaces what a crash left behind on the server."""
INBOX_LIMIT = 1000
CONNECT_LIMIT_S = 5.0
HANG_UP_LIMIT_S = 2.0
BACKOFF_S = (0.1, 1.0)
"""First and longest wait between attempts to connect."""
CONFLICT_WAIT_S = 2.0
PING_EVERY_S, PING_LIMIT_S = 5.0, 8.0
_WRITE_LIMIT = 1 << 20
"""Bytes waiting in the socket above which nothing more is sent: slixmpp itself never waits."""


class _Inbox(CyclicBehaviour):
    """The one behaviour: takes every message, in order, one at a time."""

    def set_agent(self, agent: Any) -> None:
        super().set_agent(agent)
        self.queue = agent.mailbox  # bounded, and it outlives a killed behaviour

    async def run(self) -> None:
        # Not `receive`, which wakes up each second whether or not there is something.
        item: Any = await cast("asyncio.Queue[Any]", self.queue).get()
        if item is None or not isinstance(self.agent, Bus):
            return
        if self.is_killed():
            self.agent.accept(item[0])  # for the behaviour that is started in this one's place
            return
        await self.agent.on_mail(*item)


class Bus(Agent):
    """SPADE's agent with our connection: direct TLS, verified, kept up, nothing but the server's
    word."""

    def __init__(self, identity: Identity, settings: Settings, counters: Counter[str]) -> None:
        # A new loop: the container may still hold an earlier one, and it must not deliver past
        # XMPP.
        Container().reset()
        super().__init__(
            f"{identity.peer.jid}/{RESOURCE}",
            identity.password,
            port=settings.xmpp.port,
            verify_security=True,
        )
        Container().unregister(str(self.jid))
        self._host = settings.xmpp.host
        self._ca = identity.ca
        self._counters = counters
        self.mailbox: asyncio.Queue[tuple[Message | AclMessage, ClockReading] | None]
        self.mailbox = asyncio.Queue(INBOX_LIMIT)
        self.on_mail: Callable[[Message | AclMessage, ClockReading], Awaitable[None]]
        self.on_notice: Callable[[Message | AclMessage], None]
        self.on_session: Callable[[], None]
        self.session = asyncio.Event()
        self.lost = asyncio.Event()
        self.last_error = "no attempt yet"
        self._cause = ""
        self._conflict = False
        self._lost_s: float | None = None
        """When the link was lost (monotonic), until it is back."""
        self._keeper: asyncio.Task[None] | None = None

    @property
    def _link(self) -> XMPPClient:
        if self.client is None:
            raise RuntimeError("the agent was not started")
        return self.client

    async def _async_connect(self) -> None:
        """Replaces SPADE's, which waits for ever, verifies nothing by default and never comes
        back. Does not wait: an agent works with those of its node also without the server."""
        client = self._link
        client.ca_certs = self._ca
        client.enable_direct_tls, client.enable_starttls, client.enable_plaintext = (
            True,
            False,
            False,
        )
        # One mechanism both servers have; no downgrade to PLAIN, and no channel binding, which
        # slixmpp can't do over TLS 1.3.
        client["feature_mechanisms"].use_mech = "SCRAM-SHA-256"
        client["xep_0199"].disable_keepalive()
        client.del_event_handler("session_start", client.session_start)
        client.add_event_handler("session_start", self._on_session_start)
        client.add_event_handler("disconnected", self._on_lost)
        client.add_event_handler("connection_failed", self._on_failed)
        client.add_event_handler("failed_auth", self._on_refused_login)
        client.add_event_handler("stream_error", self._on_stream_error)
        client.add_event_handler("message", self._message_received)
        self._keeper = asyncio.ensure_future(self._keep_connected())

    async def _keep_connected(self) -> None:
        delay = BACKOFF_S[0]
        while True:
            self.lost.clear()
            self._cause = ""
            # SPADE would pass the JID's domain, which needn't resolve to the server.
            self._link.connect(host=self._host, port=self.xmpp_port)
            if await self._attempt():
                delay = BACKOFF_S[0]
                await self._ping_until_lost()
                self._counters["link_lost"] += 1
                self._lost_s = time.monotonic()
                logger.warning("link to the XMPP server lost: %s", self.last_error)
            self.session.clear()
            self._link.cancel_connection_attempt()
            self._link.abort()
            wait = CONFLICT_WAIT_S if self._conflict else delay
            self._conflict = False
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  spreads the herd
            delay = min(delay * 2, BACKOFF_S[1])

    async def _attempt(self) -> bool:
        waits = [asyncio.ensure_future(event.wait()) for event in (self.session, self.lost)]
        try:
            await asyncio.wait(waits, timeout=CONNECT_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return self.session.is_set()

    async def _ping_until_lost(self) -> None:
        """TCP doesn't notice a server that is frozen or cut off; a ping does."""
        lost = asyncio.ensure_future(self.lost.wait())
        try:
            while not (await asyncio.wait({lost}, timeout=PING_EVERY_S))[0]:
                # Beside each other: a link that breaks now is not one to wait for an answer on.
                ping = asyncio.ensure_future(self._ping())
                try:
                    await asyncio.wait({lost, ping}, return_when=asyncio.FIRST_COMPLETED)
                    if lost.done() or ping.cancelled() or not ping.result():
                        return
                finally:
                    ping.cancel()
                    await asyncio.gather(ping, return_exceptions=True)
        finally:
            lost.cancel()

    async def _ping(self) -> bool:
        """Whether the server answers."""
        try:
            await self._link["xep_0199"].send_ping(JID(self.jid.domain), timeout=PING_LIMIT_S)
        except IqTimeout:
            self._counters["ping_timeouts"] += 1
            self.last_error = "the server doesn't answer pings"
            return False
        except IqError:
            pass  # "no such service" is an answer too
        return True

    def _on_session_start(self, _event: object) -> None:
        self._link.send_presence()
        if self._lost_s is not None:
            logger.info("on the bus again after %.1f s", time.monotonic() - self._lost_s)
            self._lost_s = None
        self.last_error = "the connection was closed"
        self.lost.clear()
        self.session.set()
        self.on_session()

    def _on_lost(self, reason: object) -> None:
        self.session.clear()
        # The server says why (conflict, password) before it closes; "end of stream" says less.
        self.last_error = self._cause or str(reason or self.last_error)
        self.lost.set()

    def _on_failed(self, reason: object) -> None:
        self.last_error = str(reason)
        self._link.cancel_connection_attempt()  # slixmpp's own retry waits up to 300 s
        self.lost.set()

    def _on_refused_login(self, _event: object) -> None:
        self._counters["login_refused"] += 1
        self._cause = self.last_error = "the server refused the password"
        self.lost.set()

    def _on_stream_error(self, error: Any) -> None:
        condition = str(error["condition"])
        self._cause = self.last_error = f"stream error {condition}"
        self._counters[f"stream_error_{condition}"] += 1
        if condition == "conflict":
            self._conflict = True
            logger.error("another process logged in as %s", self.jid.bare)

    def _message_received(self, node: Stanza) -> list[Any]:
        """Bounces carry our own words back as if the receiver had said them: dropped, like
        echoes."""
        sender = node["from"]
        if node["type"] == "error":
            self._counters["dropped_bounce"] += 1
        elif sender.domain != self.jid.domain or sender.bare == self.jid.bare:
            self._counters["dropped_foreign"] += 1
        else:
            try:
                self.dispatch(cast(Message, Message.from_node(node)))  # annotated as a class
            except (KeyError, TypeError, ValueError, AttributeError) as e:
                self._counters["refused_unparsable"] += 1
                logger.warning("broken stanza from %s: %s", sender.bare, type(e).__name__)
        return []

    def dispatch(self, msg: Message) -> list[Any]:
        """To the inbox, without SPADE's unbounded queues and its trace of the last 1,000
        messages."""
        if msg.get_metadata("protocol") == PROTOCOL:
            self.on_notice(msg)
        else:
            self.accept(msg)
        return []

    def accept(self, message: Message | AclMessage) -> None:
        """To the inbox, where messages of the server and of this node wait in one line."""
        try:
            self.mailbox.put_nowait((message, read_clocks()))
        except asyncio.QueueFull:
            self._counters["dropped_inbox_full"] += 1  # not acknowledged, so it comes again

    def transmit(self, message: AclMessage, to: str) -> None:
        """Hand one stanza to slixmpp if there is a session."""
        if self.session.is_set():
            self._link.send(to_stanza(message, to))

    @property
    def writable(self) -> bool:
        """Whether there is a session that keeps up."""
        transport = self.client.transport if self.client is not None else None
        if not self.session.is_set() or transport is None:
            return False
        return bool(transport.get_write_buffer_size() < _WRITE_LIMIT)

    def ensure_receiving(self) -> bool:
        """Start the behaviour if none runs (SPADE ends one whose `run` raised). True if it did."""
        if any(isinstance(b, _Inbox) and not b.is_killed() for b in self.behaviours):
            return False
        self.add_behaviour(_Inbox())
        return True

    async def hang_up(self) -> None:
        """Close the stream and end everything of SPADE's."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper}, timeout=HANG_UP_LIMIT_S)
        behaviours = list(self.behaviours)
        for behaviour in behaviours:
            behaviour.kill()
        if self.mailbox.empty():
            self.mailbox.put_nowait(None)  # it may be waiting for one
        for behaviour in behaviours:
            await behaviour.join(timeout=2.0)
        if self.client is not None:
            self._link.cancel_connection_attempt()
            if self.session.is_set():
                # Waits for the server's closing tag, which never comes from one that is gone.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._link.disconnect(wait=1.0), HANG_UP_LIMIT_S)
            self._link.abort()
        self._alive.clear()
