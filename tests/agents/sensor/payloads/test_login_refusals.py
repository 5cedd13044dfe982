from __future__ import annotations

import numpy as np
import pytest

from agents.sensor.flows.packets import TCP, Packets
from agents.sensor.payloads.login_refusals import refusals
from agents.sensor.payloads.payload import TRUST_CHANGE, PayloadReader
from agents.sensor.payloads.request_reader import FORM_LOGIN

POSTGRES = b"E\0\0\0\x40SFATAL\0VFATAL\0C%s\0Mpassword authentication failed\0\0"
MYSQL = b"\x48\0\0\2\xff%sAccess denied"


def smb2(status: int, command: int = 1) -> bytes:
    header = b"\xfeSMB\x40\0\1\0" + status.to_bytes(4, "little") + command.to_bytes(2, "little")
    return b"\0\0\0\x49" + header + bytes(50)


def smb1(status: int) -> bytes:
    return b"\0\0\0\x23\xffSMB\x73" + status.to_bytes(4, "little") + bytes(26)


def tds(number: int) -> bytes:
    body = b"\xaa\x40\0" + number.to_bytes(4, "little") + b"\1\x0e" + bytes(40)
    return b"\4\1" + (8 + len(body)).to_bytes(2, "big") + b"\0\x35\1\0" + body


def packets(payloads: list[tuple[int, int, bytes]]) -> Packets:
    """(source port, destination port, payload)."""
    n = len(payloads)
    lengths = np.array([len(p) for _, _, p in payloads], np.int64)
    return Packets(
        time_us=np.zeros(n, np.int64),
        src=np.zeros((n, 16), np.uint8),
        dst=np.zeros((n, 16), np.uint8),
        src_port=np.array([p[0] for p in payloads], np.uint16),
        dst_port=np.array([p[1] for p in payloads], np.uint16),
        protocol=np.full(n, TCP, np.uint8),
        ip_version=np.full(n, 4, np.uint8),
        flags=np.zeros(n, np.uint8),
        payload_bytes=lengths,
        payload_offset=np.concatenate(([0], np.cumsum(lengths)[:-1])),
        payload_length=lengths,
        fragment=np.zeros(n, np.bool_),
        wrong_fragment=np.zeros(n, np.bool_),
        urgent=np.zeros(n, np.bool_),
        index=np.arange(n),
        data=np.frombuffer(b"".join(p for _, _, p in payloads) + bytes(64), np.uint8),
        total=n,
        other=0,
    )


@pytest.mark.parametrize(
    ("port", "payload", "refused"),
    [
        (5432, POSTGRES % b"28P01", True),
        (5432, POSTGRES % b"28000", True),
        (5432, POSTGRES % b"42P01", False),  # no such table
        (3306, MYSQL % b"\x15\x04", True),
        (3306, MYSQL % b"\x28\x04", False),  # 1064, a syntax error
        (445, smb2(0xC000006D), True),
        (445, smb2(0xC0000016), False),  # more processing required: the ordinary first answer
        (445, smb2(0xC000006D, command=3), False),
        (445, smb1(0xC000006D), True),
        (445, smb1(0), False),
        (1433, tds(18456), True),
        (1433, tds(208), False),
        (8080, POSTGRES % b"28P01", False),
    ],
)
def test_what_servers_say_to_a_wrong_password(port: int, payload: bytes, refused: bool) -> None:
    for block in ([(port, 40000, payload)], [(80, 40000, b"x" * 30), (port, 40000, payload)]):
        assert len(refusals(packets(block))) == refused
    assert len(refusals(packets([(40000, port, payload)]))) == 0
    marks = PayloadReader().look_up(packets([(port, 40000, payload)]))
    assert marks.failed_logins.sum() == refused


def test_short_and_cut_answers_are_none() -> None:
    for port, payload in ((5432, POSTGRES % b"28P01"), (445, smb2(0xC000006D)), (1433, tds(18456))):
        for length in range(1, 12):
            assert len(refusals(packets([(port, 40000, payload[:length])]))) == 0


@pytest.mark.parametrize(
    ("command", "marked"),
    [
        (b"0\0root\0root\0echo + + >>/.rhosts\0", True),
        (b"0\0root\0root\0echo '+ +' > /root/.rhosts\0", True),
        (b"0\0root\0root\0echo + >> /etc/hosts.equiv\0", True),
        (b"0\0alice\0alice\0cat .rhosts\0", False),
        (b"0\0alice\0alice\0expr 1 + 1 > sum\0", False),
    ],
)
def test_a_command_that_makes_a_host_trust_everybody(command: bytes, marked: bool) -> None:
    marks = PayloadReader().look_up(packets([(1023, 514, command)]))
    assert (marks.indicators & TRUST_CHANGE).any() == marked
    assert not len(PayloadReader().look_up(packets([(40000, 9999, command)])).index)


@pytest.mark.parametrize(
    ("request_", "marked"),
    [
        (b"POST /login HTTP/1.1\r\nHost: a\r\n\r\nuser=admin&password=x", True),
        (b"POST /login HTTP/1.1\r\nHost: a\r\n\r\npwd=x", True),
        (b"POST /login HTTP/1.1\r\nHost: a\r\n\r\npassword=", False),
        (b"POST /find HTTP/1.1\r\nHost: a\r\n\r\nq=how+to+pass=by", False),
        (b"GET /login?password=x HTTP/1.1\r\nHost: a\r\n\r\n", False),
    ],
)
def test_a_form_with_a_password(request_: bytes, marked: bool) -> None:
    marks = PayloadReader().look_up(packets([(40000, 80, request_)]))
    assert (marks.indicators & FORM_LOGIN).any() == marked
    assert marks.login_attempts.sum() == marked
