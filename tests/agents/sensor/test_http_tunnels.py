"""Bytes that are spread as enciphered ones are, and those that are not."""

from __future__ import annotations

import base64
import json
import random

import numpy as np
import pytest

from agents.sensor.http_tunnels import PIECES, WINDOW_US, HttpTunnels, binary, explained
from agents.sensor.watch_alerts import Sighting

CLIENT, SERVER = b"\1" * 16, b"\2" * 16
DICE = random.Random(5)


def run(bodies: list[tuple[bytes, bool]], *, pause_us: int = 1000) -> list[Sighting]:
    tunnels = HttpTunnels()
    found = []
    for number, (body, up) in enumerate(bodies):
        sample = np.frombuffer(body, np.uint8)
        at_us = number * pause_us
        seen = tunnels.on_piece(CLIENT, SERVER, 80, at_us, sample, len(body), up=up)
        found += [seen] if seen else []
    return found


def both(make: object, count: int = 2 * PIECES) -> list[tuple[bytes, bool]]:
    assert callable(make)
    return [(make(), up) for _ in range(count) for up in (True, False)]


def test_random_bytes_are_enciphered_text_is_not() -> None:
    assert run(both(lambda: DICE.randbytes(100)))
    assert run(both(lambda: base64.b64encode(DICE.randbytes(100))))
    assert not run(both(lambda: DICE.randbytes(100).hex().encode()))
    assert not run(both(lambda: json.dumps([DICE.random(), "click", {"x": 5}]).encode()))
    words = "the quick brown fox jumps over the lazy dog and runs away from it".split()
    text = lambda: " ".join(DICE.choices(words, k=20)).encode()  # noqa: E731
    assert not run(both(text))
    assert not run(both(lambda: base64.b64encode(text())))
    again = [DICE.randbytes(200) for _ in range(PIECES - 1)]
    assert not run(both(lambda: DICE.choice(again), 400))


def test_confidence_grows_and_reports_are_few() -> None:
    found = run(both(lambda: DICE.randbytes(80), 1000))
    assert [s.confidence for s in found] == sorted(s.confidence for s in found)
    assert found[-1].confidence == pytest.approx(0.8) and len(found) <= 8


def test_slow_pieces_are_other_windows() -> None:
    assert not run(both(lambda: DICE.randbytes(100)), pause_us=WINDOW_US // PIECES)


@pytest.mark.parametrize(
    ("kind", "so"),
    [
        (b"application/octet-stream", True),
        (b"application/x-own", True),
        (b"text/plain; charset=utf-8", False),
        (b"application/json", False),
        (b"", False),
    ],
)
def test_heads_that_say_no_more_than_binary(kind: bytes, so: bool) -> None:
    assert binary(b"POST / HTTP/1.1\r\nContent-Type: " + kind + b"\r\n") is so


@pytest.mark.parametrize(
    ("head", "so"),
    [
        (b"POST / HTTP/1.1\r\nContent-Encoding: br\r\n", True),
        (b"POST / HTTP/1.1\r\ncontent-type: multipart/form-data; boundary=x\r\n", True),
        (b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n", True),
        (b"POST / HTTP/1.1\r\nContent-Type: application/octet-stream\r\n", False),
        (b"POST /image/png HTTP/1.1\r\n", False),
    ],
)
def test_heads_that_explain(head: bytes, so: bool) -> None:
    assert explained(head) is so
