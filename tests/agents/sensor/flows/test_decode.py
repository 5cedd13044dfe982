"""Header columns against scapy's dissection of the same frames, and malformed packets."""

from __future__ import annotations

from ipaddress import ip_address

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.l2 import ARP, GRE, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether, Loopback
from scapy.packet import Packet, Raw

from agents.sensor.flows.decode import decode
from agents.sensor.flows.packets import Packets
from datasets.captures.pcap import RawPackets

Row = tuple[str, str, int, int, int, int, int, int]
"""(source, destination, ports, protocol, IP version, flags, payload bytes)."""


def raw_packets(frames: list[bytes], link_type: int = 1, cut: int = 1 << 20) -> RawPackets:
    lengths = np.array([min(len(f), cut) for f in frames], np.int64)
    frames = [f[:cut] for f in frames]
    return RawPackets(
        np.frombuffer(b"".join(frames), np.uint8),
        np.cumsum(lengths) - lengths,
        lengths,
        np.array([len(f) for f in frames], np.int64),
        np.arange(len(frames), dtype=np.int64),
        link_type,
    )


def table(packets: Packets) -> list[Row]:
    def text(row: np.ndarray) -> str:
        address = ip_address(row.tobytes())
        return str(getattr(address, "ipv4_mapped", None) or address)

    return [
        (
            text(packets.src[i]), text(packets.dst[i]), int(packets.src_port[i]),
            int(packets.dst_port[i]), int(packets.protocol[i]), int(packets.ip_version[i]),
            int(packets.flags[i]), int(packets.payload_bytes[i]),
        )
        for i in range(len(packets))
    ]  # fmt: skip


def by_scapy(frame: bytes, layer: type[Packet]) -> Row:
    """The same columns, read off scapy's dissection."""
    packet = layer(frame)
    if ARP in packet:
        arp = packet[ARP]
        return (arp.psrc, arp.pdst, arp.op, 0, 254, 4, 0, 0)
    ip = packet[IP] if IP in packet else packet[IPv6]
    version = 4 if IP in packet else 6
    if TCP in packet:
        tcp = packet[TCP]
        return (
            ip.src, ip.dst, tcp.sport, tcp.dport, 6, version, int(tcp.flags) & 255,
            len(tcp.payload),
        )  # fmt: skip
    if UDP in packet:
        return (ip.src, ip.dst, packet[UDP].sport, packet[UDP].dport, 17, version, 0,
                len(packet[UDP].payload))  # fmt: skip
    if ICMP in packet:
        icmp = packet[ICMP]
        return (ip.src, ip.dst, icmp.type, icmp.code, 1, 4, 0, len(icmp.payload))
    if ICMPv6EchoRequest in packet:
        echo = packet[ICMPv6EchoRequest]
        return (ip.src, ip.dst, echo.type, echo.code, 58, 6, 0, len(echo.data))
    assert version == 4
    return (ip.src, ip.dst, 0, 0, ip.proto, 4, 0, len(ip.payload))


# Addresses given: scapy would look them up on the network.
ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4 = IP(src="192.0.2.1", dst="198.51.100.2")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
NETWORKS = [
    V4,
    IP(src="10.0.0.1", dst="10.0.0.2", options=[IPOption_NOP()] * 8),
    V6,
    V6 / IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(12))]),
    V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(addresses=["::1"]),
]
TRANSPORTS = [
    TCP(sport=1, dport=65535, flags="S"),
    TCP(sport=80, dport=1024, flags="FPUCE", options=[("MSS", 1460), ("NOP", None)]) / b"payload",
    UDP(sport=53, dport=4444) / bytes(100),
]
LINKS: list[tuple[Packet, int]] = [
    (ETHER, 1),
    (ETHER / Dot1Q(vlan=7), 1),
    (ETHER / Dot1AD(vlan=7) / Dot1Q(vlan=8), 1),
    (CookedLinux(), 113),
    (CookedLinuxV2(), 276),
    (Loopback(), 0),
]


