"""What makes two packets one connection: a key that is the same for both directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.sensor.packets import ARP, ICMP, ICMPV6, Packets

# Request and reply are one conversation: both get the request's type (RFC 792, RFC 4443).
_ICMP_PAIR = np.arange(256, dtype=np.uint64)
_ICMP_PAIR[[0, 14, 16, 18]] = (8, 13, 15, 17)
_ICMPV6_PAIR = np.arange(256, dtype=np.uint64)
_ICMPV6_PAIR[[129, 136]] = (128, 135)


def canonical(packets: Packets) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """(5, n) keys equal for both directions, and whether the sender is the greater end."""
    src = np.ascontiguousarray(packets.src.view(">u8").T, np.uint64)
    dst = np.ascontiguousarray(packets.dst.view(">u8").T, np.uint64)
    sport = packets.src_port.astype(np.uint64)
    dport = packets.dst_port.astype(np.uint64)
    protocol = packets.protocol
    odd = np.flatnonzero((protocol == ICMP) | (protocol == ICMPV6) | (protocol == ARP))
    kinds = codes = np.zeros(0, np.uint64)
    if len(odd):
        kinds = np.where(
            protocol[odd] == ICMP,
            _ICMP_PAIR[packets.src_port[odd] & 255],
            np.where(
                protocol[odd] == ICMPV6, _ICMPV6_PAIR[packets.src_port[odd] & 255], np.uint64(0)
            ),
        )
        codes = dport[odd]
        sport[odd] = dport[odd] = 0
    (src_upper, src_lower), (dst_upper, dst_lower) = src, dst
    side = (src_lower > dst_lower) | ((src_lower == dst_lower) & (sport > dport))
    upper = src_upper.any() or dst_upper.any()
    if upper:
        side = (src_upper > dst_upper) | ((src_upper == dst_upper) & side)
    first = np.where(side, dport, sport)
    second = np.where(side, sport, dport)
    if len(odd):
        first[odd], second[odd] = kinds, codes
    keys = np.zeros((5, len(packets)), np.uint64)
    if upper:
        keys[0] = np.where(side, dst_upper, src_upper)
        keys[2] = np.where(side, src_upper, dst_upper)
    keys[1] = np.where(side, dst_lower, src_lower)
    keys[3] = np.where(side, src_lower, dst_lower)
    tail = protocol.astype(np.uint64) << np.uint64(8) | packets.ip_version
    keys[4] = first << np.uint64(48) | second << np.uint64(32) | tail
    return keys, side
