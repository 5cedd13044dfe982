"""The blocks of packets that came last, held as they are: where conversations are looked up.

Nothing is done for a packet that nobody asks for: a block is held by reference, as it was captured,
and decoded again when something was concluded from one of its neighbours. Holding the columns as
well would cost the sensor more than making them again for the few that are asked for.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.sensor.evidence.citations import MAX_FRAME, Ends, Frame
from agents.sensor.flows.decode import decode
from agents.sensor.flows.packets import ACK, SYN, TCP, UDP, Packets
from datasets.captures.pcap import RawPackets

HELD_BYTES = 4 << 20
"""Of the blocks that are held; the newest one stays, whatever it takes."""
HELD_PACKETS = 16_384
MAX_FOUND = 80
"""Packets of one conversation that are copied: those nearest a time, and the first of a block."""
_FIRST = 4
_LAST_US = 2**32 * 1_000_000 - 1


@dataclass(slots=True)
class _Block:
    raw: RawPackets
    packets: Packets | None = None

    def decoded(self) -> Packets:
        """Its columns, kept from the first time on: who is asked for once is asked for again."""
        if self.packets is None:
            self.packets = decode(self.raw)
        return self.packets


class RecentPackets:
    """Bounded in bytes and packets; the oldest block goes first."""

    def __init__(self, *, held_bytes: int = HELD_BYTES, held_packets: int = HELD_PACKETS) -> None:
        self._most_bytes, self._most_packets = held_bytes, held_packets
        self._blocks: deque[_Block] = deque()
        self.bytes = self.packets = 0
        """Held just now."""

    def add(self, raw: RawPackets) -> None:
        """Hold a block."""
        self._blocks.append(_Block(raw))
        self.bytes += len(raw.data)
        self.packets += len(raw)
        while len(self._blocks) > 1 and (
            self.bytes > self._most_bytes or self.packets > self._most_packets
        ):
            old = self._blocks.popleft().raw
            self.bytes -= len(old.data)
            self.packets -= len(old)

    def conversation(
        self, ends: Ends, link_type: int, at_us: int, newest: Packets | None = None
    ) -> list[Frame]:
        """Its packets among those that are held, oldest first, some `MAX_FOUND` about ``at_us``.

        ``newest``: the columns of the newest block, if somebody has them.
        """
        found: list[Frame] = []
        for block in reversed(self._blocks):
            raw = block.raw
            if raw.link_type != link_type:
                newest = None
                continue
            packets = newest if newest is not None else block.decoded()
            newest = None
            which = _of(ends, packets)
            whole, which = which, _near(which, packets, at_us, MAX_FOUND - len(found))
            found[:0] = [frame_of(raw, int(packets.index[number])) for number in which.tolist()]
            if len(found) >= MAX_FOUND or _opens(ends, packets, whole):
                break
        return found


def frame_of(raw: RawPackets, index: int) -> Frame:
    """A copy of one packet."""
    begin, size = int(raw.offsets[index]), min(int(raw.lengths[index]), MAX_FRAME)
    return Frame(
        data=raw.data[begin : begin + size].tobytes(),
        # A capture file may say any time; a pcap file holds those up to 2106.
        time_us=min(max(int(raw.times_us[index]), 0), _LAST_US),
        wire_length=max(int(raw.wire_lengths[index]), size),
    )


def ends_of(packets: Packets, number: int) -> Ends:
    """The conversation of a packet, the packet's sender first."""
    protocol = int(packets.protocol[number])
    ported = protocol in (TCP, UDP)
    return Ends(
        protocol,
        packets.src[number].tobytes(),
        int(packets.src_port[number]) if ported else 0,
        packets.dst[number].tobytes(),
        int(packets.dst_port[number]) if ported else 0,
    )


def _of(ends: Ends, packets: Packets) -> NDArray[np.int64]:
    one = np.frombuffer(ends.one, np.uint8)
    other = np.frombuffer(ends.other, np.uint8)
    if ends.one_port or ends.other_port:
        # Ports first: they are compared at once, and few packets are left for the rest.
        source, target = packets.src_port, packets.dst_port
        there = (source == ends.one_port) & (target == ends.other_port)
        back = (source == ends.other_port) & (target == ends.one_port)
        some = np.flatnonzero(there | back)
        some = some[packets.protocol[some] == ends.protocol]
    else:
        some = np.flatnonzero(packets.protocol == ends.protocol)
    sender, receiver = packets.src[some], packets.dst[some]
    there = (sender == one).all(axis=1) & (receiver == other).all(axis=1)
    back = (sender == other).all(axis=1) & (receiver == one).all(axis=1)
    found: NDArray[np.int64] = some[there | back]
    return found


def _near(which: NDArray[np.int64], packets: Packets, at_us: int, room: int) -> NDArray[np.int64]:
    """At most ``room`` of them, next to each other about a time, and the first few."""
    if len(which) <= room:
        return which
    place = int(np.searchsorted(packets.time_us[which], at_us))
    begin = max(0, min(place - room // 2, len(which) - room))
    return np.union1d(which[:_FIRST], which[begin : begin + room])


def _opens(ends: Ends, packets: Packets, which: NDArray[np.int64]) -> bool:
    """Whether the conversation begins among these packets: nothing before is part of it."""
    return ends.protocol == TCP and bool((packets.flags[which] & (SYN | ACK) == SYN).any())
