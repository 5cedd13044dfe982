"""Links between the agents of one node: a unix socket each, in ``state_dir/run/NODE/ROLE``.

Every agent listens on its own socket and keeps one connection to each other agent of its node; a
connection carries messages one way, as frames of `agents.messages.acl.to_frame`. The messages are
those of the bus: signed, verified, acknowledged and repeated by `agents.base.delivery`. The kernel
says whose process is at the other end (SO_PEERCRED, unix(7)), which is one agent's where agents
have users of their own; the signature says which agent everywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from agents.base import users
from agents.base.disk_faults import Faults, Untold, fault_of
from agents.messages.acl import MAX_CONTENT_BYTES, AclMessage, MessageError, from_frame, to_frame
from agents.settings.honeynet import Settings
from ontology import frames
from ontology.records import Role

logger = logging.getLogger(__name__)

RETRY_S = (0.1, 2.0)
"""First and longest wait between attempts to reach an agent that does not listen. One that starts
is reached at once: its own connection to us tells that it is there."""
LISTEN_AGAIN_S = 2.0
WRITE_LIMIT = 1 << 20
"""Bytes waiting for one peer above which it gets nothing new."""
WRITE_MAXIMUM = 16 << 20
"""Bytes waiting for one peer above which messages are dropped (and counted; they come again)."""
MAX_FRAME = MAX_CONTENT_BYTES + 100_000
"""Bytes of a frame. The parameters of a message take less than half of what is added."""
_BACKLOG = 32
_CREDENTIALS = struct.Struct("3i")
"""struct ucred: process, user, group."""


def socket_path(settings: Settings, role: str, node: str) -> Path:
    """Where an agent listens.

    Each in a folder of its own: who may replace its own socket (the console, confined by Landlock)
    can't put one in the place of another's.
    """
    return settings.state_dir / "run" / node / role / "messages.sock"


@contextlib.contextmanager
def reachable_name(path: Path) -> Iterator[str]:
    """A name for ``path`` that fits into a socket address (107 bytes), however long the path is.

    Raises: OSError if the directory is not there.
    """
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def listen_on(path: Path, mode: int = 0o660) -> socket.socket:
    """A listening socket at ``path``, by default for the group; what was there is replaced.

    Where agents have users of their own, the folder's group is theirs; elsewhere ``state_dir`` lets
    nobody else pass (`agents.base.confinement`).

    Raises: OSError.
    """
    path.parent.mkdir(mode=0o710, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with reachable_name(path) as name:
            listener.bind(name)
        path.chmod(mode)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def connect_to(path: Path, owner: int) -> socket.socket:
    """A connected socket. Raises: OSError if nobody listens, or another user than ``owner`` or root
    does."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with reachable_name(path) as name:
            made.connect(name)  # to a unix socket that succeeds or fails at once
        if (user := user_of(made)) not in (owner, 0):
            raise PermissionError(f"{path} belongs to user {user}")
    except OSError:
        made.close()
        raise
    return made


