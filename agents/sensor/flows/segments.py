"""Where in the byte stream TCP segments lie."""

from __future__ import annotations

import numpy as np

from agents.sensor.flows.packets import TCP, Ints, Packets


def sequence_number(packets: Packets, packet: int) -> int:
    """TCP sequence number of the segment's first byte; -1 for other protocols."""
    return int(packets.sequence[packet]) if packets.protocol[packet] == TCP else -1


def sequence_numbers(packets: Packets, which: Ints) -> Ints:
    """`sequence_number` of many packets at once."""
    numbers = packets.sequence[which].astype(np.int64)
    return np.where(packets.protocol[which] == TCP, numbers, -1)
