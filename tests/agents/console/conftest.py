# ruff: noqa: F811  (fixtures of the supervisor serve here as well)
"""A real console on a loopback port, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agents.clock import now_us
from agents.console.app import create_app
from agents.console.server import ConsoleServer, bind, is_unix
from agents.console.sessions import Credentials
from agents.settings.honeynet import Settings
from agents.supervisor.ledger import Ledger
from agents.supervisor.operations import ConsoleService
from tests.agents.supervisor.conftest import (  # noqa: F401
    app,
    browser,
    clock,
    credentials,
    kit,
    ledger,
    post,
    secrets_dir,
    service,
    settings,
)

LIMIT_S = 30


@dataclass
class Running:
    """A console that takes requests."""

    url: str
    service: ConsoleService
    loop: asyncio.AbstractEventLoop
    stop: Callable[[], None]
    """Ends it before the test does; once is enough."""

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run it in the console's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(LIMIT_S)


Serve = Callable[[str], Running]


@pytest.fixture
def serve(
    settings: Settings, tmp_path: Path, post: Any, credentials: Credentials
) -> Iterator[Serve]:
    """Starts consoles; stops them after the test."""
    stops: list[Callable[[], None]] = []

    def start(listen: str) -> Running:
        sock = bind(listen)
        name = sock.getsockname()
        loop = asyncio.new_event_loop()
        ready = threading.Event()
        started: list[Running] = []
        halt = asyncio.Event()
        stopped = threading.Event()

        async def main() -> None:
            with closing(Ledger(tmp_path / "served.sqlite3")) as ledger:
                service = ConsoleService(
                    settings, ledger, clock=now_us, send=post.send, archive=post.archive
                )
                app = create_app(service, credentials, behind_proxy=is_unix(listen))
                server = ConsoleServer(app, sock)
                serving = asyncio.ensure_future(server.serve())
                # uvicorn tells nobody when it is ready: the flag is all there is to wait for.
                while not server.started and not serving.done():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                url = "http://localhost" if is_unix(listen) else f"http://127.0.0.1:{name[1]}"
                started.append(Running(url, service, loop, stop))
                ready.set()
                await halt.wait()
                await server.stop()
                await serving

        thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
        thread.start()

        def stop() -> None:
            if stopped.is_set():
                return
            stopped.set()
            loop.call_soon_threadsafe(halt.set)
            thread.join(LIMIT_S)
            assert not thread.is_alive(), "the console did not stop"
            loop.close()

        stops.append(stop)
        assert ready.wait(LIMIT_S)
        return started[0]

    yield start
    for stop in stops:
        stop()
