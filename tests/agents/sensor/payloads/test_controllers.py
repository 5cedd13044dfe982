"""Requests to controllers, many at once."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agents.sensor.payloads.controllers import ASKED, HALTED, HEAD, WRITTEN, modbus, s7

STOP = b"\x29\0\0\0\0\0\x09P_PROGRAM"


def heads(*payloads: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """First bytes, with others' behind short ones as in a captured block."""
    padded = b"".join((one + b"\x29\x06\x44" * HEAD)[:HEAD] for one in payloads)
    table = np.frombuffer(padded, np.uint8).reshape(-1, HEAD).copy()
    return table, np.array([len(one) for one in payloads])


def request(function: int, data: bytes = b"\0\0\0\1", *, protocol: int = 0) -> bytes:
    return struct.pack(">HHHBB", 7, protocol, 2 + len(data), 1, function) + data


def job(parameters: bytes, kind: int = 1) -> bytes:
    body = b"\2\xf0\x80" + struct.pack(">BBHHHH", 0x32, kind, 0, 1, len(parameters), 0)
    return struct.pack(">BBH", 3, 0, 4 + len(body) + len(parameters)) + body + parameters


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (request(3), 0),
        (request(4), 0),
        (request(6), WRITTEN),
        (request(16, bytes(9)), WRITTEN),
        (request(17, b""), 0),  # cut short: eight bytes
        (request(17), ASKED),
        (request(43, b"\x0e\1\0"), ASKED),
        (request(43, b"\x0d\1\0"), 0),  # CANopen
        (request(8, b"\0\0\0\0"), ASKED),
        (request(8, b"\0\4\0\0"), HALTED),
        (request(90, b"\0\x41\0"), HALTED),
        (request(6, protocol=1), 0),
        (b"\0\1\0\0\xff\xff\1\6\0\0\0\1", 0),
        (bytes(12), 0),
    ],
)
def test_modbus(payload: bytes, expected: int) -> None:
    assert modbus(*heads(request(3), payload)).tolist() == [0, expected]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (job(b"\4\1"), 0),
        (job(b"\5\1"), WRITTEN),
        (job(STOP), HALTED),
        (job(b"\x1a\0"), HALTED),
        (job(b"\x1d\0"), ASKED),
        (job(b"\xf0\0"), 0),
        (job(b"\0\1\x12\4\x11\x44\1\0", 7), ASKED),
        (job(b"\0\1\x12\4\x12\x84\1\0", 7), 0),  # the answer
        (job(STOP, 3), 0),
        (job(b""), 0),
        (b"\3\0\0\x16\x11\xe0" + bytes(16), 0),
    ],
)
def test_s7(payload: bytes, expected: int) -> None:
    assert s7(*heads(job(b"\4\1"), payload)).tolist() == [0, expected]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(min_size=4, max_size=HEAD), min_size=1, max_size=5))
def test_each_is_judged_by_itself(payloads: list[bytes]) -> None:
    for look in (modbus, s7):
        together = look(*heads(*payloads)).tolist()
        assert together == [int(look(*heads(one))[0]) for one in payloads]
