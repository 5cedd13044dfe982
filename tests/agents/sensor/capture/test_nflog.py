"""Packets that netfilter logs: a real rule in a namespace, and datagrams as bytes."""

from __future__ import annotations

import ctypes
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from ipaddress import ip_address

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.sensor.capture.nflog import Gathered, NflogCapture
from agents.sensor.flows.decode import decode
from datasets.captures.pcap import CaptureError

Namespace = Callable[[Callable[[], None]], None]


def rule(*rules: str) -> None:
    commands = [
        "add table inet t",
        "add chain inet t c { type filter hook output priority 0; }",
        *(f"add rule inet t c {text}" for text in rules),
    ]
    subprocess.run(["nft", "; ".join(commands)], check=True, capture_output=True)


def send(destination: str, port: int, count: int = 1, size: int = 8) -> None:
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        for _ in range(count):
            try:
                sock.sendto(bytes(size), (destination, port))
            except PermissionError:
                pass  # the rule dropped it


def gather(capture: NflogCapture, wanted: int) -> list[tuple[str, int, int]]:
    """(destination, port, payload) of the packets; waits at most 5 s for ``wanted`` of them."""
    found: list[tuple[str, int, int]] = []
    deadline = time.monotonic() + 5
    while len(found) < wanted and time.monotonic() < deadline:
        packets = decode(capture.read(0.1))
        assert not packets.malformed
        found += [
            (str(ip_address(packets.dst[n].tobytes())), port, size)
            for n, (port, size) in enumerate(
                zip(packets.dst_port.tolist(), packets.payload_bytes.tolist(), strict=True)
            )
        ]
    return found


@pytest.mark.root
def test_what_a_rule_logs_is_seen_also_what_it_drops(namespace: Namespace) -> None:
    def body() -> None:
        with NflogCapture(5) as capture:
            rule("udp dport 4001 log group 5 drop", "udp dport 4003 log group 6")
            before = time.time_ns() // 1000
            send("127.0.0.1", 4001, 3)
            send("127.0.0.1", 4002, 2)
            send("127.0.0.1", 4003, 2)
            send("::1", 4001, 1, size=1000)
            found = gather(capture, 4)
            assert found[:3] == [(str(ip_address("::ffff:127.0.0.1")), 4001, 8)] * 3
            assert found[3:] == [("::1", 4001, 1000)]
            send("127.0.0.1", 4001)
            raw = capture.read(5)
            assert before <= raw.times_us[0] <= time.time_ns() // 1000
            assert capture.dropped() == 0

    namespace(body)


@pytest.mark.root
def test_packets_lost_to_a_full_buffer_are_counted(namespace: Namespace) -> None:
    def body() -> None:
        with NflogCapture(5) as capture:
            capture._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            rule("udp dport 4001 log group 5")
            send("127.0.0.1", 4001, 3000, size=1400)
            seen = 0
            for _ in range(20):
                seen += len(capture.read(0.1))
            send("127.0.0.1", 4001)
            for _ in range(5):
                seen += len(capture.read(0.1))
            assert capture.dropped() > 0
            assert seen + capture.dropped() == 3001

    namespace(body)


@pytest.mark.root
def test_a_group_has_one_reader(namespace: Namespace) -> None:
    def body() -> None:
        with (
            NflogCapture(5),
            pytest.raises(CaptureError, match="nflog:5: another program reads this group"),
        ):
            NflogCapture(5)
        NflogCapture(5).close()

    namespace(body)


@pytest.mark.root
def test_missing_permission_says_what_is_needed(namespace: Namespace) -> None:
    def body() -> None:
        header = struct.pack("Ii", 0x20080522, 0)
        assert ctypes.CDLL(None).capset(header, bytes(24)) == 0
        with pytest.raises(CaptureError, match="CAP_NET_ADMIN"):
            NflogCapture(5)

    namespace(body)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(*parts: bytes, kind: int = 0x400) -> bytes:
    body = bytes([2, 0, 0, 5]) + b"".join(parts)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


IP = attribute(1, b"\x08\0\3\0")


def test_gaps_in_the_kernels_numbers_are_losses_also_when_they_wrap() -> None:
    gathered = Gathered()
    for number in (2**32 - 2, 2**32 - 1, 0, 3):
        one = message(IP, attribute(9, b"E"), attribute(12, number.to_bytes(4, "big")))
        gathered.take_in(memoryview(one), 7)
    assert gathered.lost == 2
    raw = gathered.take()
    assert len(raw) == 4 and raw.times_us.tolist() == [7] * 4
    assert raw.frame(0) == bytes(12) + b"\x08\0E"
    assert len(gathered.take()) == 0


def test_arp_of_a_bridge_is_decoded() -> None:
    arp = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + bytes(6) + b"\xc0\0\2\1" + bytes(6)
    gathered = Gathered()
    gathered.take_in(
        memoryview(message(attribute(1, b"\x08\6\0\0"), attribute(9, arp + b"\xc0\0\2\2"))), 1
    )
    packets = decode(gathered.take())
    assert packets.protocol.tolist() == [254]
    assert packets.dst[0, 12:].tolist() == [192, 0, 2, 2]


@given(st.lists(st.binary(max_size=80), max_size=4), st.binary(max_size=200))
def test_any_bytes_are_packets_or_nothing(values: list[bytes], rest: bytes) -> None:
    gathered = Gathered()
    parts = [attribute(kind, value) for kind, value in zip((1, 3, 9, 12), values, strict=False)]
    gathered.take_in(memoryview(message(*parts) + rest), 5)
    gathered.take_in(memoryview(rest), 5)
    raw = gathered.take()
    packets = decode(raw)
    assert packets.total == len(raw)
    assert (raw.times_us >= 0).all() and raw.times_us.dtype == np.int64
