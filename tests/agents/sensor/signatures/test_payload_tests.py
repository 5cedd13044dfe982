"""Payload tests of a rule, one after the other, and the parts of an HTTP message."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


SMALL = st.none() | st.integers(-3, 5)
CONTENTS = st.builds(
    Content,
    pattern=st.sampled_from([b"a", b"b", b"ab", b"ba"]),
    negated=st.sampled_from([False, False, True]),
    distance=SMALL,
    within=SMALL,
    at_end=st.sampled_from([False, False, False, True]),
)


def places(check: Content, data: bytes, end: int) -> Iterator[int]:
    """Each place in the content's window, found by trying all of them."""
    size = len(check.pattern)
    start = end + (check.distance or 0)
    least = max(start, 0) if check.relative else 0
    most = start + check.within if check.within is not None else len(data)
    for at in range(least, min(most, len(data)) - size + 1):
        if data[at : at + size] == check.pattern:
            if not check.at_end or at + size == len(data):
                yield at


def every_way(checks: list[Content], data: bytes, end: int = 0) -> bool:
    """The plain meaning of contents in a row: some choice of places agrees with all of them."""
    if not checks:
        return True
    check, *later = checks
    found = list(places(check, data, end))
    if check.negated:
        return not found and every_way(later, data, end)
    return any(every_way(later, data, at + len(check.pattern)) for at in found)


@settings(max_examples=300, deadline=None)
@given(st.text("abx", max_size=12).map(str.encode), st.lists(CONTENTS, min_size=1, max_size=4))
def test_contents_in_a_row_mean_what_trying_all_places_finds(
    data: bytes, checks: list[Content]
) -> None:
    assert holds(data, *checks) == every_way(checks, data)


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
