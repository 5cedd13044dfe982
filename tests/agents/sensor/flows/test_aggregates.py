"""Frames of several packets, through the decoder."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.dot11 import Dot11, Dot11QoS, RadioTap
from scapy.layers.inet import IP, TCP
from scapy.packet import Raw

from agents.sensor.flows.decode import decode
from ontology.addresses import to_address
from tests.factories import make_packets


def packet(number: int) -> bytes:
    ends = IP(src=f"192.0.2.{number}", dst="198.51.100.18")
    return bytes(ends / TCP(sport=4000 + number, dport=80) / Raw(b"x" * number))


def part(inner: bytes, length: int | None = None) -> bytes:
    body = b"\xaa\xaa\3\0\0\0\x08\0" + inner
    size = len(body) if length is None else length
    out = b"\2\0\0\0\0\2\2\0\0\0\0\1" + struct.pack("!H", size) + body
    return out + bytes(-len(out) % 4)


def frame(*parts: bytes, field: int = 2) -> bytes:
    head = bytes(Dot11(type=2, subtype=8, FCfield=field) / Dot11QoS(A_MSDU_Present=1))
    return head + b"".join(parts)


def seen(*frames: bytes, link_type: int = 105) -> list[tuple[str, int, int, int]]:
    packets = decode(make_packets(*frames, link_type=link_type))
    return [
        (str(to_address(packets.src[n].tobytes())), *(int(c[n]) for c in columns))
        for n in range(len(packets))
        for columns in [(packets.src_port, packets.payload_bytes, packets.index)]
    ]


def test_each_packet_of_a_frame_is_one_and_knows_its_frame() -> None:
    plain = bytes(Dot11(type=2, FCfield=2)) + b"\xaa\xaa\3\0\0\0\x08\0" + packet(9)
    several = frame(*(part(packet(n)) for n in (1, 2, 3)))
    assert seen(plain, several, plain) == [
        ("192.0.2.9", 4009, 9, 0),
        *((f"192.0.2.{n}", 4000 + n, n, 1) for n in (1, 2, 3)),
        ("192.0.2.9", 4009, 9, 2),
    ]
    radio = bytes(RadioTap())
    assert [s[0] for s in seen(radio + several, link_type=127)] == [
        f"192.0.2.{n}" for n in (1, 2, 3)
    ]


def test_what_is_cut_off_counts_as_far_as_it_goes() -> None:
    whole = frame(part(packet(1)), part(packet(2)))
    assert [s[0] for s in seen(whole[:-30])] == ["192.0.2.1"]


@pytest.mark.parametrize("length", [0, 7, 2305, 65535])
def test_what_can_be_none_is_named(length: int) -> None:
    packets = decode(make_packets(frame(part(packet(1), length)), link_type=105))
    assert (len(packets), dict(packets.unread)) == (0, {"802.11-aggregate": 1})
    encrypted = decode(make_packets(frame(part(packet(1)), field=0x42), link_type=105))
    assert dict(encrypted.unread) == {"802.11-encrypted": 1}


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=80), max_size=8), st.binary(max_size=4))
def test_hostile_parts_are_decoded_or_counted(bodies: list[bytes], rest: bytes) -> None:
    raw = make_packets(frame(*(part(body) for body in bodies), rest), frame(rest), link_type=105)
    packets = decode(raw)
    assert packets.total == 2
    assert all(0 <= number < 2 for number in packets.index.tolist())