@pytest.mark.parametrize(("link", "link_type"), LINKS)
def test_columns_equal_scapys(link: Packet, link_type: int) -> None:
    stacks = [link / network / transport for network in NETWORKS for transport in TRANSPORTS]
    stacks += [link / V4 / ICMP(type=3, code=3) / bytes(28), link / V4 / GRE() / bytes(5)]
    stacks += [link / V6 / ICMPv6EchoRequest(data=b"ping")]
    if link_type not in (0,):
        stacks += [link / ARP(op=2, psrc="192.0.2.7", pdst="192.0.2.8")]
    frames = [bytes(s) for s in stacks]
    packets = decode(raw_packets(frames, link_type))
    assert not packets.malformed
    assert table(packets) == [by_scapy(f, type(link)) for f in frames]


@pytest.mark.parametrize("link_type", [101, 12, 228, 229])
def test_raw_ip(link_type: int) -> None:
    frames = [bytes(V4 / TRANSPORTS[0]), bytes(V6 / TRANSPORTS[2])]
    packets = decode(raw_packets(frames, link_type))
    assert table(packets) == [by_scapy(frames[0], IP), by_scapy(frames[1], IPv6)]


def test_bare_ack_padded_by_ethernet_has_no_payload() -> None:
    frame = bytes(ETHER / V4 / TCP(flags="A")).ljust(60, b"\0")
    assert decode(raw_packets([frame])).payload_bytes.tolist() == [0]


def test_payload_is_found_in_the_data() -> None:
    packets = decode(raw_packets([bytes(ETHER / net / TRANSPORTS[1]) for net in NETWORKS]))
    for i in range(len(packets)):
        start = packets.payload_offset[i]
        assert packets.data[start : start + packets.payload_length[i]].tobytes() == b"payload"


def test_payload_length_is_by_header_when_less_was_captured() -> None:
    packets = decode(raw_packets([bytes(ETHER / V4 / UDP() / bytes(500))], cut=100))
    assert packets.payload_bytes.tolist() == [500]
    assert packets.payload_length.tolist() == [100 - 42]


def test_offloaded_packet_without_ip_length_takes_the_frames() -> None:
    frame = bytearray(bytes(ETHER / V4 / TCP() / bytes(1000)))
    frame[16:18] = b"\0\0"
    assert decode(raw_packets([bytes(frame)])).payload_bytes.tolist() == [1000]


def test_fragments_keep_ports_only_in_the_first() -> None:
    datagram = bytes(UDP(sport=5, dport=6, len=40) / bytes(32))
    frames = [
        bytes(ETHER / IP(flags="MF", proto=17) / Raw(datagram[:24])),
        bytes(ETHER / IP(frag=3, proto=17) / Raw(datagram[24:])),
        bytes(ETHER / V6 / IPv6ExtHdrFragment(m=1, nh=17, offset=0) / Raw(datagram[:24])),
        bytes(ETHER / V6 / IPv6ExtHdrFragment(nh=17, offset=3) / Raw(datagram[24:])),
    ]
    packets = decode(raw_packets(frames))
    assert packets.src_port.tolist() == [5, 0, 5, 0]
    assert packets.protocol.tolist() == [17] * 4
    assert packets.fragment.all()
    assert not packets.wrong_fragment.any()


@pytest.mark.parametrize(
    "stack",
    [
        IP(frag=8189, proto=1) / Raw(bytes(100)),  # beyond 65,535 bytes: ping of death
        IP(flags="MF", proto=17) / Raw(bytes(9)),  # not a multiple of eight
        IP(flags="MF", proto=6) / Raw(bytes(8)),  # too small for the TCP header
        IP(frag=1, proto=6) / Raw(bytes(16)),  # would overwrite TCP flags
        V6 / IPv6ExtHdrFragment(m=1, nh=6) / Raw(bytes(8)),
    ],
)
def test_fragments_no_honest_stack_sends_are_marked(stack: Packet) -> None:
    packets = decode(raw_packets([bytes(ETHER / stack)]))
    assert packets.wrong_fragment.tolist() == [True]


PROBE = V4 / TCP()


