"""What makes two packets one connection: a key that is the same for both directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.packets import ARP, ICMP, ICMPV6, TCP, Ints, Packets

# Request and reply are one conversation: both get the request's type (RFC 792, RFC 4443).
_ICMP_PAIR = np.arange(256, dtype=np.uint16)
_ICMP_PAIR[[0, 14, 16, 18]] = (8, 13, 15, 17)
_ICMPV6_PAIR = np.arange(256, dtype=np.uint16)
_ICMPV6_PAIR[[129, 136]] = (128, 135)
_MAPPED = np.uint64(0xFFFF << 32)


def canonical(packets: Packets) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """(5, n) keys equal for both directions, and whether the sender is the greater end."""
    sport, dport = packets.src_port, packets.dst_port
    protocol = packets.protocol
    odd = np.flatnonzero((protocol == ICMP) | (protocol == ICMPV6) | (protocol == ARP))
    if len(odd):
        kinds, codes = _request_types(packets, odd), dport[odd]
        sport, dport = sport.copy(), dport.copy()
        sport[odd] = dport[odd] = 0
    keys = np.zeros((5, len(packets)), np.uint64)
    if (packets.ip_version == 4).all():
        # Of the addresses only the last four bytes differ.
        low, high = (
            ends.view(">u4")[:, 3].astype(np.uint32) for ends in (packets.src, packets.dst)
        )
        side = (low > high) | ((low == high) & (sport > dport))
        np.bitwise_or(np.minimum(low, high), _MAPPED, out=keys[1])
        np.bitwise_or(np.maximum(low, high), _MAPPED, out=keys[3])
    else:
        side = _ordered(packets, sport > dport, keys)
    # Exchanged where the sender is the greater end; `np.where` would cost a branch per packet.
    turned = (sport ^ dport) * side
    first, second = sport ^ turned, dport ^ turned
    if len(odd):
        first[odd], second[odd] = kinds, codes
    tail = keys[4]
    tail[:] = first
    tail <<= np.uint64(16)
    tail |= second
    tail <<= np.uint64(24)
    tail |= protocol
    tail <<= np.uint64(8)
    tail |= packets.ip_version
    return keys, side


def count_sides(packets: Packets) -> tuple[int, int]:
    """(TCP connections in which something is said with packets of one end only, of both ends)."""
    tcp = np.flatnonzero(packets.protocol == TCP)
    keys, side = canonical(packets.take(tcp))
    _, number = np.unique(keys, axis=1, return_inverse=True)
    number = number.reshape(-1)
    greater, lesser, said = (
        np.bincount(number, which) > 0 for which in (side, ~side, packets.payload_bytes[tcp] > 0)
    )
    both = greater & lesser
    return int((said & ~both).sum()), int(both.sum())


def _request_types(packets: Packets, odd: Ints) -> NDArray[np.uint16]:
    """The type that both request and reply get; 0 of ARP."""
    protocol, kind = packets.protocol[odd], packets.src_port[odd] & 255
    return np.where(
        protocol == ICMP,
        _ICMP_PAIR[kind],
        np.where(protocol == ICMPV6, _ICMPV6_PAIR[kind], np.uint16(0)),
    )


def _ordered(
    packets: Packets, by_port: NDArray[np.bool_], keys: NDArray[np.uint64]
) -> NDArray[np.bool_]:
    """Set the addresses in ``keys``, the lesser first; whether the sender's is the greater, or of
    two that are equal ``by_port``."""
    src = np.ascontiguousarray(packets.src.view(">u8").T, np.uint64)
    dst = np.ascontiguousarray(packets.dst.view(">u8").T, np.uint64)
    (src_upper, src_lower), (dst_upper, dst_lower) = src, dst
    side: NDArray[np.bool_] = (src_lower > dst_lower) | ((src_lower == dst_lower) & by_port)
    side = (src_upper > dst_upper) | ((src_upper == dst_upper) & side)
    for number, (one, other) in enumerate(zip(src, dst, strict=True)):
        keys[number] = np.where(side, other, one)
        keys[number + 2] = np.where(side, one, other)
    return side
