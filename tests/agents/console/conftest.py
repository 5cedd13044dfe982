"""A real console in front of a real supervisor; over HTTP in a thread with a loop of its own."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from agents.clock import now_us
from agents.console.app import create_app
from agents.console.console import Console
from agents.console.operator_socket import bind_operator_socket, console_node, operators
from agents.console.server import ConsoleServer, bind, is_unix
from agents.console.sessions import Credentials, open_credentials
from agents.console.store import ReadStore
from agents.settings.honeynet import Settings
from agents.supervisor.ledger import Ledger
from agents.supervisor.operations import Operations
from tests.agents import factories
from tests.agents.console.link import Link
from tests.agents.factories import Clock, Post, make_settings

LIMIT_S = 30


@pytest.fixture
def kit() -> SimpleNamespace:
    """The makers, for test modules."""
    return SimpleNamespace(**vars(factories))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReadStore]:
    with closing(ReadStore(tmp_path / "store.sqlite3")) as opened:
        yield opened


@pytest.fixture
def operations(
    settings: Settings, tmp_path: Path, clock: Clock, post: Post
) -> Iterator[Operations]:
    with closing(Ledger(tmp_path / "ledger.sqlite3")) as ledger:
        yield Operations(settings, ledger, clock=clock, send=post.send, archive=post.archive)


@pytest.fixture
async def link(settings: Settings, operations: Operations, store: ReadStore) -> AsyncIterator[Link]:
    """A console that follows its supervisor."""
    made = Link(settings, operations, store)
    await made.follow()
    yield made
    await operations.feed.close()


@pytest.fixture
def console(link: Link) -> Console:
    return link.console


@pytest.fixture(scope="session")
def secrets_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users ``operator`` and ``viewer``, made once: hashing is slow on purpose."""
    path = tmp_path_factory.mktemp("secrets")
    made = open_credentials(path)
    made.users.set("operator", "operator pass", "operator")
    made.users.set("viewer", "viewer pass", "viewer")
    return path


@pytest.fixture
def credentials(tmp_path: Path, secrets_dir: Path) -> Credentials:
    shutil.copytree(secrets_dir, tmp_path, dirs_exist_ok=True)
    return open_credentials(tmp_path)


@pytest.fixture
def app(console: Console, credentials: Credentials) -> FastAPI:
    return create_app(console, credentials)


Browser = Callable[[], httpx.AsyncClient]


@pytest.fixture
def browser(app: FastAPI) -> Browser:
    """Makes clients that ask the application without a network."""

    def make() -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        return httpx.AsyncClient(
            transport=transport,
            base_url="http://127.0.0.1:8080",
            headers={"Origin": "http://127.0.0.1:8080"},
        )

    return make


@dataclass
class Running:
    """A console that takes requests."""

    url: str
    operations: Operations
    link: Link
    loop: asyncio.AbstractEventLoop
    stop: Callable[[], None]
    """Ends it before the test does; once is enough."""

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run it in the console's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(LIMIT_S)


Serve = Callable[..., Running]


@pytest.fixture
def serve(
    settings: Settings, tmp_path: Path, post: Any, credentials: Credentials
) -> Iterator[Serve]:
    """Starts consoles; stops them after the test."""
    stops: list[Callable[[], None]] = []

    def start(listen: str, allowed: frozenset[int] | None = None) -> Running:
        sock = bind(listen)
        at_socket = bind_operator_socket(settings, console_node(settings) or "")
        users = operators(settings) if allowed is None else allowed
        name = sock.getsockname()
        loop = asyncio.new_event_loop()
        ready = threading.Event()
        started: list[Running] = []
        halt = asyncio.Event()
        stopped = threading.Event()

        async def main() -> None:
            with (
                closing(Ledger(tmp_path / "served.sqlite3")) as ledger,
                closing(ReadStore(tmp_path / "shown.sqlite3")) as store,
            ):
                operations = Operations(
                    settings, ledger, clock=now_us, send=post.send, archive=post.archive
                )
                link = Link(settings, operations, store)
                await link.follow()
                app = create_app(link.console, credentials, behind_proxy=is_unix(listen))
                counters = link.console.counters
                servers = (
                    ConsoleServer(app, sock, counters=counters),
                    ConsoleServer(app, at_socket, operators=users, counters=counters),
                )
                serving = [asyncio.ensure_future(server.serve()) for server in servers]
                # uvicorn tells nobody when it is ready: the flag is all there is to wait for.
                while not all(s.started for s in servers):
                    assert not any(task.done() for task in serving)
                    await asyncio.sleep(0.01)
                url = "http://localhost" if is_unix(listen) else f"http://127.0.0.1:{name[1]}"
                started.append(Running(url, operations, link, loop, stop))
                ready.set()
                await halt.wait()
                for server in servers:
                    await server.stop()
                await asyncio.gather(*serving)
                await operations.feed.close()

        thread = threading.Thread(target=loop.run_until_complete, args=(main(),))

        def stop() -> None:
            if stopped.is_set():
                return
            stopped.set()
            loop.call_soon_threadsafe(halt.set)
            thread.join(LIMIT_S)
            assert not thread.is_alive(), "the console did not stop"
            loop.close()

        stops.append(stop)
        thread.start()
        assert ready.wait(LIMIT_S)
        return started[0]

    yield start
    for stop in stops:
        stop()
