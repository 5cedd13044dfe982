"""Headers found again behind the decoder, against what scapy wrote."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from agents.sensor.flows.decode import decode
from agents.sensor.fragment_headers import Part, parts
from tests.factories import make_packets

LINK = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
SIX = IPv6(src="2001:db8::1", dst="2001:db8::2")


def found(*packets: object) -> list[Part]:
    columns = decode(make_packets(*[bytes(LINK / one) for one in packets]))
    return list(parts(columns, np.flatnonzero(columns.fragment)))


@pytest.mark.parametrize("units", [0, 1, 3, 100])
def test_places_in_the_datagram(units: int) -> None:
    body = UDP(sport=1, dport=2, len=600) / Raw(bytes(16)) if not units else Raw(bytes(24))
    four = IP(src="192.0.2.1", dst="192.0.2.2", id=7, flags="MF", frag=units, proto=17)
    six = SIX / IPv6ExtHdrFragment(nh=17, id=7, m=1, offset=units)
    one, two = found(four / body, six / body)
    assert (one[0], one[2:]) == (0, (units * 8, units * 8 + 24))
    assert (two[0], two[2:]) == (1, (units * 8, units * 8 + 24))
    assert one[1] != two[1]


def test_what_is_not_where_it_mostly_stands_is_left_out() -> None:
    four = IP(src="192.0.2.1", dst="192.0.2.2", flags="MF", options=[IPOption_NOP()] * 4)
    six = SIX / IPv6ExtHdrHopByHop() / IPv6ExtHdrFragment(nh=17, m=1, offset=1)
    assert found(four / Raw(bytes(24)), six / Raw(bytes(24))) == []


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 8191), st.sampled_from([6, 17, 44, 58, 99]))
def test_no_bytes_make_it_fail(data: bytes, offset: int, following: int) -> None:
    for part in found(SIX / IPv6ExtHdrFragment(nh=following, m=1, offset=offset) / Raw(data)):
        assert part[2] == offset * 8
