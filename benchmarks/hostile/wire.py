"""Blocks of frames as a sensor gets them: conversations whose payloads are all one family's."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datasets.captures.pcap import PADDING, RawPackets

SEGMENT = 1448
"""Payload of a full Ethernet frame."""
CONNECTIONS = 50
_SERVER = bytes((198, 51, 100, 18))
_BEGIN_US = 1_700_000_000_000_000


@dataclass(frozen=True, slots=True)
class Way:
    """How a family's payloads reach the sensor."""

    port: int
    """Of the server."""
    by_server: bool = False
    udp: bool = False
    blind: bool = False
    """Nobody answers: each packet comes from another address, as in a flood from forged ones."""


def client(number: int) -> bytes:
    """Address of a client: 11.0.0.0/8."""
    return struct.pack(">I", 0x0B000000 + number * 2_654_435_761 % (1 << 24))


def frame(
    source: tuple[bytes, int],
    target: tuple[bytes, int],
    payload: bytes = b"",
    *,
    flags: int = 24,
    seq: int = 0,
    udp: bool = False,
) -> bytes:
    """An Ethernet frame with IPv4 and TCP or UDP; checksums are zero."""
    sport, dport = source[1], target[1]
    if udp:
        head = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0)
    else:
        head = struct.pack(">HHIIBBHHH", sport, dport, seq, 1, 0x50, flags, 8192, 0, 0)
    size = 20 + len(head) + len(payload)
    ip = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, size, 0, 0, 64, 17 if udp else 6, 0, source[0], target[0]
    )
    return b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + ip + head + payload


def raw(frames: Sequence[bytes], begin_us: int, step_us: int = 10) -> RawPackets:
    """A block of frames, ``step_us`` apart."""
    lengths = np.array([len(one) for one in frames], np.int64)
    data = np.frombuffer(b"".join(frames) + bytes(PADDING), np.uint8)
    times = begin_us + np.arange(len(frames), dtype=np.int64) * step_us
    return RawPackets(data, np.cumsum(lengths) - lengths, lengths, lengths, times, 1)


def handshakes(way: Way, first: int = 0, count: int = CONNECTIONS) -> list[bytes]:
    """SYN, SYN-ACK and ACK of the connections that `block` uses."""
    frames = []
    for number in range(first, first + count):
        ends = (client(number), 40_000), (_SERVER, way.port)
        frames.append(frame(*ends, flags=2))
        frames.append(frame(*ends[::-1], flags=18))
        frames.append(frame(*ends, flags=16, seq=1))
    return frames


def blocks(way: Way, payloads: Sequence[bytes], count: int) -> tuple[RawPackets | None, RawPackets]:
    """(what comes before, ``count`` packets with the payloads in turn)."""
    frames = []
    following = [1] * CONNECTIONS
    for number in range(count):
        payload = payloads[number % len(payloads)]
        at = number if way.blind else number % CONNECTIONS
        ends = (client(at), 40_000), (_SERVER, way.port)
        seq = following[at % CONNECTIONS]
        following[at % CONNECTIONS] += len(payload)
        source, target = ends[::-1] if way.by_server else ends
        frames.append(frame(source, target, payload, seq=seq, udp=way.udp))
    before = None
    if not way.blind and not way.udp:
        before = raw(handshakes(way), _BEGIN_US - 10_000)
    return before, raw(frames, _BEGIN_US)
