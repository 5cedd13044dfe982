"""Packets in wrappers that scapy stacks: the columns are those of the packet inside."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.contrib.geneve import GENEVE
from scapy.contrib.mpls import MPLS
from scapy.layers.dot11 import Dot11, Dot11QoS, RadioTap
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, GRE, LLC, SNAP, Dot1AD, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from agents.sensor.flows.decode import decode
from agents.sensor.flows.packets import MAX_TUNNELS, Packets
from agents.sensor.flows.peeling import MAX_LAYERS
from tests.factories import make_packets

INNER = [
    bytes(
        IP(src="192.0.2.66", dst="198.51.100.18") / TCP(sport=4000, dport=80, flags="PA") / b"GET"
    ),
    bytes(IP(src="192.0.2.66", dst="198.51.100.18") / UDP(sport=53, dport=4444) / bytes(9)),
    bytes(IPv6(src="2001:db8::66", dst="2001:db8::18") / TCP(sport=4000, dport=22, flags="S")),
]
COLUMNS = (
    "src", "dst", "src_port", "dst_port", "protocol", "ip_version", "flags", "payload_bytes",
    "payload_length", "sequence", "acknowledgement", "fragment", "urgent",
)  # fmt: skip
OUTER4, OUTER6 = (
    IP(src="203.0.113.1", dst="203.0.113.2"),
    IPv6(src="2001:db8:f::1", dst="2001:db8:f::2"),
)


def ether(kind: int) -> bytes:
    return bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=kind))


def version(packet: bytes) -> int:
    return packet[0] >> 4


def kind_of(packet: bytes) -> int:
    return 0x0800 if version(packet) == 4 else 0x86DD


def framed(packet: bytes) -> bytes:
    """In plain Ethernet."""
    return ether(kind_of(packet)) + packet


def ppp(packet: bytes) -> bytes:
    return bytes(PPP(proto=0x21 if version(packet) == 4 else 0x57)) + packet


def snapped(packet: bytes) -> bytes:
    return bytes(LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=kind_of(packet))) + packet


# From an IP packet to an IP packet: tunnels.
TUNNELS: dict[str, Callable[[bytes], bytes]] = {}
for number, outer in (("4", OUTER4), ("6", OUTER6)):

    def over(outer: IP | IPv6 = outer, **fields: int) -> IP | IPv6:
        copy = outer.copy()
        for name, value in fields.items():
            setattr(copy, name if isinstance(copy, IP) else {"proto": "nh"}[name], value)
        return copy

    TUNNELS |= {
        f"ip-in-{number}": lambda p, o=over: bytes(o(proto=4 if version(p) == 4 else 41) / Raw(p)),
        f"gre-{number}": lambda p, o=over: bytes(o(proto=47) / GRE(proto=kind_of(p)) / Raw(p)),
        f"gre-key-{number}": lambda p, o=over: bytes(
            o(proto=47)
            / GRE(proto=0x6558, key_present=1, key=7, seqnum_present=1, chksum_present=1)
            / Raw(framed(p))
        ),
        f"pptp-{number}": lambda p, o=over: bytes(
            o(proto=47)
            / Raw(struct.pack("!HHHHII", 0x3081, 0x880B, len(p) + 4, 1, 1, 1) + b"\xff\3" + ppp(p))
        ),
        f"erspan-1-{number}": lambda p, o=over: bytes(
            o(proto=47) / GRE(proto=0x88BE) / Raw(framed(p))
        ),
        f"erspan-2-{number}": lambda p, o=over: bytes(
            o(proto=47)
            / GRE(proto=0x88BE, seqnum_present=1)
            / Raw(struct.pack("!HHI", 0x1000, 1, 0) + framed(p))
        ),
        f"erspan-3-{number}": lambda p, o=over: bytes(
            o(proto=47)
            / GRE(proto=0x22EB, seqnum_present=1)
            / Raw(struct.pack("!HHIHH8x", 0x2000, 1, 0, 0, 1) + framed(p))
        ),
        f"vxlan-{number}": lambda p, o=over: bytes(
            o(proto=17) / UDP(sport=5000, dport=4789) / VXLAN(flags=8, vni=9) / Raw(framed(p))
        ),
        f"vxlan-gpe-{number}": lambda p, o=over: bytes(
            o(proto=17)
            / UDP(sport=5000, dport=4790)
            / VXLAN(vni=9, NextProtocol=3)
            / Raw(framed(p))
        ),
        f"geneve-{number}": lambda p, o=over: bytes(
            o(proto=17) / UDP(sport=5000, dport=6081) / GENEVE(vni=9, proto=0x6558) / Raw(framed(p))
        ),
        f"mpls-in-{number}": lambda p, o=over: bytes(o(proto=137) / MPLS(label=16, s=1) / Raw(p)),
    }

# From an IP packet to a frame: (link type, frame).
LINKS: dict[str, Callable[[bytes], tuple[int, bytes]]] = {
    "ethernet": lambda p: (1, framed(p)),
    "vlan": lambda p: (1, ether(0x8100) + bytes(Dot1Q(vlan=5, type=kind_of(p))) + p),
    "qinq": lambda p: (
        1,
        ether(0x88A8)
        + bytes(Dot1AD(vlan=5, type=0x8100))
        + bytes(Dot1Q(vlan=6, type=kind_of(p)))
        + p,
    ),
    "pppoe": lambda p: (1, ether(0x8864) + bytes(PPPoE(sessionid=7, len=len(p) + 2)) + ppp(p)),
    "pppoe-in-vlan": lambda p: (
        1,
        ether(0x8100) + bytes(Dot1Q(vlan=5, type=0x8864)) + bytes(PPPoE(sessionid=7)) + ppp(p),
    ),
    "mpls": lambda p: (
        1,
        ether(0x8847) + bytes(MPLS(label=16, s=0)) + bytes(MPLS(label=17, s=1)) + p,
    ),
    "pseudowire": lambda p: (1, ether(0x8847) + bytes(MPLS(label=16, s=1)) + bytes(4) + framed(p)),
    "pseudowire-bare": lambda p: (1, ether(0x8847) + bytes(MPLS(label=16, s=1)) + framed(p)),
    "snap": lambda p: (1, ether(min(8 + len(p), 1500)) + snapped(p)),
    "backbone": lambda p: (1, ether(0x88E7) + bytes(4) + framed(p)),
    "ppp": lambda p: (9, b"\xff\3" + ppp(p)),
    "ppp-bare": lambda p: (9, ppp(p)),
    "ppp-short": lambda p: (50, bytes([0x21 if version(p) == 4 else 0x57]) + p),
    "cisco-hdlc": lambda p: (104, b"\x0f\0" + struct.pack("!H", kind_of(p)) + p),
    "raw": lambda p: (101, p),
    "raw-own": lambda p: (228 if version(p) == 4 else 229, p),
    "openbsd": lambda p: (108, struct.pack(">I", 2 if version(p) == 4 else 24) + p),
    "nflog": lambda p: (239, nflog(p, "<")),
    "nflog-big-endian": lambda p: (239, nflog(p, ">")),
    "wifi": lambda p: (105, bytes(Dot11(type=2, FCfield=1)) + snapped(p)),
    "radiotap": lambda p: (127, bytes(RadioTap()) + bytes(Dot11(type=2, FCfield=2)) + snapped(p)),
    "radiotap-quality": lambda p: (
        127,
        bytes(RadioTap(present="TSFT+Flags", mac_timestamp=5, Flags="pad"))
        + bytes(Dot11(type=2, subtype=8, FCfield=2) / Dot11QoS())
        + bytes(2)
        + snapped(p),
    ),
    "per-packet": lambda p: (192, struct.pack("<BBHI", 0, 0, 8, 1) + framed(p)),
}


def nflog(packet: bytes, order: str) -> bytes:
    family = 2 if version(packet) == 4 else 10
    prefix = struct.pack(order + "HH", 9, 10) + b"drop\0" + bytes(3)
    return (
        struct.pack("!BBH", family, 0, 5)
        + prefix
        + struct.pack(order + "HH", 4 + len(packet), 9)
        + packet
        + bytes(-len(packet) % 4)
    )


def plain(packet: bytes) -> Packets:
    return decode(make_packets(packet, link_type=101))


def same(packets: Packets, packet: bytes) -> None:
    expected = plain(packet)
    assert len(packets) == 1, (packets.malformed, packets.unread, packets.other)
    for name in COLUMNS:
        assert np.array_equal(getattr(packets, name), getattr(expected, name)), name
    begin, size = int(packets.payload_offset[0]), int(packets.payload_length[0])
    old = int(expected.payload_offset[0])
    assert packets.data[begin : begin + size].tobytes() == packet[old : old + size]


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("link", LINKS)
def test_what_is_in_a_link_layer_is_read(link: str, inner: bytes) -> None:
    link_type, frame = LINKS[link](inner)
    packets = decode(make_packets(frame, link_type=link_type))
    same(packets, inner)
    assert packets.outer is None


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("tunnel", TUNNELS)
def test_what_is_in_a_tunnel_is_read_and_its_ends_are_kept(tunnel: str, inner: bytes) -> None:
    packets = decode(make_packets(framed(TUNNELS[tunnel](inner))))
    same(packets, inner)
    assert packets.outer is not None
    four = b"\0" * 10 + b"\xff\xff" + bytes([203, 0, 113])
    begin = four if tunnel.endswith("4") else bytes.fromhex("20010db8000f")
    assert packets.outer[0, 0].tobytes().startswith(begin)
    assert not packets.outer[0, 1:].any()


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(INNER),
    st.lists(st.sampled_from(sorted(TUNNELS)), max_size=MAX_TUNNELS),
    st.sampled_from(sorted(LINKS)),
)
def test_wrappers_stack(inner: bytes, tunnels: list[str], link: str) -> None:
    wrapped = inner
    for tunnel in tunnels:
        wrapped = TUNNELS[tunnel](wrapped)
    link_type, frame = LINKS[link](wrapped)
    packets = decode(make_packets(frame, link_type=link_type))
    same(packets, inner)
    depth = 0 if packets.outer is None else int(packets.outer[0].any(axis=1).sum())
    assert depth == len(tunnels)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(INNER),
    st.lists(st.sampled_from(sorted(TUNNELS)), max_size=MAX_TUNNELS),
    st.sampled_from(sorted(LINKS)),
    st.integers(0, 300),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=4),
)
def test_broken_wrappers_are_all_accounted_for(
    inner: bytes, tunnels: list[str], link: str, cut: int, changes: list[tuple[int, int]]
) -> None:
    for tunnel in tunnels:
        inner = TUNNELS[tunnel](inner)
    link_type, frame = LINKS[link](inner)
    broken = bytearray(frame)
    for at, value in changes:
        broken[at % len(broken)] = value
    raw = make_packets(bytes(broken[: max(len(broken) - cut, 0)]), frame, link_type=link_type)
    packets = decode(raw)
    left_out = packets.other + packets.malformed.total() + packets.unread.total()
    assert len(packets) + left_out == 2
    ends = (raw.offsets + raw.lengths)[packets.index]
    some = packets.payload_length > 0
    assert (packets.payload_offset[some] + packets.payload_length[some] <= ends[some]).all()
    assert (packets.payload_offset[some] >= raw.offsets[packets.index][some]).all()


def test_a_tunnel_more_than_are_opened_stays_what_it_is() -> None:
    wrapped = INNER[0]
    for _ in range(MAX_TUNNELS + 1):
        wrapped = TUNNELS["gre-4"](wrapped)
    packets = decode(make_packets(framed(wrapped)))
    assert packets.protocol.tolist() == [47]


@pytest.mark.parametrize("labels", [MAX_LAYERS, MAX_LAYERS + 40])
def test_endless_wrappers_end(labels: int) -> None:
    frame = ether(0x8847) + bytes(MPLS(label=16, s=0)) * labels + INNER[0]
    assert dict(decode(make_packets(frame)).malformed) == {"wrapper-chain": 1}


@pytest.mark.parametrize(
    ("frame", "link_type", "name"),
    [
        (ether(0x88E5) + bytes(60), 1, "EtherType-0x88e5"),
        (b"\xff\3\0\xfd" + bytes(60), 9, "PPP-0x00fd"),
        (bytes(Dot11(type=2, FCfield=0x41)) + bytes(60), 105, "802.11-encrypted"),
        (bytes(60), 189, "link-type-USB_LINUX"),
        (struct.pack("!BBH", 7, 0, 5) + bytes(60), 239, "NFLOG-family-7"),
        (ether(60) + b"\xaa\xaa\3\0\x80\xc2\0\7" + bytes(60), 1, "SNAP-0x0080c2"),
    ],
)
def test_a_layer_that_cannot_be_read_is_named(frame: bytes, link_type: int, name: str) -> None:
    packets = decode(make_packets(frame, frame, link_type=link_type))
    assert (len(packets), dict(packets.unread)) == (0, {name: 2})


def test_names_that_senders_choose_do_not_fill_memory() -> None:
    frames = [ether(0xA000 + n) + bytes(50) for n in range(500)]
    packets = decode(make_packets(*frames))
    assert packets.unread.total() == 500
    assert len(packets.unread) == 17


@pytest.mark.parametrize(
    ("packet", "unopened"),
    [
        (bytes(OUTER4 / UDP(sport=5, dport=4789) / bytes(80)), {}),  # no VXLAN
        (bytes(OUTER4 / UDP(sport=5, dport=4789)), {}),
        (bytes(OUTER4 / GRE(proto=0x1234) / bytes(80)), {"EtherType-0x1234": 1}),
        (TUNNELS["gre-4"](INNER[0])[:50], {}),
        (
            bytes(OUTER4.copy() / GRE(proto=0x88BE, seqnum_present=1) / bytes(80)),
            {"ERSPAN-version-0": 1},
        ),
    ],
)
def test_what_cannot_be_opened_stays_the_tunnels_packet(
    packet: bytes, unopened: dict[str, int]
) -> None:
    packets = decode(make_packets(framed(packet)))
    assert packets.src[0, 12:].tobytes() == bytes([203, 0, 113, 1])
    assert dict(packets.unopened) == unopened
    assert packets.total == len(packets) == 1


def test_arp_in_a_tunnel_is_arp() -> None:
    arp = bytes(
        Ether(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff") / ARP(op=2, psrc="192.0.2.7")
    )
    frame = framed(bytes(OUTER4 / UDP(sport=5, dport=4789) / VXLAN(flags=8) / Raw(arp)))
    packets = decode(make_packets(frame))
    assert packets.protocol.tolist() == [254]
    assert packets.outer is not None
