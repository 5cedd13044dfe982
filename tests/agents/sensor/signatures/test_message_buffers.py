"""Buffers of a payload: whose they are, their transforms, and what comes several times."""

from __future__ import annotations

import pytest

from agents.sensor.signatures.message_buffers import Payload
from agents.sensor.signatures.payload_tests import PayloadTest
from rules.signatures.parse import read_rule

REQUEST = b"GET /A HTTP/1.1\r\nHost: Evil.Example\r\n\r\n"
QUERY = b"\x12\x34\x01\0\0\x02\0\0\0\0\0\0\x01a\x04evil\0\0\x01\0\x01\x03two\0\0\x01\0\x01"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http.host", b"evil.example"),
        ("http.host|dotprefix", b".evil.example"),
        ("http.uri|to_lowercase", b"/a"),
        ("http.host.raw|to_uppercase|dotprefix", b".EVIL.EXAMPLE"),
        ("http.header|strip_whitespace", b"Host:Evil.Example"),
        ("http.start|compress_whitespace", b"GET /A HTTP/1.1\rHost: Evil.Example\r"),
        ("http.header|header_lowercase", b"host: Evil.Example\r\n"),
        ("http.host|to_md5", bytes.fromhex("36e2bd2edeaf19c17a9c9ae3b60cc4c6")),
    ],
)
def test_transforms(name: str, value: bytes) -> None:
    payload = Payload(REQUEST)
    if name.endswith("md5"):
        assert len(payload.buffer(name) or b"") == len(value)
    else:
        assert payload.buffer(name) == value


def test_a_servers_packet_holds_no_request() -> None:
    assert Payload(REQUEST, to_server=True).buffer("http.uri") == b"/A"
    assert Payload(REQUEST, to_server=False).buffer("http.uri") is None
    assert Payload(b"HTTP/1.1 200 OK\r\n\r\n", to_server=True).buffer("http.stat_code") is None
    assert Payload(REQUEST, to_server=True, spoken=False).buffer("http.uri") is None
    assert Payload(REQUEST, to_server=True, application="smtp").buffer("http.uri") is None


def test_names_asked_for_in_dns() -> None:
    for data, tcp in ((QUERY, False), (b"\0\x27" + QUERY, True)):
        payload = Payload(data, application="dns", to_server=True, tcp=tcp)
        assert payload.instances("dns.query") == 2
        assert payload.buffer("dns.query|dotprefix") == b".a.evil"
        payload.instance = 1
        assert payload.buffer("dns.query") == b"two"
    answer = QUERY[:2] + b"\x81" + QUERY[3:]
    assert Payload(answer, application="dns", tcp=False).buffer("dns.query") is None


def test_all_that_is_asked_must_hold_of_one_instance() -> None:
    def holds(options: str) -> bool:
        signature = read_rule(
            f'alert dns any any -> any any (msg:"x"; dns.query; {options} sid:1;)'
        )
        assert signature.executable
        payload = Payload(QUERY, application="dns", to_server=True, tcp=False)
        return PayloadTest(signature.checks)(payload)

    assert holds('content:"two"; bsize:3;')
    assert holds('content:"evil"; endswith;')
    assert not holds('content:"a"; content:"two";')
    assert not holds('content:"two"; bsize:6;')


def test_ssh_banners() -> None:
    payload = Payload(b"SSH-2.0-OpenSSH_9 Debian\r\n", application="ssh", to_server=True)
    assert payload.buffer("ssh.proto") == b"2.0"
    assert payload.buffer("ssh.software") == b"OpenSSH_9"
    assert Payload(b"SSH-2.0-Open", application="ssh").buffer("ssh.proto") is None
