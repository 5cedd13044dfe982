"""uvicorn in the console's event loop: our own sockets, no signal handlers, a bounded stop.

Two listeners, one application: the page's (``console.listen``), where everybody has to log in, and
the operator's (`operator_socket`), a unix socket for the command line on this host. Nothing that
happens at the first concerns the second.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import uvicorn
from fastapi import FastAPI

from agents.console.admission import PER_ADDRESS, STRANGERS, Admission
from agents.console.http_connections import OperatorConnection, PageConnection

STOP_S = 2
"""Time that open requests get to end."""


class ListenError(RuntimeError):
    """``console.listen`` can't be used; one line."""


def is_unix(listen: str) -> bool:
    """Whether ``console.listen`` names a unix socket."""
    return listen.startswith("unix:")


def bind(listen: str) -> socket.socket:
    """A listening socket for ``HOST:PORT`` on loopback, or ``unix:PATH`` (mode 0660).

    Raises: ListenError for any other address: the console has no TLS of its own, so it must not
        be reachable from another host. A tunnel or a reverse proxy can be put before it.
    """
    if is_unix(listen):
        return _bind_unix(Path(listen.removeprefix("unix:")))
    host, mark, port_text = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not mark or not port_text.isdecimal() or int(port_text) > 65535:
        raise ListenError(f"console.listen: {listen!r} is not HOST:PORT or unix:PATH")
    try:
        address = ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError as e:
        raise ListenError(f"console.listen: {host!r} is not an IP address") from e
    if not address.is_loopback:
        raise ListenError(
            f"console.listen: {host} is not a loopback address; the console has no TLS, put a"
            " reverse proxy before it (unix:PATH) or use an ssh tunnel"
        )
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return _listen(
        socket.socket(family, socket.SOCK_STREAM), (str(address), int(port_text)), listen
    )


def _bind_unix(path: Path) -> socket.socket:
    if not path.is_absolute():
        raise ListenError(f"console.listen: {str(path)!r} is not an absolute path")
    try:
        if stat.S_ISSOCK(path.stat().st_mode):
            _refuse_live(path)
            path.unlink()
    except FileNotFoundError:
        pass
    except OSError as e:
        raise ListenError(f"console.listen: {path}: {e.strerror}") from e
    sock = _listen(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), str(path), str(path))
    path.chmod(0o660)
    return sock


def _refuse_live(path: Path) -> None:
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(1.0)
        with contextlib.suppress(ConnectionRefusedError):
            probe.connect(str(path))
            raise ListenError(f"console.listen: {path} is in use by another process")


def _listen(sock: socket.socket, address: str | tuple[str, int], shown: str) -> socket.socket:
    try:
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(128)
        sock.setblocking(False)
    except OSError as e:
        sock.close()
        raise ListenError(f"console.listen: {shown}: {e.strerror}") from e
    return sock


class _Server(uvicorn.Server):
    """The process's signals belong to the agent, not to its web server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ConsoleServer:
    """Serves one listener until `stop`. ``serve`` is one coroutine for the agent to spawn.

    Args:
        operators: users whose processes may ask without a login, at the operator's socket; None:
            it is the page's listener.
        counters: counts here connections that were refused or shed.
    """

    def __init__(
        self,
        app: FastAPI,
        sock: socket.socket,
        *,
        operators: frozenset[int] | None = None,
        counters: Counter[str] | None = None,
    ) -> None:
        self._socket = sock
        self._app = app
        self._ended = asyncio.Event()
        counters = Counter[str]() if counters is None else counters
        protocol: Callable[..., asyncio.Protocol]
        if operators is not None:
            protocol = partial(OperatorConnection, users=operators, counters=counters)
        else:
            # Behind a reverse proxy nobody has an address of his own.
            each = STRANGERS if sock.family == socket.AF_UNIX else PER_ADDRESS
            protocol = partial(PageConnection, admission=Admission(each), counters=counters)
        self._server = _Server(
            uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                # Not "warning": it has a line for everybody who sends rubbish.
                log_level="error",
                access_log=False,
                # The peer's word on where it comes from is not believed.
                proxy_headers=False,
                server_header=False,
                date_header=True,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=STOP_S,
                h11_max_incomplete_event_size=32 * 1024,
                http=cast(Any, protocol),
                ws="none",
            )
        )

    @property
    def started(self) -> bool:
        """Whether it takes requests."""
        return bool(self._server.started)

    async def serve(self) -> None:
        """Serve until `stop` is called."""
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            self._socket.close()
            self._ended.set()

    async def stop(self) -> None:
        """End open streams first, then wait until `serve` is through (`STOP_S` seconds or so)."""
        self._app.state.gate.console.hub.close()
        self._server.should_exit = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), STOP_S + 1)
