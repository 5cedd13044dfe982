"""Decoded packets as columns, and the numbers of the headers they come from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

ICMP, TCP, UDP, ICMPV6, ARP = 1, 6, 17, 58, 254
"""IANA protocol numbers; ARP has none, 254 is reserved for experiments (RFC 3692)."""
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32

MAX_TUNNELS = 4
"""Tunnels around each other that are opened."""

_WHOLE = ("data", "total", "other", "malformed", "unread", "unopened")
"""What is of the block and not of each packet."""
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Packets:
    """Columns of the packets that decoded, in capture order."""

    time_us: Ints
    src: Bytes
    """(n, 16) network order, IPv4 as ::ffff:a.b.c.d."""
    dst: Bytes
    src_port: NDArray[np.uint16]
    """ICMP: type; ARP: operation; 0 where there is none (also in later fragments)."""
    dst_port: NDArray[np.uint16]
    """ICMP: code."""
    protocol: Bytes
    ip_version: Bytes
    flags: Bytes
    """TCP flags (low eight), 0 for other protocols."""
    payload_bytes: Ints
    """Payload by the headers' lengths, even where less was captured."""
    payload_offset: Ints
    """Where in ``data`` the payload begins."""
    payload_length: Ints
    """Captured payload bytes."""
    fragment: NDArray[np.bool_]
    """Part of a fragmented datagram."""
    wrong_fragment: NDArray[np.bool_]
    """A fragment no honest stack sends: beyond 65,535 bytes, over a header, or odd in length."""
    urgent: NDArray[np.bool_]
    index: Ints
    """Position of the packet in its `RawPackets`."""
    data: Bytes
    """The bytes of `RawPackets.data`, padded."""
    total: int
    """Packets seen, decoded or not."""
    other: int
    """Well-formed frames of other network protocols (spanning tree, LLDP, …)."""
    malformed: Counter[str] = field(default_factory=Counter)
    """Packets left out, by what was wrong with them."""
    sequence: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    """TCP sequence and acknowledgement number, 0 for other protocols; left out: 0 for all."""
    acknowledgement: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    unread: Counter[str] = field(default_factory=Counter)
    """Packets left out because a layer around their traffic can't be read, by its name."""
    unopened: Counter[str] = field(default_factory=Counter)
    """Packets in a tunnel with such a layer inside: the tunnel's own packet stands for them."""
    outer: Bytes | None = None
    """(n, MAX_TUNNELS, 32) source and destination of the tunnels that the packet came in, the
    outermost first; 0 where there is none. None: of no packet."""

    def __post_init__(self) -> None:
        for name in ("sequence", "acknowledgement"):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.zeros(len(self.time_us), np.uint32))

    def __len__(self) -> int:
        return len(self.time_us)

    def take(self, which: NDArray[np.bool_] | Ints) -> Packets:
        """The same with these packets only; what was counted stays."""
        columns = {
            column.name: getattr(self, column.name)[which]
            for column in fields(self)
            if column.name not in _WHOLE and column.name != "outer"
        }
        outer = None if self.outer is None else self.outer[which]
        return replace(self, **columns, outer=outer)
