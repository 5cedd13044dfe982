"""Where in its datagram each captured fragment lies: its IP header, found again before its payload.

Packets' columns say that something is a fragment and not of what; the headers are looked for where
they stand in all but a few packets: IPv4 without options, IPv6 with nothing but the fragment header
between its own and the next.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from agents.sensor.flows.packets import ICMP, ICMPV6, TCP, UDP, Bytes, Ints, Packets
from datasets.captures.pcap import rows

FOUR, SIX = 20, 48
"""Bytes of the header, of IPv6 with the fragment's."""
_SECOND_HEADERS = {UDP: (8,), ICMP: (8,), ICMPV6: (8,), TCP: tuple(range(20, 64, 4))}
_BACK = (0, *sorted({size for sizes in _SECOND_HEADERS.values() for size in sizes}))

Part = tuple[int, bytes, int, int]
"""(packet, what makes its datagram, first byte, byte behind the last)."""


def parts(packets: Packets, which: Ints) -> Iterator[Part]:
    """Those of the fragments ``which`` (ascending) whose headers were found, in order."""
    four = packets.ip_version[which] == 4
    headers = np.zeros((len(which), SIX), np.uint8)
    good = np.zeros(len(which), np.bool_)
    for own, size in ((four, FOUR), (~four, SIX)):
        if own.any():
            headers[own, :size], good[own] = _headers(packets, which[own], size)
    for row, version4, header in zip(
        which[good].tolist(), four[good].tolist(), headers[good], strict=True
    ):
        raw = header.tobytes()
        if version4:
            begin = (int.from_bytes(raw[6:8], "big") & 0x1FFF) * 8
            size = int.from_bytes(raw[2:4], "big") - FOUR
            # Source, destination, protocol and number make the datagram.
            yield row, raw[12:20] + raw[9:10] + raw[4:6], begin, begin + size
            continue
        place = int.from_bytes(raw[42:44], "big")
        # One that is whole stands for itself, whatever its number (RFC 6946).
        if place & 0xFFF9:
            begin = place & 0xFFF8
            size = int.from_bytes(raw[4:6], "big") - 8
            yield row, raw[8:40] + raw[44:48], begin, begin + size


def _headers(packets: Packets, which: Ints, size: int) -> tuple[Bytes, np.ndarray]:
    """The headers (n, ``size``) before the payloads of ``which``, and of which they were found, by
    the addresses in them."""
    out = np.zeros((len(which), size), np.uint8)
    good = np.zeros(len(which), np.bool_)
    begins = packets.payload_offset[which]
    protocol = packets.protocol[which]
    src, dst = packets.src[which], packets.dst[which]
    # Later fragments have no second header.
    for back in _BACK:
        fits = np.full(len(which), back == 0)
        for number, sizes in _SECOND_HEADERS.items():
            fits |= (protocol == number) & (back in sizes)
        some = np.flatnonzero(fits & ~good & (begins >= back + size))
        if not len(some):
            continue
        header = rows(packets.data, begins[some] - back - size, size)
        if size == FOUR:
            right = (header[:, 0] == 0x45) & (header[:, 9] == protocol[some])
            right &= (header[:, 12:16] == src[some, 12:]).all(axis=1)
            right &= (header[:, 16:20] == dst[some, 12:]).all(axis=1)
        else:
            right = (header[:, 0] >> 4 == 6) & (header[:, 6] == 44)
            right &= header[:, 40] == protocol[some]
            right &= (header[:, 8:24] == src[some]).all(axis=1)
            right &= (header[:, 24:40] == dst[some]).all(axis=1)
        out[some[right]] = header[right]
        good[some[right]] = True
    return out, good
