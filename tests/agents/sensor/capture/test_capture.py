"""Live capture of real packets, in a namespace of its own."""

from __future__ import annotations

import ctypes
import socket
import struct
import subprocess
import time
from collections.abc import Callable

import numpy as np
import pytest

from agents.sensor.capture.capture import Capture, InterfaceMissing, RingMissing
from agents.sensor.flows.decode import decode
from datasets.captures.pcap import CaptureError

Namespace = Callable[[Callable[[], None]], None]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def send(destination: str, port: int, count: int = 1, size: int = 8) -> None:
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        for _ in range(count):
            sock.sendto(bytes(size), (destination, port))


def ports(capture: Capture, wanted: int) -> list[tuple[int, int]]:
    """(IP version, destination port) of UDP packets; waits at most 5 s for ``wanted`` of them."""
    found: list[tuple[int, int]] = []
    deadline = time.monotonic() + 5
    while len(found) < wanted and time.monotonic() < deadline:
        packets = decode(capture.read(0.1))
        udp = np.flatnonzero(packets.protocol == 17)
        found += zip(packets.ip_version[udp].tolist(), packets.dst_port[udp].tolist(), strict=True)
    # One more look: a packet seen twice would show now.
    packets = decode(capture.read(0.1))
    found += [(0, int(port)) for port in packets.dst_port[packets.protocol == 17]]
    return found


@pytest.mark.root
def test_loopback_packets_of_both_families_are_seen_once(namespace: Namespace) -> None:
    def body() -> None:
        with Capture("lo") as capture:
            send("127.0.0.1", 4001, 3)
            send("::1", 4002, 2)
            assert sorted(ports(capture, 5)) == [(4, 4001)] * 3 + [(6, 4002)] * 2
            assert capture.dropped() == 0

    namespace(body)


@pytest.mark.root
def test_times_are_the_wall_clocks(namespace: Namespace) -> None:
    def body() -> None:
        with Capture("lo") as capture:
            before = time.time_ns() // 1000
            send("127.0.0.1", 4001)
            raw = capture.read(5)
            while not len(raw):
                raw = capture.read(5)
            assert before <= raw.times_us[0] <= time.time_ns() // 1000
            assert raw.lengths[0] == raw.wire_lengths[0] == 14 + 20 + 8 + 8

    namespace(body)


@pytest.mark.root
def test_filter_runs_in_the_kernel(namespace: Namespace) -> None:
    def body() -> None:
        with Capture("lo", "udp port 4002 and ip6") as capture:
            send("127.0.0.1", 4002, 5)
            send("::1", 4001, 5)
            send("::1", 4002, 2)
            assert ports(capture, 2) == [(6, 4002)] * 2

    namespace(body)


