"""Network headers, without what is around and above them; `test_decode.py` has the whole."""

from __future__ import annotations

import numpy as np
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP

from agents.sensor.flows.header_columns import HeaderColumns


def columns(*packets: bytes) -> HeaderColumns:
    lengths = np.array([len(packet) for packet in packets], np.int64)
    data = np.frombuffer(b"".join((*packets, bytes(128))), np.uint8)
    return HeaderColumns(data, np.cumsum(lengths) - lengths, lengths, lengths)


def test_each_network_protocol_fills_the_rows_it_is_given() -> None:
    made = columns(
        bytes(ARP(op=2, psrc="192.0.2.7", pdst="192.0.2.8")),
        bytes(IP(src="192.0.2.1", dst="192.0.2.2") / UDP()),
        bytes(IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP()),
    )
    for number, read in enumerate((made._arp, made._ipv4, made._ipv6)):
        read(np.array([number]))
    assert made.alive.all()
    assert made.version.tolist() == [4, 4, 6]
    assert made.protocol.tolist() == [254, 17, 17]
    assert made.src[:, -1].tolist() == [7, 1, 1]
    assert made.dst[:, -1].tolist() == [8, 2, 2]


def test_what_is_wrong_is_counted_and_left_out() -> None:
    good = bytes(IP() / UDP())
    made = columns(good, b"\x65" + good[1:], good[:12])
    made._ipv4(np.arange(3))
    assert made.alive.tolist() == [True, False, False]
    assert dict(made.malformed) == {"bad-ip-version": 1, "truncated-ip": 1}
