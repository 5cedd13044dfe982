"""The demo's relay lets in who asks for this host by a name of its own."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from agents.demo.relay import Relay


@pytest.mark.parametrize(
    ("host", "served"),
    [
        (b"Host: 127.0.0.1:8080\r\n", True),
        (b"host:localhost\r\n", True),
        (b"Host: rebound.example:8080\r\n", False),
        (b"Host: localhost\r\nHost: rebound.example\r\n", False),
        (b"", False),
    ],
)
def test_a_foreign_host_name_is_refused(tmp_path: Path, host: bytes, served: bool) -> None:
    path = tmp_path / "console.sock"
    with socket.socket(socket.AF_UNIX) as inner:
        inner.bind(str(path))
        inner.listen(1)
        inner.settimeout(5)

        def console() -> None:
            link, _ = inner.accept()
            with link:
                request = link.recv(4096)
                link.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + request)

        thread = threading.Thread(target=console, daemon=True)
        if served:
            thread.start()
        with (
            Relay("127.0.0.1", 0, path) as relay,
            socket.create_connection((relay.host, relay.port), 5) as link,
        ):
            request = b"GET / HTTP/1.1\r\n" + host + b"\r\n"
            link.sendall(request)
            answer = b""
            while part := link.recv(4096):
                answer += part
        assert answer.startswith(b"HTTP/1.1 200" if served else b"HTTP/1.1 421")
        assert served is answer.endswith(request)
        if served:
            thread.join(5)
