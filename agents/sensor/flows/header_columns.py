"""The columns of packets while they are decoded, and their network headers: IPv4, IPv6, ARP."""

from __future__ import annotations

from collections import Counter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.packets import ARP, TCP, UDP, Bytes, Ints
from datasets.captures.pcap import rows

T = TypeVar("T", bound=np.generic)

_MAX_EXTENSIONS = 8
"""IPv6 extension headers followed; a longer chain is an evasion and counts as malformed."""
_MAPPED = np.frombuffer(bytes(10) + b"\xff\xff", np.uint8)
"""How an IPv6 address that stands for an IPv4 one begins (RFC 4291 section 2.5.5.2)."""


class HeaderColumns:
    """The columns of one chunk while it is decoded; ``alive`` marks the packets still in."""

    def __init__(
        self, data: Bytes, offsets: Ints, lengths: Ints, wire: Ints, depth: int = 0
    ) -> None:
        """``depth``: number of tunnels around these packets."""
        n = len(offsets)
        self.data = data
        self.depth = depth
        self.malformed: Counter[str] = Counter()
        self.unread: Counter[str] = Counter()
        self.unopened: Counter[str] = Counter()
        self.other = 0
        self.outer: Bytes | None = None
        self.start = offsets
        self.end = offsets + lengths
        self.wire_end = offsets + np.maximum(lengths, np.minimum(wire, 1 << 20))
        self.alive = np.ones(n, np.bool_)
        self.network = offsets.copy()  # where the network header begins
        self.ether_type = np.zeros(n, np.uint16)
        self.transport = np.zeros(n, np.int64)  # where the transport header begins
        self.datagram_end = np.zeros(n, np.int64)  # where the IP datagram says it ends
        self.src, self.dst = np.zeros((2, n, 16), np.uint8)
        self.src_port, self.dst_port = np.zeros((2, n), np.uint16)
        self.protocol = np.zeros(n, np.uint8)
        self.version = np.zeros(n, np.uint8)
        self.flags = np.zeros(n, np.uint8)
        self.numbers = np.zeros((2, n), np.uint32)  # of TCP: sequence, acknowledgement
        self.payload = np.zeros(n, np.int64)
        self.fragment, self.later_fragment = np.zeros((2, n), np.bool_)
        self.wrong_fragment, self.urgent = np.zeros((2, n), np.bool_)

    def columns(self, times_us: Ints, begin: int) -> dict[str, NDArray[Any]]:
        """The columns of `Packets`, by name."""
        everything = bool(self.alive.all())
        keep = slice(None) if everything else np.flatnonzero(self.alive)
        payload = self.payload[keep]
        ends = self.datagram_end[keep]
        captured = np.minimum(ends, self.end[keep]) - payload
        return {
            "time_us": times_us[keep],
            "src": self.src[keep],
            "dst": self.dst[keep],
            "src_port": self.src_port[keep],
            "dst_port": self.dst_port[keep],
            "protocol": self.protocol[keep],
            "ip_version": self.version[keep],
            "flags": self.flags[keep],
            "sequence": self.numbers[0][keep],
            "acknowledgement": self.numbers[1][keep],
            "payload_bytes": np.maximum(ends - payload, 0),
            "payload_offset": payload,
            "payload_length": np.maximum(captured, 0),
            "fragment": self.fragment[keep],
            "wrong_fragment": self.wrong_fragment[keep],
            "urgent": self.urgent[keep],
            "index": np.arange(len(self.alive))[keep] + begin,
        }

    def _of(self, column: NDArray[T], which: Ints) -> NDArray[T]:
        """``column[which]``; ``which`` is ascending, so as long as the column it is all of it."""
        return column if len(which) == len(column) else column[which]

    def _set(self, column: NDArray[Any], which: Ints, values: NDArray[Any] | int) -> None:
        """``column[which] = values``, without an index where it is the whole column."""
        if len(which) == len(column):
            column[...] = values
        else:
            column[which] = values

    def _drop(self, which: Ints, kind: str) -> None:
        """Leave packets out as malformed."""
        if len(which):
            self.alive[which] = False
            self.malformed[kind] += len(which)

    def _need(self, which: Ints, at: Ints, size: int, kind: str) -> tuple[Ints, Ints]:
        """Those of ``which`` (and their ``at``) with ``size`` captured bytes from ``at`` on."""
        fits = at + size <= self._of(self.end, which)
        if fits.all():
            return which, at
        self._drop(which[~fits], kind)
        return which[fits], at[fits]

    def _ipv4(self, which: Ints) -> None:
        which, at = self._need(which, self._of(self.network, which), 20, "truncated-ip")
        header = rows(self.data, at, 20)
        header_length = (header[:, 0] & 15).astype(np.int64) * 4
        total = header.view(">u2")[:, 1].astype(np.int64)
        # Segmentation offload hands frames over whose length field is still 0.
        if not total.all():
            total = np.where(total == 0, self._of(self.wire_end, which) - at, total)
        bad_version = header[:, 0] >> 4 != 4
        bad_header = header_length < 20
        bad_total = total < header_length
        short = at + header_length > self._of(self.end, which)
        bad = bad_version | bad_header | bad_total | short
        if bad.any():
            for kind, mask in (
                ("bad-ip-version", bad_version),
                ("bad-ip-header-length", bad_header & ~bad_version),
                ("bad-ip-length", bad_total & ~bad_header & ~bad_version),
                ("truncated-ip", short & ~bad_total & ~bad_header & ~bad_version),
            ):
                self._drop(which[mask], kind)
            good = ~bad
            which, at, header = which[good], at[good], header[good]
            header_length, total = header_length[good], total[good]
        self._ipv4_addresses(which, header[:, 12:16], header[:, 16:20])
        self._set(self.version, which, 4)
        self._set(self.protocol, which, header[:, 9])
        for column in (self.transport, self.payload):
            self._set(column, which, at + header_length)
        self._set(self.datagram_end, which, at + total)
        word = header.view(">u2")[:, 3].astype(np.int64)
        if (word & 0x3FFF).any():
            more = (word & 0x2000) != 0
            self._fragments(which, (word & 0x1FFF) * 8, total - header_length, more)

    def _ipv4_addresses(self, which: Ints, src: Bytes, dst: Bytes) -> None:
        """Set both, each (n, 4), as ::ffff:a.b.c.d."""
        for column, address in ((self.src, src), (self.dst, dst)):
            words = column.view("<u4")
            self._set(words[:, 2], which, 0xFFFF0000)
            self._set(words[:, 3], which, address.view("<u4")[:, 0])

    def _fragments(self, which: Ints, offset: Ints, length: Ints, more: NDArray[np.bool_]) -> None:
        """Mark fragments, and those that no honest stack sends (RFC 791, RFC 1858)."""
        protocol = self.protocol[which]
        self.fragment[which] = (offset > 0) | more
        self.later_fragment[which] = offset > 0
        needed = np.where(protocol == TCP, 20, np.where((protocol == UDP), 8, 0))
        self.wrong_fragment[which] = (
            (offset + length > 65_535)
            | (more & (length % 8 != 0))
            | (more & (offset == 0) & (length < needed))
            | ((offset > 0) & (offset < needed))
        )

    def _ipv6(self, which: Ints) -> None:
        which, at = self._need(which, self.network[which], 40, "truncated-ip")
        header = rows(self.data, at, 40)
        bad = header[:, 0] >> 4 != 6
        if bad.any():
            self._drop(which[bad], "bad-ip-version")
            which, at, header = which[~bad], at[~bad], header[~bad]
        if not len(which):
            return
        # An IPv4 address in an IPv6 header would accuse the IPv4 host of that number. No router and
        # no Linux host takes such a packet (draft-itojun-v6ops-v4mapped-harmful).
        mapped = (header[:, 8:20] == _MAPPED).all(axis=1) | (header[:, 24:36] == _MAPPED).all(
            axis=1
        )
        if mapped.any():
            self._drop(which[mapped], "mapped-address")
            which, at, header = which[~mapped], at[~mapped], header[~mapped]
        length = header.view(">u2")[:, 2].astype(np.int64)
        # 0 with offload or a jumbogram (RFC 2675): the frame says how long it is.
        end = np.where(length == 0, self.wire_end[which], at + 40 + length)
        self.version[which] = 6
        self.src[which] = header[:, 8:24]
        self.dst[which] = header[:, 24:40]
        self.datagram_end[which] = end
        upper = header[:, 6].copy()
        at = at + 40
        for turn in range(_MAX_EXTENSIONS + 1):
            # Hop-by-hop, routing, fragment, authentication, destination options, mobility.
            extended = np.isin(upper, (0, 43, 44, 51, 60, 135)) & self.alive[which]
            extended &= ~self.later_fragment[which]
            which_extended = np.flatnonzero(extended)
            if not len(which_extended):
                break
            if turn == _MAX_EXTENSIONS:
                self._drop(which[which_extended], "extension-chain")
                break
            upper, at = self._extension(which, which_extended, upper, at)
        short = (at > self.datagram_end[which]) & self.alive[which]
        self._drop(which[short], "bad-ip-length")
        self.protocol[which] = upper
        self.transport[which] = self.payload[which] = at
        first = self.fragment[which] & ~self.later_fragment[which]
        needed = np.where(upper == TCP, 20, np.where(upper == UDP, 8, 0))
        self.wrong_fragment[which] |= first & (self.datagram_end[which] - at < needed)

    def _extension(self, which: Ints, rows_: Ints, upper: Bytes, at: Ints) -> tuple[Bytes, Ints]:
        """Step over one extension header of the packets ``which[rows_]``."""
        packets, begin = which[rows_], at[rows_]
        fits = begin + 8 <= np.minimum(self.end[packets], self.datagram_end[packets])
        self._drop(packets[~fits], "truncated-ip")
        rows_, packets, begin = rows_[fits], packets[fits], begin[fits]
        header = rows(self.data, begin, 8)
        kind = upper[rows_]
        size = (header[:, 1].astype(np.int64) + 1) * 8
        size = np.where(kind == 51, (header[:, 1].astype(np.int64) + 2) * 4, size)
        size = np.where(kind == 44, 8, size)
        fragments = np.flatnonzero(kind == 44)
        if len(fragments):
            word = header.view(">u2")[fragments, 1].astype(np.int64)
            # How large a first fragment must be is checked behind the last extension.
            self._fragments(
                packets[fragments],
                word & 0xFFF8,
                self.datagram_end[packets[fragments]] - begin[fragments] - 8,
                (word & 1) != 0,
            )
        upper, at = upper.copy(), at.copy()
        upper[rows_] = header[:, 0]
        at[rows_] = begin + size
        return upper, at

    def _arp(self, which: Ints) -> None:
        which, at = self._need(which, self.network[which], 28, "truncated-arp")
        header = rows(self.data, at, 28)
        # Ethernet addresses for IPv4 only (RFC 826); other hardware is not ours, not malformed.
        ours = (header[:, 2:6] == (8, 0, 6, 4)).all(axis=1)
        self.other += int((~ours).sum())
        self.alive[which[~ours]] = False
        which, at, header = which[ours], at[ours], header[ours]
        self._ipv4_addresses(which, header[:, 14:18], header[:, 24:28])
        self.version[which] = 4
        self.protocol[which] = ARP
        self.src_port[which] = header.view(">u2")[:, 3]
        self.payload[which] = self.datagram_end[which] = at + 28
