"""What a conversation speaks, from its first bytes."""

import pytest

from agents.sensor.signatures.applications import NAMES, client_speaks, is_dns, recognise

QUERY = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01"


@pytest.mark.parametrize(
    ("data", "transport", "port", "name"),
    [
        (b"GET / HTTP/1.1\r\n", 6, 4444, "http"),
        (b"HTTP/1.1 200 OK", 6, 80, "http"),
        (b"\x16\x03\x01\0\x05\x01", 6, 4444, "tls"),
        (b"SSH-2.0-x\r\n", 6, 2222, "ssh"),
        (b"\0\0\0\x40\xfeSMB", 6, 445, "smb"),
        (b"220 welcome", 6, 21, "ftp"),
        (b"220 mail.example ESMTP", 6, 26, "smtp"),
        (b"220 what", 6, 9999, ""),
        (b"EHLO x", 6, 25, "smtp"),
        (QUERY, 17, 53, "dns"),
        (b"\0\x13" + QUERY, 6, 53, "dns"),
        (QUERY, 17, 5353, ""),
        (b"GET / HTTP/1.1\r\n", 17, 80, ""),
        (b"abc", 6, 80, ""),
    ],
)
def test_protocols(data: bytes, transport: int, port: int, name: str) -> None:
    assert NAMES[recognise(data, transport, port)] == name


def test_what_is_no_dns() -> None:
    assert is_dns(QUERY)
    assert not is_dns(QUERY[:11])
    assert not is_dns(b"\0\0\x78\0" + QUERY[4:])
    assert not is_dns(b"\0\0\0\0\xff\xff" + QUERY[6:])


def test_whose_words_they_are() -> None:
    assert client_speaks(b"GET / ") is True
    assert client_speaks(b"HTTP/1.1 200") is False
    assert client_speaks(b"\x16\x03\x03\0\x09\x02") is False
    assert client_speaks(b"abc") is None
