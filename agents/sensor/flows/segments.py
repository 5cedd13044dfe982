"""Where in the byte stream a TCP segment lies. For the few packets that are read, one at a time."""

from __future__ import annotations

import numpy as np

from agents.sensor.flows.packets import TCP, Ints, Packets
from datasets.captures.pcap import rows


def sequence_number(packets: Packets, packet: int) -> int:
    """TCP sequence number of the segment's first byte; -1 for other protocols.

    `Packets` says where the payload begins, not the header: looked for backwards from there, by
    its ports and its own length.
    """
    if packets.protocol[packet] != TCP:
        return -1
    end = int(packets.payload_offset[packet])
    data = packets.data
    ports = int(packets.src_port[packet]) << 16 | int(packets.dst_port[packet])
    # The longest first: options, which the sender chooses freely, can't pose as a header then.
    for size in range(60, 16, -4):
        at = end - size
        if at >= 0 and data[at + 12] >> 4 == size >> 2:
            header = data[at : at + 8].tobytes()
            if int.from_bytes(header[:4], "big") == ports:
                return int.from_bytes(header[4:], "big")
    return -1


def sequence_numbers(packets: Packets, which: Ints) -> Ints:
    """`sequence_number` of many packets at once."""
    out = np.full(len(which), -1, np.int64)
    if not len(which):
        return out
    ends = packets.payload_offset[which]
    tcp = packets.protocol[which] == TCP
    missing = np.flatnonzero(tcp)
    for size in range(60, 16, -4):
        if not len(missing):
            break
        at = ends[missing] - size
        header = rows(packets.data, np.maximum(at, 0), 16)
        ports = header.view(">u2")
        some = which[missing]
        found = (
            (at >= 0)
            & (header[:, 12] >> 4 == size >> 2)
            & (ports[:, 0] == packets.src_port[some])
            & (ports[:, 1] == packets.dst_port[some])
        )
        out[missing[found]] = header.view(">u4")[found, 1]
        missing = missing[~found]
    return out
