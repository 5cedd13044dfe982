"""Sequence numbers, found from where the payload begins."""

import struct

import pytest

from agents.sensor.flows.decode import decode
from agents.sensor.flows.segments import sequence_number
from tests.factories import make_packets


def frame(sequence: int, options: bytes = b"", protocol: int = 6, payload: bytes = b"hi") -> bytes:
    size = 20 + len(options)
    tcp = struct.pack("!HHIIBBHHH", 4000, 80, sequence, 7, size // 4 << 4, 0x18, 100, 0, 0)
    inner = tcp + options if protocol == 6 else struct.pack("!HHHH", 4000, 80, 8 + len(payload), 0)
    length = 20 + len(inner) + len(payload)
    ip = struct.pack(
        "!BBHHHBBH4s4s", 69, 0, length, 0, 0, 64, protocol, 0, b"\xc0\0\2\1", b"\xc0\0\2\2"
    )
    return bytes(12) + b"\x08\0" + ip + inner + payload


@pytest.mark.parametrize("options", [b"", b"\1\1\1\0", b"\1" * 40])
def test_it_is_found_behind_options(options: bytes) -> None:
    assert sequence_number(decode(make_packets(frame(0xDEADBEEF, options))), 0) == 0xDEADBEEF


def test_options_that_look_like_a_header_don_t_pose_as_one() -> None:
    """Twenty bytes of options with the right ports and length, nearer to the payload."""
    fake = struct.pack("!HHIIBBHHH", 4000, 80, 0x11111111, 0, 5 << 4, 0, 0, 0, 0)
    assert sequence_number(decode(make_packets(frame(0x22222222, fake))), 0) == 0x22222222


def test_other_protocols_have_none() -> None:
    assert sequence_number(decode(make_packets(frame(5, protocol=17))), 0) == -1
