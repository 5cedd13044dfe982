"""Fragments as frames, through the decoder."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from agents.sensor import fragment_watch
from agents.sensor.flows.decode import decode
from agents.sensor.fragment_watch import DATAGRAMS, ONE, SEVERAL, FragmentWatch
from ontology.records import Alert
from tests.factories import make_packets

LINK = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
SOURCE, TARGET, SECOND = "192.0.2.66", "192.0.2.80", 1_000_000


def teardrop(number: int, first: bytes = b"") -> list[bytes]:
    """A datagram whose second fragment begins within the first (Route|Daemon9's of 1997)."""
    head = IP(src=SOURCE, dst=TARGET, id=number)
    whole = first or bytes(UDP(sport=1, dport=2, len=36, chksum=1) / Raw(bytes(28)))
    proto = 6 if first else 17
    one = head.copy()
    one.flags, one.proto = "MF", proto
    two = head.copy()
    two.frag, two.proto = 3, proto
    return [bytes(LINK / one / Raw(whole)), bytes(LINK / two / Raw(bytes(4)))]


def teardrop6(number: int) -> list[bytes]:
    """The same of IPv6."""
    whole = bytes(UDP(sport=1, dport=2, len=36, chksum=1) / Raw(bytes(32)))
    one, two = (IPv6ExtHdrFragment(nh=17, id=number) for _ in range(2))
    one.m, two.offset = 1, 3
    head = IPv6(src="2001:db8::66", dst="2001:db8::80")
    return [bytes(LINK / head / one / Raw(whole)), bytes(LINK / head / two / Raw(bytes(8)))]


def watch(frames: list[bytes], *, pause: float = 0.01, block: int = 1000) -> list[Alert]:
    core, found = FragmentWatch("sensor"), []
    for begin in range(0, len(frames), block):
        part = frames[begin : begin + block]
        times = [round((begin + i) * pause * SECOND) for i in range(len(part))]
        found += core.on_packets(decode(make_packets(*part, times_us=times)))
    return found


@pytest.mark.parametrize("block", [1000, 1])
def test_overlapping_datagrams_are_an_attack_that_names_nobody(block: int) -> None:
    frames = [frame for number in range(1, DATAGRAMS + 1) for frame in teardrop(number)]
    found = watch(frames, block=block)
    assert (found[0].confidence, found[-1].confidence) == (ONE, SEVERAL)
    assert {a.classification for a in found} == {"FragmentAttack"}
    assert (found[-1].source, str(found[-1].target)) == (None, TARGET)
    assert not found[-1].verified_source


def test_both_versions_of_the_protocol_at_once() -> None:
    frames = [f for n in range(DATAGRAMS) for f in (*teardrop(n), *teardrop6(n))]
    found = watch(frames)
    assert [str(a.target) for a in found] == [TARGET, "2001:db8::80"] * DATAGRAMS
    assert {a.confidence for a in found[-2:]} == {SEVERAL}


def test_whole_datagrams_of_ipv6_with_a_fragment_header_are_none() -> None:
    head = IPv6(src="2001:db8::66", dst="2001:db8::80") / IPv6ExtHdrFragment(nh=17, id=7)
    frames = [bytes(LINK / head / UDP(sport=1, dport=2) / Raw(bytes(n))) for n in (8, 16, 24)]
    assert watch(frames) == []


def test_overlaps_of_a_tcp_segment_with_options() -> None:
    segment = bytes(TCP(sport=1, dport=80, options=[("Timestamp", (1, 2))]) / Raw(bytes(8)))
    assert watch(teardrop(7, segment[:40].ljust(40, b"\0")))


@pytest.mark.parametrize("size", [64, 600, 1480])
def test_honest_fragments_copies_and_disorder_are_none(size: int) -> None:
    frames = []
    for number in range(3):
        packet = IP(src=SOURCE, dst=TARGET, id=number) / ICMP(type=8) / Raw(bytes(3000))
        frames += [bytes(LINK / part) for part in fragment(packet, fragsize=size)]
    assert watch(frames, pause=0.0001) == []
    assert watch(frames[::-1], pause=0.0001) == []
    assert watch([frame for frame in frames for _ in range(2)], pause=0.0001) == []
    long = IPv6(src="2001:db8::66", dst="2001:db8::80") / IPv6ExtHdrFragment(nh=17, id=9)
    long = long / UDP(sport=1, dport=2) / Raw(bytes(3000))
    frames = [bytes(LINK / part) for part in fragment6(long, max(size, 128))]
    assert len(frames) > 2
    assert watch(frames, pause=0.0001) == watch(frames[::-1], pause=0.0001) == []


def test_a_number_that_comes_again_later_is_another_datagram() -> None:
    one, two = teardrop(1)
    assert watch([one, two] * 5, pause=3.0) == []


def test_datagrams_are_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fragment_watch, "MAX_DATAGRAMS", 10)
    core = FragmentWatch("sensor")
    core.on_packets(decode(make_packets(*[teardrop(number)[0] for number in range(1, 31)])))
    assert core.evicted == 20


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 8191), st.sampled_from([1, 6, 17, 99]), st.binary(max_size=60))
def test_no_bytes_make_it_fail(offset: int, proto: int, data: bytes) -> None:
    head = IP(src=SOURCE, dst=TARGET, frag=offset, flags="MF", proto=proto)
    frame = bytes(LINK / head / Raw(data))
    FragmentWatch("sensor").on_packets(decode(make_packets(frame, frame, *teardrop(1))))