def user_of(connection: socket.socket) -> int:
    """The user whose process is at the other end (for one that listens: as it began to)."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(found)[1])


class _Incoming(asyncio.Protocol):
    """Frames from one peer; a broken frame, a foreign user or name ends the connection."""

    def __init__(self, links: LocalLinks) -> None:
        self._links = links
        self._buffer = bytearray()
        self._user = -1
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's derive from nothing
        self._links.incoming.add(self)
        self._user = user_of(transport.get_extra_info("socket"))
        if not self._links.knows(self._user):
            self._refuse("connects")

    def _refuse(self, what: str) -> None:
        self._links.counters["refused_user"] += 1
        logger.error("a process of user %d %s at %s", self._user, what, self._links.path)
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= frames.PREFIX.size:
                length = frames.frame_length(bytes(buffer[start : start + frames.PREFIX.size]))
                if length > MAX_FRAME:
                    raise frames.FrameError(f"a frame of {length} bytes")
                end = start + frames.PREFIX.size + length
                if len(buffer) < end:
                    break
                head, body = frames.decode(bytes(buffer[start + frames.PREFIX.size : end]))
                start = end
                if not self._links.take(head, body, self._user):
                    self._refuse(f"speaks as {str(head.get('sender'))[:100]!r}")
                    start = len(buffer)
                    break
        except frames.FrameError as e:
            self._links.counters["refused_unparsable"] += 1
            logger.error("%s: not a frame: %s", self._links.path, e)
            self.transport.abort()
            start = len(buffer)
        del buffer[:start]

    def connection_lost(self, exc: Exception | None) -> None:
        self._links.incoming.discard(self)


class _Outgoing(asyncio.Protocol):
    """Our connection to one peer."""

    def __init__(self, on_room: Callable[[], None]) -> None:
        self._on_room = on_room
        self.transport: asyncio.Transport
        self.lost = asyncio.Event()
        self.room = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's derive from nothing
        self.transport.set_write_buffer_limits(high=WRITE_LIMIT)

    def pause_writing(self) -> None:
        self.room = False

    def resume_writing(self) -> None:
        self.room = True
        self._on_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


class LocalLinks:
    """An agent's links to the others of its node; to each of them at most one, kept up.

    Set `on_message`, `on_broken`, `on_peer` and `on_room` before `start`.
    """

    def __init__(
        self,
        settings: Settings,
        role: Role,
        node: str,
        counters: Counter[str],
        faults: Faults | None = None,
    ) -> None:
        self.path = socket_path(settings, role, node)
        self._faults = Untold() if faults is None else faults
        self.counters = counters
        self.on_message: Callable[[AclMessage], None]
        """A message of another agent of this node; not yet verified."""
        self.on_broken: Callable[[str, str, MessageError], None]
        """(sender, reply-with, error) as the frame names them."""
        self.on_peer: Callable[[str], None]
        """A link to this agent (bare JID) is up."""
        self.on_room: Callable[[], None]
        """A link takes messages again."""
        self.incoming: set[_Incoming] = set()
        self._peers = {
            settings.jid(other, node): socket_path(settings, other, node)
            for other in settings.node_named(node).agents
            if other != role
        }
        self._owners = users.of_peers(settings, role, node)
        """The user that each agent of this node must be."""
        self._refused: dict[str, str] = {}
        """Peers that can't be connected to, with why: said once."""
        self._links: dict[str, _Outgoing] = {}
        self._seen = {peer: asyncio.Event() for peer in self._peers}
        """Set when the peer has connected to us."""
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Listen, and reach the others from now on. Where no socket can be made (the disk is full
        or read-only) that is told, and tried again until it works."""
        if not await self._listen():
            self._tasks.append(asyncio.ensure_future(self._listen_later()))
        for peer, path in self._peers.items():
            self._tasks.append(asyncio.ensure_future(self._keep(peer, path)))

    async def _listen(self) -> bool:
        try:
            listener = listen_on(self.path)
        except OSError as e:
            text = f"{self.path}: {fault_of(e)}; nobody of this node reaches us but over the server"
            self._faults.fault(str(self.path), text)
            return False
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Incoming(self), sock=listener)
        self._faults.clear(str(self.path))
        return True

    async def _listen_later(self) -> None:
        while True:
            await asyncio.sleep(LISTEN_AGAIN_S)
            if await self._listen():
                return

    async def close(self) -> None:
        """Hang up; what is still to be written is given a moment to go."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(OSError):
                self.path.unlink()
        for link in self._links.values():
            link.transport.close()
        for link in list(self._links.values()):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await link.lost.wait()
        for incoming in list(self.incoming):
            incoming.transport.abort()
        self._links.clear()

    @property
    def peers(self) -> frozenset[str]:
        """Bare JIDs of the other agents of this node, by the settings."""
        return frozenset(self._peers)

    @property
    def connected(self) -> frozenset[str]:
        """Those of them to whom a link is up."""
        return frozenset(self._links)

    def reaches(self, to: str) -> bool:
        """Whether a link to this agent is up."""
        return to in self._links

    def has_room(self, to: str) -> bool:
        """Whether the link to this agent is up and keeps up."""
        link = self._links.get(to)
        return link is not None and link.room

    def transmit(self, message: AclMessage, to: str) -> None:
        """Write one signed message; dropped (and counted) if the peer has long stopped reading."""
        transport = self._links[to].transport
        if transport.is_closing():
            return  # the link is as good as lost; what is durable comes again over the next one
        if transport.get_write_buffer_size() > WRITE_MAXIMUM:
            self.counters["dropped_local_full"] += 1
            return
        transport.write(to_frame(message))

    def knows(self, user: int) -> bool:
        """Whether it is an agent's of this node, or root's, who needs no other's name to act."""
        return user == 0 or user in self._owners.values()

    def take(self, head: dict[str, object], body: bytes, user: int) -> bool:
        """One frame that arrived from a process of ``user``; False if that is not the sender."""
        try:
            message = from_frame(head, body)
        except MessageError as e:
            self.on_broken(str(head.get("sender", "")), str(head.get("reply-with", "")), e)
            return True
        seen = self._seen.get(message.sender)
        if seen is None:
            self.counters["dropped_foreign"] += 1
            return True
        if user not in (0, self._owners[message.sender]):
            return False
        seen.set()
        self.on_message(message)
        return True

    async def _keep(self, peer: str, path: Path) -> None:
        delay = RETRY_S[0]
        seen = self._seen[peer]
        while True:
            seen.clear()
            link = await self._connect(peer, path)
            if link is not None:
                delay = RETRY_S[0]
                self._links[peer] = link
                self.on_peer(peer)
                try:
                    await link.lost.wait()
                finally:
                    if link.lost.is_set():
                        del self._links[peer]
                self.counters["local_link_lost"] += 1
                logger.info("link to %s lost", peer)
                seen.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await seen.wait()
            delay = min(delay * 2, RETRY_S[1])

    async def _connect(self, peer: str, path: Path) -> _Outgoing | None:
        try:
            made = connect_to(path, self._owners[peer])
        except PermissionError as e:
            self.counters["refused_user"] += 1
            why = f"{path}: {e.strerror}" if e.strerror else str(e)
            if self._refused.get(peer) != why:
                self._refused[peer] = why
                logger.error("%s", why)
            return None
        except OSError:
            return None  # it has not started, or is too busy to accept
        loop = asyncio.get_running_loop()
        try:
            _, link = await loop.create_unix_connection(
                lambda: _Outgoing(lambda: self.on_room()), sock=made
            )
        except OSError:
            made.close()
            return None
        self._refused.pop(peer, None)
        return link
