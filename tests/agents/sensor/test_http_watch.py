"""Requests and answers as frames, through the decoder."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from agents.sensor import http_watch
from agents.sensor.flows.decode import decode
from agents.sensor.http_tunnels import PIECES
from agents.sensor.http_watch import HttpWatch
from ontology.records import Alert
from tests.factories import make_packets

LINK = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
OWNER, THIEF, SERVER = "192.0.2.10", "192.0.2.66", "198.51.100.18"
SESSION = b"PHPSESSID=4f66ad9a0b2e4c7d9e81"
Said = tuple[str, int, bytes, bool]
"""Client, its port, what is said, whether by the client."""


def asked(who: str = OWNER, agent: bytes = b"Firefox", cookie: bytes = SESSION) -> Said:
    head = b"GET /account HTTP/1.1\r\nHost: shop\r\nUser-Agent: " + agent
    return who, 4000, head + b"\r\nCookie: lang=en; " + cookie + b"\r\n\r\n", True


GIVEN: Said = (
    OWNER,
    4000,
    b"HTTP/1.1 200 OK\r\nset-cookie: lang=en\r\nSet-Cookie: " + SESSION + b"; Path=/\r\n\r\nhi",
    False,
)


def watch(*said: Said, pause: float = 1.0, block: int = 1000) -> list[Alert]:
    core = HttpWatch("sensor")
    frames = []
    for client, port, text, by_client in said:
        ends = {"src": client, "dst": SERVER} if by_client else {"src": SERVER, "dst": client}
        ports = {"sport": port, "dport": 80} if by_client else {"sport": 80, "dport": port}
        frames.append(bytes(LINK / IP(**ends) / TCP(**ports, flags="PA") / Raw(text)))
    times = [round(i * pause * 1e6) for i in range(len(frames))]
    found = []
    for at in range(0, len(frames), block):
        raw = make_packets(*frames[at : at + block], times_us=times[at : at + block])
        found += core.on_packets(decode(raw))
    return found


@pytest.mark.parametrize("block", [1, 1000])
def test_a_session_that_another_host_and_program_uses_is_hijacked(block: int) -> None:
    found = watch(GIVEN, asked(), asked(THIEF, b"curl/8"), asked(), block=block)
    assert [a.classification for a in found] == ["SessionHijacking"] * 2
    assert [(str(a.source), str(a.target), a.target_port) for a in found] == [
        (THIEF, SERVER, 80)
    ] * 2
    assert [a.confidence for a in found] == [0.6, 0.75]  # and its owner goes on
    assert "given to 192.0.2.10" in found[0].explanation
    assert SESSION.partition(b"=")[2].decode() not in found[0].explanation
    assert not any(a.verified_source for a in found)
    assert found[0].id == watch(GIVEN, asked(), asked(THIEF, b"curl/8"))[0].id


def test_what_has_other_reasons_is_low() -> None:
    """A telephone that changes its network, an owner's second program, a session that began before
    the capture."""
    for said in (
        (GIVEN, asked(), asked(THIEF), asked()),
        (GIVEN, asked(), asked(OWNER, b"curl/8"), asked()),
        (asked(), asked(THIEF, b"curl/8"), asked()),
    ):
        assert [a.confidence < 0.5 for a in watch(*said)] == [True] * len(watch(*said)) != []


def test_no_session_no_alert() -> None:
    other = b"curl/8"
    assert watch(asked(), asked(), asked(OWNER)) == []
    for cookie in (b"lang=en", b"csrftoken=4f66ad9a0b2e4c7d9e81", b"sid=aaaaaaaaaaaaaaaaaaaaaaaa"):
        assert watch(asked(cookie=cookie), asked(THIEF, other, cookie)) == []
    # Hours later it is another's.
    assert watch(GIVEN, asked(), asked(THIEF, other), pause=2000.0) == []
    # What all use is nobody's own, and text of a page gives nothing.
    crowd = [asked(f"192.0.2.{n}", b"app/%d" % n) for n in range(100, 120)]
    assert all(a.confidence < 0.5 for a in watch(*crowd))
    page = (OWNER, 4000, b"HTTP/1.1 200 OK\r\n\r\nx\r\nSet-Cookie: " + SESSION + b"\r\n", False)
    found = watch(page, asked(), asked(THIEF, other))
    assert [a.confidence for a in found] == [0.4]


def piece(data: bytes, number: int, head: bytes = b"", *, up: bool = True) -> list[Said]:
    """A body behind its head in one segment, or in two."""
    first = b"POST /a.jsp HTTP/1.1\r\nHost: x\r\n" if up else b"HTTP/1.1 200 OK\r\n"
    first += head + b"Content-Length: %d\r\n\r\n" % len(data)
    port = 5000 + number // 10
    if number % 2:
        return [(THIEF, port, first + data, up)]
    return [(THIEF, port, first, up), (THIEF, port, data, up)]


def tunnel(count: int, *, coded: bool = False, head: bytes = b"", back: bool = True) -> list[Said]:
    dice = random.Random(7)
    said = []
    for number in range(count):
        for up in (True, False):
            data = dice.randbytes(dice.randrange(60, 300)) if up or back else b"<p>done</p>" * 9
            data = base64.b64encode(data) if coded else data
            said += piece(data, number, head, up=up)
    return said


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("block", [7, 1000])
def test_enciphered_pieces_both_ways_are_a_tunnel(coded: bool, block: int) -> None:
    [alert, *_] = watch(*tunnel(2 * PIECES, coded=coded), pause=0.2, block=block)
    assert (alert.classification, str(alert.source)) == ("Tunnelling", THIEF)
    assert alert.confidence >= 0.6 and not alert.verified_source
    assert (str(alert.target), alert.target_port) == (SERVER, 80)


def test_one_way_is_low_and_few_or_explained_pieces_are_none() -> None:
    assert {a.confidence for a in watch(*tunnel(60, back=False), pause=0.2)} == {0.4}
    assert watch(*tunnel(PIECES - 1), pause=0.2) == []
    for head in (
        b"Content-Encoding: gzip\r\n",
        b"Content-Type: image/png\r\n",
        b"content-type: application/ocsp-request\r\n",
    ):
        assert watch(*tunnel(60, head=head), pause=0.2) == []
    # Forms, JSON, the same bytes again.
    dice = random.Random(3)
    for body in (
        b"user=alice&comment=this+is+what+I+think+of+it&token=%x",
        b'{"event": "click", "at": [12, 400], "session": "%x", "ok": true}',
    ):
        said = [
            one
            for n in range(60)
            for up in (True, False)
            for one in piece(body % dice.getrandbits(128), n, up=up)
        ]
        assert watch(*said, pause=0.2) == []
    same = dice.randbytes(90)
    said = [one for n in range(60) for up in (True, False) for one in piece(same, n, up=up)]
    assert watch(*said, pause=0.2) == []


def test_what_calls_itself_binary_is_low() -> None:
    """As programs with forms of their own do; a text that is none stays what it is."""
    named = tunnel(60, head=b"Content-Type: application/octet-stream\r\n")
    assert {a.confidence for a in watch(*named, pause=0.2)} == {0.4}
    text = tunnel(60, head=b"Content-Type: text/html\r\n")
    assert max(a.confidence for a in watch(*text, pause=0.2)) >= 0.6


def test_an_upload_of_what_is_enciphered_is_none() -> None:
    dice = random.Random(9)
    head = b"POST /up HTTP/1.1\r\nContent-Type: application/octet-stream\r\n\r\n"
    said = [(OWNER, 4000, head, True)]
    said += [(OWNER, 4000, dice.randbytes(1400), True) for _ in range(300)]
    assert watch(*said, pause=0.01) == []


def test_what_there_is_no_time_for_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a second later there is time again, for what a busy block and not its begin holds."""
    monkeypatch.setattr(http_watch, "BURST_ROWS", 3)
    monkeypatch.setattr(http_watch, "SECOND_ROWS", 2)
    core = HttpWatch("sensor")
    frame = bytes(LINK / IP(src=OWNER, dst=SERVER) / TCP(dport=80) / Raw(asked()[2]))
    for at, passed in ((1_000_000, 5), (1_000_001, 13), (2_000_001, 19), (99_000_000, 19)):
        core.on_packets(decode(make_packets(*[frame] * 8, times_us=[at] * 8)))
        assert core.evicted == passed


@settings(max_examples=50)
@given(st.lists(st.tuples(st.binary(max_size=300), st.booleans()), max_size=12))
def test_hostile_heads_and_bodies_do_no_harm(texts: list[tuple[bytes, bool]]) -> None:
    begin = (b"POST ", b"HTTP/1.1 200", b"GET / HTTP/1.1\r\nCookie: sid=", b"", b"PUT \r\n\r\n")
    said = [(OWNER, 4000 + i % 2, begin[i % 5] + text, by) for i, (text, by) in enumerate(texts)]
    for alert in watch(*said):
        assert alert.confidence < 0.5
