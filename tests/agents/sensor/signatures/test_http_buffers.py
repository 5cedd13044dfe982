"""Parts of HTTP messages: there, absent, cut off, chunked and compressed."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.sensor.signatures.http_buffers import MAX_INFLATED, HttpMessage

REQUEST = (
    b"POST http://Example.NET:8080/a%20b?x=1 HTTP/1.1\r\nHost: other.example\r\nCookie: k=v\r\n"
    b"Referer:  r \r\nAccept: */*\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n"
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http.method", b"POST"),
        ("http.uri", b"/a b?x=1"),
        ("http.uri.raw", b"http://Example.NET:8080/a%20b?x=1"),
        ("http.host", b"example.net"),
        ("http.host.raw", b"Example.NET:8080"),
        ("http.cookie", b"k=v"),
        ("http.referer", b"r"),
        ("http.accept", b"*/*"),
        ("http.protocol", b"HTTP/1.1"),
        ("http.request_line", REQUEST.partition(b"\r\n")[0]),
        # Cookies have a buffer of their own; values are bare of spaces.
        (
            "http.header",
            b"Host: other.example\r\nReferer: r\r\nAccept: */*\r\nContent-Length: 3\r\n",
        ),
        (
            "http.header_names",
            b"\r\nHost\r\nCookie\r\nReferer\r\nAccept\r\nContent-Length\r\n\r\n",
        ),
        ("http.request_body", b"abc"),
        ("http.user_agent", None),
        ("http.stat_code", None),
        ("http.response_body", None),
        ("file.data", None),
    ],
)
def test_parts_of_a_request(name: str, value: bytes | None) -> None:
    message = HttpMessage(REQUEST)
    assert message.get(name) == value
    assert not message.cut


def test_a_head_that_goes_on_is_cut_and_its_last_line_is_not_yet_there() -> None:
    message = HttpMessage(b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Moz")
    assert message.get("http.host") == b"a"
    assert message.get("http.user_agent") is None
    assert {"http.header", "http.header_names"} <= message.cut


def response(head: bytes, body: bytes) -> HttpMessage:
    return HttpMessage(b"HTTP/1.1 200 OK\r\nServer: s\r\nSet-Cookie: c\r\n" + head + b"\r\n" + body)


@pytest.mark.parametrize(
    ("head", "body", "found", "cut"),
    [
        (b"Content-Length: 3\r\n", b"abc", b"abc", False),
        (b"Content-Length: 4\r\n", b"abc", b"abc", True),
        (b"", b"abc", b"abc", True),
        (b"Content-Length: 0\r\n", b"", None, False),
        (b"Transfer-Encoding: chunked\r\n", b"2;x\r\nab\r\n1\r\nc\r\n0\r\n\r\n", b"abc", False),
        (b"Transfer-Encoding: chunked\r\n", b"2\r\nab\r\n9\r\nc", b"abc", True),
        (b"Transfer-Encoding: chunked\r\n", b"-2\r\nab", None, False),
        (b"Content-Encoding: br\r\nContent-Length: 3\r\n", b"abc", None, False),
        (b"Content-Encoding: gzip\r\nContent-Length: 3\r\n", b"abc", None, False),
    ],
)
def test_bodies(head: bytes, body: bytes, found: bytes | None, cut: bool) -> None:
    message = response(head, body)
    assert message.get("file.data") == message.get("http.response_body") == found
    assert ("file.data" in message.cut) == cut
    assert message.get("http.stat_code") == b"200"
    assert message.get("http.stat_msg") == b"OK"
    assert message.get("http.cookie") == b"c"


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        (b"gzip", gzip.compress(b"evil text", mtime=0)),
        (b"deflate", zlib.compress(b"evil text")),
        (b"deflate", zlib.compress(b"evil text")[2:-4]),
    ],
)
def test_compressed_bodies_are_inflated(coding: bytes, packed: bytes) -> None:
    head = b"Content-Encoding: " + coding + b"\r\nContent-Length: %d\r\n" % len(packed)
    assert response(head, packed).get("file.data") == b"evil text"


def test_a_bomb_is_not_inflated_beyond_the_bound() -> None:
    packed = gzip.compress(bytes(64 << 20))
    head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(packed)
    message = response(head, packed)
    assert len(message.get("file.data") or b"") == MAX_INFLATED
    assert "file.data" in message.cut


PIECES = st.sampled_from(
    [
        *(b"GET ", b"HTTP/1.1", b" ", b"\r\n", b"\r\n\r\n", b"Host:", b"/", b"%4", b"200", b"0"),
        *(b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n", b"\x1f\x8b\x08", b"\n"),
    ]
)


@given(st.lists(PIECES, max_size=20).map(b"".join) | st.binary(max_size=80))
def test_no_bytes_break_it(data: bytes) -> None:
    for prefix in (b"", b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n"):
        message = HttpMessage(prefix + data)
        for name in ("http.uri", "http.header", "http.header_names", "http.start", "file.data"):
            message.get(name)
        message.get("http.request_body")