def damaged(at: int, value: int, stack: Packet = PROBE) -> bytes:
    frame = bytearray(bytes(ETHER / stack))
    frame[at] = value
    return bytes(frame)


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (bytes(ETHER)[:10], "truncated-link"),
        (bytes(ETHER / Dot1Q())[:15], "truncated-link"),
        (bytes(ETHER / V4 / TCP())[:20], "truncated-ip"),
        (damaged(14, 0x55), "bad-ip-version"),
        (damaged(14, 0x44), "bad-ip-header-length"),
        (damaged(14, 0x4F), "bad-ip-length"),
        (damaged(17, 10), "bad-ip-length"),
        (damaged(17, 30), "truncated-transport"),
        (bytes(ETHER / V4 / TCP())[:40], "truncated-transport"),
        (damaged(46, 0x10), "bad-tcp-offset"),
        (damaged(46, 0xF0), "bad-tcp-offset"),
        (damaged(39, 3, V4 / UDP()), "bad-udp-length"),
        (damaged(39, 200, V4 / UDP()), "bad-udp-length"),
        (bytes(ETHER / V6)[:30], "truncated-ip"),
        (bytes(ETHER / V6 / IPv6ExtHdrHopByHop())[:56], "truncated-ip"),
        (bytes(ETHER / ARP())[:30], "truncated-arp"),
        (damaged(14, 0x40, V6 / TCP()), "bad-ip-version"),
        (damaged(55, 200, V6 / IPv6ExtHdrHopByHop() / UDP()), "bad-ip-length"),
    ],
)
def test_malformed_packets_are_counted_by_kind(frame: bytes, kind: str) -> None:
    good = bytes(ETHER / V4 / UDP())
    packets = decode(raw_packets([good, frame, good]))
    assert dict(packets.malformed) == {kind: 1}
    assert packets.index.tolist() == [0, 2]
    assert packets.total == 3


def test_endless_extension_headers_are_malformed() -> None:
    stack: Packet = V6
    for _ in range(9):
        stack = stack / IPv6ExtHdrDestOpt()
    packets = decode(raw_packets([bytes(ETHER / stack / UDP())]))
    assert dict(packets.malformed) == {"extension-chain": 1}


def test_other_network_protocols_are_no_fault() -> None:
    frames = [bytes(12) + b"\x00\x26" + bytes(40), bytes(12) + b"\x88\xcc" + bytes(40)]
    packets = decode(raw_packets(frames))
    assert (len(packets), packets.other, packets.malformed.total()) == (0, 2, 0)


def test_unknown_link_type_is_counted() -> None:
    assert dict(decode(raw_packets([b"abc"], 9999)).unread) == {"link-type-9999": 1}
    assert dict(decode(raw_packets([b"abc"] * 2, 189)).unread) == {"link-type-USB_LINUX": 2}


def test_empty_block() -> None:
    assert len(decode(raw_packets([]))) == 0


SEEDS = [bytes(link / net / TRANSPORTS[1]) for link, _ in LINKS[:3] for net in NETWORKS]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=120),
            st.tuples(
                st.sampled_from(SEEDS), st.integers(12, 90), st.binary(max_size=6),
                st.integers(0, 140),
            ).map(lambda t: (t[0][: t[1]] + t[2] + t[0][t[1] + len(t[2]) :])[: t[3]]),
        ),
        max_size=30,
    ),
    st.sampled_from([0, 1, 9, 12, 101, 104, 105, 108, 113, 127, 192, 239, 276, 7]),
)  # fmt: skip
def test_hostile_frames_never_raise_and_are_all_accounted_for(
    frames: list[bytes], link_type: int
) -> None:
    raw = raw_packets(frames, link_type)
    packets = decode(raw)
    left_out = packets.malformed.total() + packets.unread.total()
    assert len(packets) + packets.other + left_out == len(frames)
    ends = (raw.offsets + raw.lengths)[packets.index]
    begins = packets.payload_offset
    some = packets.payload_length > 0
    assert (begins[some] + packets.payload_length[some] <= ends[some]).all()
    assert (begins[some] >= raw.offsets[packets.index][some]).all()
    assert (packets.payload_bytes >= packets.payload_length).all()
    # One at a time or together makes no difference.
    single = [table(decode(raw_packets([f], link_type))) for f in frames]
    assert [row for rows in single for row in rows] == table(packets)


@pytest.mark.parametrize("mapped", ["src", "dst"])
def test_an_ipv4_address_in_an_ipv6_header_accuses_nobody(mapped: str) -> None:
    frame = bytes(IPv6(**{mapped: "::ffff:192.0.2.7"}) / TRANSPORTS[0])
    packets = decode(raw_packets([frame, bytes(V6 / TRANSPORTS[0])], 101))
    assert len(packets) == 1
    assert packets.malformed == {"mapped-address": 1}
