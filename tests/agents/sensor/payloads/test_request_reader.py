"""Requests read many at once: each as if it were alone."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.payloads.attack_strings import COMMAND, SQL_INJECTION, XSS
from agents.sensor.payloads.request_reader import FORM_LOGIN, PROXY, Asked, RequestReader

REQUESTS = [
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /i?id=1'%20or%20'1'='1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%252e%252e/%252e%252e/etc/passwd HTTP/1.1\r\n\r\n",
    b"POST /login HTTP/1.1\r\nHost: x\r\n\r\nuser=a&password=b%27--%20",
    b"GET / HTTP/1.1\r\nAuthorization: Basic dTpw\r\nX: ${jndi:a}\r\n\r\n",
    b"GET /.htaccess HTTP/1.1\r\nAgent: <SCRIPT>\r\n\r\nGET /?q=<script> HTTP/1.0",
    b"GET /" + b"%2541" * 300,
    b"POST",
]


@given(st.lists(st.sampled_from(REQUESTS), max_size=70))
@settings(max_examples=50, deadline=None)
def test_each_as_if_it_were_alone(requests: list[bytes]) -> None:
    reader = RequestReader()
    assert reader.read(requests) == [reader.read([request])[0] for request in requests]


def test_what_requests_say() -> None:
    said = RequestReader().read(REQUESTS[:6])
    assert said[0] == Asked()
    assert said[1].indicators == SQL_INJECTION
    assert said[2].access_file
    assert (said[3].attempts, said[3].indicators) == (1, FORM_LOGIN | SQL_INJECTION)
    assert (said[4].attempts, said[4].indicators) == (1, COMMAND)
    assert (said[5].access_file, said[5].indicators) == (True, XSS)


@given(st.sampled_from([request.partition(b"\r")[0] for request in REQUESTS]))
def test_a_line_alone_says_what_its_request_does(line: bytes) -> None:
    reader = RequestReader()
    assert reader.of_line(line) == reader.read([line])[0].indicators


def test_what_is_asked_of_a_proxy() -> None:
    lines = (
        b"CONNECT mail.example.org:25 HTTP/1.1\r\n\r\n",
        b"GET http://check.example.org/ip HTTP/1.1\r\n\r\n",
        b"GET /CONNECT?to=http://example.org HTTP/1.1\r\n\r\n",
    )
    found = [asked.indicators & PROXY for asked in RequestReader().read(lines)]
    assert found == [PROXY, PROXY, 0]
