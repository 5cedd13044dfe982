"""Floods of connections to the page, over real sockets: the operator and the page go on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from agents.console.client import ConsoleClient

HELD = 300
"""Connections that a flood holds, as in the public case; today's page has room for 256."""
LOGIN = {"user": "operator", "password": "operator pass"}

BEGUN = {
    "nothing": b"",
    "head without end": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
    "body without end": b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Length: 9\r\n\r\nuser=",
    "websocket": b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n",
    "event stream": b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "page not read": b"GET /static/app.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 200,
}


class Flood(threading.Thread):
    """Holds connections, and opens again what is closed, until it is stopped."""

    def __init__(self, port: int, begun: bytes, addresses: int) -> None:
        super().__init__(daemon=True)
        self._port, self._begun, self._addresses = port, begun, addresses
        self._ended = threading.Event()
        self.opened = 0
        self.full = threading.Event()
        """Once it has opened as many as it holds."""

    def run(self) -> None:
        held: list[socket.socket] = []
        while not self._ended.is_set():
            held = [s for s in held if self._stands(s)]
            while len(held) < HELD and not self._ended.is_set():
                made = self._open()
                if made is None:
                    break
                held.append(made)
            if self.opened >= HELD:
                self.full.set()
            self._ended.wait(0.02)
        for each in held:
            each.close()

    def stop(self) -> None:
        self._ended.set()
        self.join(10)

    def _open(self) -> socket.socket | None:
        made = socket.socket()
        made.settimeout(1.0)
        try:
            if self._addresses:
                number = self.opened % self._addresses
                made.bind((f"127.0.{1 + number // 200}.{1 + number % 200}", 0))
            made.connect(("127.0.0.1", self._port))
            made.setblocking(False)
            self.opened += 1
            made.send(self._begun)
        except OSError:
            made.close()
            return None
        return made

    def _stands(self, held: socket.socket) -> bool:
        if self._begun is BEGUN["page not read"]:
            return True
        try:
            if held.recv(4096):
                return True
        except BlockingIOError:
            return True
        except OSError:
            pass
        held.close()
        return False


@contextlib.contextmanager
def flooding(url: str, begun: str, addresses: int) -> Iterator[Flood]:
    flood = Flood(httpx.URL(url).port or 0, BEGUN[begun], addresses)
    flood.start()
    try:
        assert flood.full.wait(20), f"only {flood.opened} connections"
        yield flood
    finally:
        flood.stop()


LOGIN_LIMIT_S = 30.0
"""In which a person who tries again gets in, on a machine that is busy with the flood itself."""


def timed(ask: Callable[[], object]) -> float:
    begin = time.monotonic()
    ask()
    return time.monotonic() - begin


def logs_in(url: str, headers: dict[str, str]) -> bool:
    with httpx.Client(base_url=url, headers=headers, timeout=10) as late:
        try:
            answer = late.post("/login", data=LOGIN).status_code
            if answer == 429:  # so many come at once; a person waits and tries again
                return False
            assert answer == 303
            return bool(late.get("/api/v1/me").json()["user"] == "operator")
        except httpx.TransportError:
            return False


@pytest.mark.parametrize("addresses", [0, 1, 250], ids=["the same", "another", "250"])
@pytest.mark.parametrize("begun", list(BEGUN))
def test_a_flood_of_connections_keeps_nobody_out(serve, settings, begun, addresses):
    running = serve("127.0.0.1:0")
    headers = {"Origin": running.url}
    with httpx.Client(base_url=running.url, headers=headers, timeout=10) as person:
        assert person.post("/login", data=LOGIN).status_code == 303
        with flooding(running.url, begun, addresses), ConsoleClient(settings) as commands:
            for _ in range(5):
                assert timed(commands.blocks) < 5
                assert timed(lambda: person.get("/api/v1/me").raise_for_status()) < 5
            with person.stream("GET", "/api/v1/events") as stream:
                assert "hello" in next(stream.iter_text())
            # Somebody who isn't logged in yet: like a browser, he tries again when he is cut off.
            last = time.monotonic() + LOGIN_LIMIT_S
            while not logs_in(running.url, headers):
                assert time.monotonic() < last
    assert running.link.console.counters["connections_shed"] > 0


def test_a_storm_of_wrong_passwords_disturbs_neither_a_session_nor_a_login_from_elsewhere(serve):
    running = serve("127.0.0.1:0")
    port = httpx.URL(running.url).port
    ended = threading.Event()
    answers: list[int] = []

    def storm(number: int) -> None:
        transport = httpx.HTTPTransport(local_address=f"127.0.1.{1 + number}")
        with httpx.Client(
            base_url=running.url, headers={"Origin": running.url}, transport=transport, timeout=20
        ) as client:
            while not ended.is_set():
                wrong = {"user": "operator", "password": "guess"}
                with contextlib.suppress(httpx.HTTPError):
                    answers.append(client.post("/login", data=wrong).status_code)

    with httpx.Client(base_url=running.url, headers={"Origin": running.url}, timeout=20) as person:
        assert person.post("/login", data=LOGIN).status_code == 303
        threads = [threading.Thread(target=storm, args=(n,), daemon=True) for n in range(12)]
        for thread in threads:
            thread.start()
        try:
            deadline = time.monotonic() + 30
            while answers.count(429) < 50:
                assert time.monotonic() < deadline, answers
                assert person.get("/api/v1/me").json()["user"] == "operator"
            elsewhere = httpx.HTTPTransport(local_address="127.0.9.9")
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}",
                headers={"Origin": running.url},
                transport=elsewhere,
                timeout=20,
            ) as other:
                assert other.post("/login", data=LOGIN).status_code == 303
                assert other.get("/api/v1/me").json()["user"] == "operator"
            assert person.get("/api/v1/me").json()["user"] == "operator"
        finally:
            ended.set()
            for thread in threads:
                thread.join(30)
    # Each address was heard five times, and then put off without a hash.
    assert answers.count(401) <= 12 * 5
    assert set(answers) <= {401, 429}
