"""Payload tests of a rule, one after the other, and the parts of an HTTP message."""

import pytest

from agents.sensor.signatures import payload_tests
from agents.sensor.signatures.message_buffers import Payload
from agents.sensor.signatures.payload_tests import BudgetSpent, PayloadTest
from rules.signatures.payload_options import BufferSize, Content, DataAt, read_expression

REQUEST = (
    b"GET /a%20b?x=1 HTTP/1.1\r\nHost: EXAMPLE.net\r\nCookie: k=v\r\nUser-Agent: curl\r\n\r\nbody"
)


def holds(data: bytes, *checks: object, application: str = "") -> bool:
    return PayloadTest(checks, application=application)(Payload(data))  # type: ignore[arg-type]


def test_parts_of_a_request() -> None:
    payload = Payload(REQUEST)
    assert payload.buffer("http.method") == b"GET"
    assert payload.buffer("http.uri.raw") == b"/a%20b?x=1"
    assert payload.buffer("http.uri") == b"/a b?x=1"
    assert payload.buffer("http.host") == b"example.net"
    assert payload.buffer("http.cookie") == b"k=v"
    assert payload.buffer("http.user_agent") == b"curl"
    assert payload.buffer("http.request_body") == b"body"
    assert Payload(b"no request").buffer("http.uri") is None


def test_contents_follow_each_other() -> None:
    first, then = Content(pattern=b"user"), Content(pattern=b"root", distance=1, within=4)
    assert holds(b"user root", first, then)
    assert not holds(b"user  root", first, then)
    assert not holds(b"root user", first, then)
    # The second "user" is the one before "root".
    assert holds(b"user x user root", first, then)


def test_where_a_content_may_lie() -> None:
    assert holds(b"..ab", Content(pattern=b"ab", offset=2))
    assert not holds(b".ab.", Content(pattern=b"ab", offset=2))
    assert holds(b"AB", Content(pattern=b"ab", nocase=True, depth=2))
    assert not holds(b".ab", Content(pattern=b"ab", depth=2))


def test_negated_contents_and_bytes_behind() -> None:
    assert holds(b"abc", Content(pattern=b"x", negated=True))
    assert not holds(b"abx", Content(pattern=b"x", negated=True))
    assert holds(b"ab..", Content(pattern=b"ab"), DataAt(count=2, relative=True))
    assert not holds(b"ab.", Content(pattern=b"ab"), DataAt(count=2, relative=True))


def test_expressions_in_parts_of_a_request() -> None:
    assert holds(REQUEST, read_expression('"/a b/U"'))
    assert not holds(REQUEST, read_expression('"/a b/"'))


def test_only_http() -> None:
    assert not holds(b"GOT /", Content(pattern=b"/"), application="http")
    assert holds(REQUEST, BufferSize(least=8, most=8, buffer="http.uri"), application="http")


def test_a_search_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each occurrence of the first could be the right one: quadratic without a bound."""
    monkeypatch.setattr(payload_tests, "BUDGET", 100)
    checks = (Content(pattern=b"a"), Content(pattern=b"b", distance=5, within=1))
    with pytest.raises(BudgetSpent):
        holds(b"a" * 5000, *checks)