@pytest.mark.root
def test_both_directions_of_an_ethernet_interface_are_seen(namespace: Namespace) -> None:
    def body() -> None:
        ip("link", "add", "a0", "type", "veth", "peer", "name", "b0")
        ip("addr", "add", "192.0.2.1/24", "dev", "a0")
        ip("link", "set", "a0", "up")
        ip("link", "set", "b0", "up")
        ip("neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "a0")
        with Capture("a0", "udp") as capture:
            send("192.0.2.2", 4003, 2)
            header = struct.pack(">BBHHHBBH", 0x45, 0, 28, 0, 0, 64, 17, 0)
            udp = struct.pack(">HHHH", 9, 4004, 8, 0)
            frame = bytes(12) + b"\x08\0" + header + bytes([192, 0, 2, 2, 192, 0, 2, 1]) + udp
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as other_end:
                other_end.bind(("b0", 0))
                other_end.send(frame)
            assert sorted(ports(capture, 3)) == [(4, 4003), (4, 4003), (4, 4004)]

    namespace(body)


@pytest.mark.root
def test_packets_lost_to_a_full_ring_are_counted(namespace: Namespace) -> None:
    def body() -> None:
        with Capture("lo", "udp", ring_bytes=1 << 19) as capture:
            send("127.0.0.1", 4001, 2000, size=1400)
            dropped = capture.dropped()
            assert dropped > 0
            seen = len([p for p in ports(capture, 2000 - dropped) if p[1] == 4001])
            assert seen + dropped == 2000
            assert capture.dropped() == dropped

    namespace(body)


@pytest.mark.root
def test_every_block_of_the_ring_comes_round(namespace: Namespace) -> None:
    def body() -> None:
        with Capture("lo", "udp", ring_bytes=1 << 20) as capture:
            for _ in range(40):
                send("127.0.0.1", 4001, 100, size=1000)
                assert len(ports(capture, 100)) == 100
            assert capture.dropped() == 0

    namespace(body)


@pytest.mark.root
def test_vanished_interface_is_an_error_and_a_new_one_is_captured_again(
    namespace: Namespace,
) -> None:
    def body() -> None:
        ip("link", "add", "a0", "type", "veth", "peer", "name", "b0")
        ip("link", "set", "a0", "up")
        with Capture("a0") as capture:
            ip("link", "del", "a0")
            with pytest.raises(InterfaceMissing, match="'a0' ended"):
                for _ in range(50):
                    capture.read(0.1)
        with pytest.raises(InterfaceMissing, match="there is no interface 'a0'"):
            Capture("a0")
        ip("link", "add", "a0", "type", "veth", "peer", "name", "b0")
        ip("link", "set", "a0", "up")
        with Capture("a0") as capture:
            capture.read(0)

    namespace(body)


@pytest.mark.root
def test_interface_that_goes_down_and_up_is_captured_on(namespace: Namespace) -> None:
    def body() -> None:
        with Capture("lo", "udp") as capture:
            ip("link", "set", "lo", "down")
            assert len(capture.read(0.05)) == 0
            ip("link", "set", "lo", "up")
            send("127.0.0.1", 4001)
            assert ports(capture, 1) == [(4, 4001)]

    namespace(body)


@pytest.mark.root
def test_bad_filter_is_one_line(namespace: Namespace) -> None:
    def body() -> None:
        with pytest.raises(CaptureError, match=r"capture filter 'udp prt 1': .*syntax error") as e:
            Capture("lo", "udp prt 1")
        assert "\n" not in str(e.value)

    namespace(body)


@pytest.mark.root
def test_missing_permission_says_what_is_needed(namespace: Namespace) -> None:
    def body() -> None:
        # capset(2) counts for the calling thread only: this one has no capabilities from here on.
        header = struct.pack("Ii", 0x20080522, 0)
        assert ctypes.CDLL(None).capset(header, bytes(24)) == 0
        with pytest.raises(CaptureError, match="CAP_NET_RAW"):
            Capture("lo")

    namespace(body)


@pytest.mark.parametrize("name", ["", "no-such-if0", "x" * 300, "a\0b"])
def test_unknown_interface_is_named(name: str) -> None:
    with pytest.raises(InterfaceMissing, match="there is no interface"):
        Capture(name)


@pytest.mark.root
@pytest.mark.parametrize("interface", ["lo", "a0"])
def test_both_directions_of_a_connection_reach_one_of_the_rings(
    namespace: Namespace, interface: str
) -> None:
    def body() -> None:
        ip("link", "add", "a0", "type", "veth", "peer", "name", "b0")
        for name in ("a0", "b0"):
            ip("link", "set", name, "up")
        ip("addr", "add", "192.0.2.1/24", "dev", "a0")
        with (
            Capture(interface, "udp", fanout=77) as one,
            Capture(interface, "udp", fanout=77) as other,
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire,
        ):
            wire.bind((interface, 0))
            for port in range(5000, 5064):
                for src, dst, ports_ in (
                    (b"\xc0\0\2\1", b"\xc0\0\2\2", (port, 53)),
                    (b"\xc0\0\2\2", b"\xc0\0\2\1", (53, port)),
                ):
                    header = struct.pack(">BBHHHBBH", 0x45, 0, 28, 0, 0, 64, 17, 0) + src + dst
                    wire.send(bytes(12) + b"\x08\0" + header + struct.pack(">4H", *ports_, 8, 0))
            found: list[list[int]] = [[], []]
            deadline = time.monotonic() + 5
            while sum(map(len, found)) < 128 and time.monotonic() < deadline:
                for ring, ports_seen in zip((one, other), found, strict=True):
                    packets = decode(ring.read(0.02))
                    assert not packets.malformed
                    greater = np.maximum(packets.src_port, packets.dst_port)
                    ports_seen += greater.tolist()
            assert sorted(found[0] + found[1]) == sorted([*range(5000, 5064)] * 2)
            assert not set(found[0]) & set(found[1])
            assert min(map(len, found)) > 20
            assert one.dropped() == other.dropped() == 0

    namespace(body)


@pytest.mark.root
def test_filter_holds_in_every_ring_of_a_group(namespace: Namespace) -> None:
    def body() -> None:
        with (
            Capture("lo", "udp port 4002", fanout=5) as one,
            Capture("lo", "udp port 4002", fanout=5) as other,
        ):
            for port in (4001, 4002):
                send("127.0.0.1", port, 20)
            seen: list[tuple[int, int]] = []
            deadline = time.monotonic() + 5
            while len(seen) < 20 and time.monotonic() < deadline:
                seen += ports(one, 0) + ports(other, 0)
            assert [port for _, port in seen + ports(one, 0) + ports(other, 0)] == [4002] * 20

    namespace(body)


@pytest.mark.root
def test_group_of_another_interface_is_refused(namespace: Namespace) -> None:
    def body() -> None:
        ip("link", "add", "a0", "type", "veth", "peer", "name", "b0")
        ip("link", "set", "a0", "up")
        with Capture("lo", fanout=5), pytest.raises(CaptureError, match="can't capture on 'a0'"):
            Capture("a0", fanout=5)

    namespace(body)


@pytest.mark.root
def test_kernel_without_a_ring_says_so(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "agents.sensor.capture.capture._PACKET_RX_RING", 199
    )  # the kernel knows no such

    def body() -> None:
        with pytest.raises(RingMissing, match="no capture ring for 'lo' "):
            Capture("lo")

    namespace(body)


@pytest.mark.root
def test_wrapped_traffic_is_read_live(namespace: Namespace) -> None:
    """PPPoE, a VXLAN mirror and MPLS in QinQ, sent into a wire that the ring is on."""
    inner = struct.pack(">BBHHHBBH", 0x45, 0, 28, 0, 0, 64, 17, 0)
    inner += bytes([192, 0, 2, 66, 198, 51, 100, 18])

    def datagram(port: int) -> bytes:
        return inner + struct.pack(">4H", 9, port, 8, 0)

    mirrored = struct.pack(">BxxxI", 8, 9 << 8) + bytes(12) + b"\x08\0" + datagram(4012)
    outer = struct.pack(">BBHHHBBH", 0x45, 0, 28 + len(mirrored), 0, 0, 64, 17, 0)
    outer += bytes([203, 0, 113, 1, 203, 0, 113, 2])
    frames = [
        b"\x88\x64" + struct.pack(">BBHH", 0x11, 0, 7, 30) + b"\0\x21" + datagram(4011),
        b"\x08\0" + outer + struct.pack(">4H", 5000, 4789, 8 + len(mirrored), 0) + mirrored,
        b"\x88\xa8\0\5\x81\0\0\6\x88\x47" + b"\0\1\1\x40" + datagram(4013),
    ]

    def body() -> None:
        ip("link", "add", "a0", "type", "veth", "peer", "name", "b0")
        for name in ("a0", "b0"):
            ip("link", "set", name, "up")
        with Capture("a0") as capture, socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("b0", 0))
            for frame in frames:
                wire.send(bytes(12) + frame)
            found = ports(capture, 3)
            assert {(4, 4011), (4, 4012), (4, 4013)} <= set(found)
            assert not {port for _, port in found} & {4789}

    namespace(body)
