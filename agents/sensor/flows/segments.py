"""Where in the byte stream a TCP segment lies. For the few packets that are read, one at a time."""

from __future__ import annotations

from agents.sensor.flows.packets import TCP, Packets


def sequence_number(packets: Packets, packet: int) -> int:
    """TCP sequence number of the segment's first byte; -1 for other protocols."""
    return int(packets.sequence[packet]) if packets.protocol[packet] == TCP else -1
