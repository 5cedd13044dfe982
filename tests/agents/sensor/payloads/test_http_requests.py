"""Which requests are read: compared as a block, as the rule says it for one."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.payloads import http_requests
from agents.sensor.payloads.http_requests import doubtful
from datasets.captures.pcap import PADDING

LINE = re.compile(rb"[A-Z]{3,9} [A-Za-z0-9/_~?=&,:@!*.-]{0,1000} HTTP/1\.[01]\r\n")
IN_LINE = b".. /etc/ /bin/ /sbin/ /winnt/ /system32/ /proc/ /* : /.ht".split()
BEHIND = (b"()", b"${", b"<s", b"basic ")

ordinary = b"GET /static/v2/page.html?id=3 HTTP/1.1\r\nHost: a.org\r\nAgent: B (X11)\r\n\r\n"
PATHS = b"/,a,static/,v2/,tc,/.well-known,%27, ,+,?q=1&b=-,\0,\r,\n,.,"
HEADERS = (
    b"Host: x;A: ();A: (1);X: ${a};$ {;<script>;<SCRIPT>;<b>;Authorization: Basic YTpi;A:BASIC b;"
    b"Mac OS;Bananas: Ba;;"
)
targets = st.lists(st.sampled_from([*PATHS.split(b","), *IN_LINE, b"x" * 50]), max_size=8).map(
    b"".join
)
headers = st.lists(st.sampled_from([*HEADERS.split(b";"), b"y" * 70]), max_size=6).map(b"\r\n".join)
methods = st.sampled_from(b"GET POST HEAD OPTIONS PROPFIND get DELETEALL G".split())
versions = st.sampled_from(
    [b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/1.2\r\n", b" HTTP/1.1\n", b"\r\n"]
)
ends = st.sampled_from([b"\r\n\r\n", b"\r\n\r\n", b"", b"\r\n\r\nuser=a", b"\r\n\r\n\r\n"])
requests = st.builds(
    lambda method, target, version, behind, end, cut: (
        method + b" " + target + version + behind + end
    )[:cut].ljust(4, b"z"),
    *(methods, targets, versions, headers, ends),
    st.sampled_from([2048, 2048, 2048, 64, 63, 40, 5]),
)


def plainly(request: bytes) -> tuple[bool, bool]:
    """(has to be read, may be read): line ends behind the blank line say nothing."""
    line = LINE.match(request)
    if line is None or any(word in line[0].lower() for word in IN_LINE):
        return True, True
    rest = request[line.end() - 2 :].lower()
    if any(word in rest for word in BEHIND):
        return True, True
    behind = rest.partition(b"\r\n\r\n")[2]
    return behind.strip(b"\r\n") != b"", behind != b""


def block(made: list[bytes], between: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Data with the requests in it, where each begins, where it ends."""
    lengths = np.array([len(request) for request in made], np.int64)
    begins = np.cumsum(lengths + len(between)) - lengths
    data = np.frombuffer(b"".join(between + r for r in made) + bytes(PADDING), np.uint8)
    return data, begins, begins + lengths


@given(
    st.lists(st.one_of(requests, st.just(ordinary)), min_size=1, max_size=40),
    st.sampled_from([b"", b"\r\n\r\n<s", b"()${"]),
)
@settings(max_examples=100, deadline=None)
def test_as_the_rule_says_it_of_each(made: list[bytes], between: bytes) -> None:
    found = doubtful(*block(made, between))
    for request, read in zip(made, found.tolist(), strict=True):
        has_to, may = plainly(request)
        assert has_to <= read <= may, request


def told(made: list[bytes]) -> list[bool]:
    return doubtful(*block(made, b"\xd4\xc3()")).tolist()


@pytest.mark.parametrize("word", [*IN_LINE, b"/ETC/", b"/Winnt/", b"/SYSTEM32/"])
def test_a_word_anywhere_in_the_line(word: bytes) -> None:
    made = [b"GET /" + b"a" * n + word + b"a HTTP/1.1\r\n\r\n" for n in range(80)]
    assert all(told(made))


@pytest.mark.parametrize("word", [*BEHIND, b"<S", b"BASIC ", b"\r\n\r\nGET / HTTP/1.1"])
def test_a_word_anywhere_behind_the_line(word: bytes) -> None:
    head = b"GET / HTTP/1.1\r\nA: "
    assert all(told([head + b"a" * n + word + b"b\r\n\r\n" for n in range(150)]))


def test_each_byte_in_the_line() -> None:
    made = [b"GET /a" + bytes((n,)) + b"a HTTP/1.1\r\n\r\n" for n in range(256)]
    assert told(made) == [plainly(request)[1] for request in made]


def test_lines_of_each_length_and_end() -> None:
    ends = (b"\r\n", b"\n\r", b"\r", b"\n")
    versions = (b" HTTP/1.0", b" HTTP/1.1", b" HTTP/1.2", b"+HTTP/1.1", b" HTTP/11", b"")
    made = [
        b"GET /" + b"a" * n + version + end + b"Host: x\r\n\r\n"
        for n in range(80)
        for version in versions
        for end in ends
    ]
    assert told(made) == [plainly(request)[1] for request in made]


def test_ordinary_requests_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each would be, only slower."""
    monkeypatch.setattr(http_requests, "_search", lambda *_: pytest.fail("searched"))
    plain_ones = [ordinary.replace(b"static/v2", b"x" * n) for n in range(20)]
    assert not doubtful(*block(plain_ones, b"\xd4\xc3()")).any()
