"""Raw frames to header columns, for whole blocks of packets at once.

Link layers are taken off in `agents.sensor.flows.peeling`. Above them IPv4, IPv6 with its extension
headers, ARP; TCP, UDP, ICMP, ICMPv6. Every other transport keeps its protocol number with ports 0.
Nothing here raises on packet contents: a packet that contradicts itself or ends early is left out
of the columns and counted by kind.

A packet that carries another one (GRE, VXLAN, IP in IP …) is that other one, with the addresses of
the tunnel in `Packets.outer`, if all of it can be read down to the transport; else it stays what it
is without being opened.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.aggregates import parts_of
from agents.sensor.flows.header_columns import HeaderColumns
from agents.sensor.flows.layers import (
    ARP_TYPE,
    ETHERNET,
    IPV4,
    IPV6,
    LINK_LAYERS,
    OTHER,
    TUNNEL_LAYERS,
    TUNNEL_PORTS,
    is_network,
    malformed_kinds,
    name_unread,
    unread_link,
)
from agents.sensor.flows.packets import (
    ICMP,
    ICMPV6,
    MAX_TUNNELS,
    TCP,
    UDP,
    URG,
    Bytes,
    Ints,
    Packets,
)
from agents.sensor.flows.peeling import peel
from datasets.captures.pcap import PADDING, RawPackets, rows

_CHUNK = 32_768
"""Packets decoded at once; keeps the columns of a chunk in the processor's cache."""
_COLUMNS = (
    "end", "network", "ether_type", "transport", "datagram_end", "src", "dst", "src_port",
    "dst_port", "protocol", "version", "flags", "payload", "fragment", "later_fragment",
    "wrong_fragment", "urgent",
)  # fmt: skip
"""Of a chunk, one value a packet."""


def decode(raw: RawPackets) -> Packets:
    """Decode the headers of a block; see `Packets`."""
    data = raw.data
    reach = int((raw.offsets + raw.lengths).max()) if len(raw) else 0
    if len(data) < reach + PADDING:
        data = np.concatenate((data[:reach], np.zeros(PADDING, np.uint8)))
    chunks = []
    outer: list[Bytes | None] = []
    malformed, unread, unopened = Counter[str](), Counter[str](), Counter[str]()
    other = 0
    offsets, lengths, wire, times = raw.offsets, raw.lengths, raw.wire_lengths, raw.times_us
    parts = parts_of(data, offsets, lengths, raw.link_type)
    layers = None
    if parts is not None:
        frame, offsets, lengths, longer, layers = parts
        wire, times = np.where(layers == ETHERNET, longer, wire[frame]), times[frame]
    for begin in range(0, max(len(offsets), 1), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        chunk = _Chunk(data, offsets[part], lengths[part], wire[part])
        chunk.run(raw.link_type, None if layers is None else layers[part])
        chunks.append(chunk.columns(times[part], begin))
        malformed.update(chunk.malformed)
        unread.update(chunk.unread)
        unopened.update(chunk.unopened)
        outer.append(chunk.tunnels())
        other += chunk.other
    columns = chunks[0]
    if len(chunks) > 1:
        columns = {name: np.concatenate([c[name] for c in chunks]) for name in columns}
    if parts is not None:
        columns["index"] = parts.frame[columns["index"]]
    return Packets(
        **columns,
        data=data,
        total=len(raw),
        other=other,
        malformed=malformed,
        unread=unread,
        unopened=unopened,
        outer=_joined(outer, [len(c["index"]) for c in chunks]),
    )


def _joined(parts: list[Bytes | None], lengths: list[int]) -> Bytes | None:
    """`Packets.outer` of chunks of these lengths."""
    if all(part is None for part in parts):
        return None
    return np.concatenate(
        [
            np.zeros((length, MAX_TUNNELS, 32), np.uint8) if part is None else part
            for part, length in zip(parts, lengths, strict=True)
        ]
    )


class _Chunk(HeaderColumns):
    """Link layers, transports and tunnels of one chunk."""

    def run(self, link_type: int, layers: Ints | None = None) -> None:
        """Decode packets of a link type; ``layers``: what each begins with, if that differs."""
        if layers is None:
            self._link(link_type)
        else:
            which = np.arange(len(self.start))
            self._peeled(which, *peel(self.data, self.start.copy(), self.end, layers.copy()))
        self._network()

    def _network(self) -> None:
        alive = self.alive
        self._ipv4(np.flatnonzero(alive & (self.ether_type == IPV4)))
        self._ipv6(np.flatnonzero(alive & (self.ether_type == IPV6)))
        self._arp(np.flatnonzero(alive & (self.ether_type == ARP_TYPE)))
        whole = self.alive & ~self.later_fragment
        self._tcp(np.flatnonzero(whole & (self.protocol == TCP)))
        datagrams = np.flatnonzero(whole & (self.protocol == UDP))
        self._udp(datagrams)
        icmp = ((self.protocol == ICMP) & (self.version == 4)) | (
            (self.protocol == ICMPV6) & (self.version == 6)
        )
        self._icmp(np.flatnonzero(whole & icmp))
        if self.depth < MAX_TUNNELS:
            self._tunnels(whole, datagrams)

    def _tunnels(self, whole: NDArray[np.bool_], datagrams: Ints) -> None:
        """Open what carries other packets."""
        protocol = self.protocol
        carries = TUNNEL_LAYERS.take(protocol)
        ported = datagrams[TUNNEL_PORTS.take(self.dst_port[datagrams]) > 0]
        if not len(ported) and not carries.any():
            return
        layer = carries.copy()
        layer[ported] = TUNNEL_PORTS[self.dst_port[ported]]
        which = np.flatnonzero((layer > 0) & whole & self.alive)
        if not len(which):
            return
        at, ends = self.payload[which], self.datagram_end[which]
        captured = np.maximum(np.minimum(ends, self.end[which]) - at, 0)
        inner = _Chunk(self.data, at, captured, np.maximum(ends - at, 0), self.depth + 1)
        inner._enter(layer[which])
        good = np.flatnonzero(inner.alive)
        # What a stranger sends to such a port, or what can't be opened, stays as it is.
        self.unopened.update(inner.unread + inner.unopened)
        if not len(good):
            return
        rows_ = which[good]
        if self.outer is None:
            self.outer = np.zeros((len(self.start), MAX_TUNNELS, 32), np.uint8)
        if inner.outer is not None:
            self.outer[rows_, 1:] = inner.outer[good, :-1]
        self.outer[rows_, 0, :16] = self.src[rows_]
        self.outer[rows_, 0, 16:] = self.dst[rows_]
        for name in _COLUMNS:
            getattr(self, name)[rows_] = getattr(inner, name)[good]
        self.numbers[:, rows_] = inner.numbers[:, good]

    def _enter(self, layer: Ints) -> None:
        """Decode packets that begin with these layers."""
        at, layer = peel(self.data, self.start.copy(), self.end, layer)
        self._peeled(np.arange(len(at)), at, layer)
        self._network()

    def _peeled(self, which: Ints, at: Ints, layer: Ints) -> None:
        """Take over what `peel` says of the packets ``which``."""
        good = is_network(layer)
        some = which[good]
        self.network[some] = at[good]
        self.ether_type[some] = layer[good]
        if good.all():
            return
        self.alive[which[~good]] = False
        self.other += int((layer == OTHER).sum())
        self.unread.update(name_unread(layer))
        for kind, bad in malformed_kinds(layer):
            self.malformed[kind] += len(bad)

    def tunnels(self) -> Bytes | None:
        """The rows of `Packets.outer`."""
        return None if self.outer is None else self.outer[self.alive]

    def _link(self, link_type: int) -> None:
        which = np.arange(len(self.start))
        first = LINK_LAYERS.get(link_type)
        if first is None:
            self._peeled(which, self.start, np.full(len(which), unread_link(link_type), np.int64))
            return
        if first != ETHERNET:
            self._peeled(
                which, *peel(self.data, self.start.copy(), self.end, np.full(len(which), first))
            )
            return
        # Nearly always IP follows at once: no more than a look at the type.
        which, at = self._need(which, self.start, 14, "truncated-link")
        types = rows(self.data, at + 12, 2).view(">u2")[:, 0].astype(np.uint16)
        self._set(self.ether_type, which, types)
        self._set(self.network, which, at + 14)
        wrapped = np.flatnonzero((types != IPV4) & (types != IPV6) & (types != ARP_TYPE))
        if len(wrapped):
            self._peeled(
                which[wrapped],
                *peel(
                    self.data,
                    at[wrapped] + 14,
                    self.end[which[wrapped]],
                    types[wrapped].astype(np.int64),
                ),
            )

    def _ports(self, which: Ints, header: Bytes) -> None:
        ports = header.view(">u2")
        self._set(self.src_port, which, ports[:, 0])
        self._set(self.dst_port, which, ports[:, 1])

    def _tcp(self, which: Ints) -> None:
        at = self._of(self.transport, which)
        which, at = self._whole(which, at, 20)
        header = rows(self.data, at, 20)
        size = (header[:, 12] >> 4).astype(np.int64) * 4
        payload = at + size
        bad = (size < 20) | (payload > self._of(self.datagram_end, which))
        if bad.any():
            self._drop(which[bad], "bad-tcp-offset")
            which, header, payload = which[~bad], header[~bad], payload[~bad]
        self._ports(which, header)
        flags = header[:, 13].copy()
        self._set(self.flags, which, flags)
        for number, column in enumerate(self.numbers):
            self._set(column, which, header.view(">u4")[:, 1 + number])
        self._set(self.urgent, which, (flags & URG) != 0)
        self._set(self.payload, which, payload)

    def _udp(self, which: Ints) -> None:
        at = self._of(self.transport, which)
        which, at = self._whole(which, at, 8)
        header = rows(self.data, at, 8)
        length = header.view(">u2")[:, 2].astype(np.int64)
        # 0 is for jumbograms and offload; longer than the datagram is a first fragment's right.
        room = self.datagram_end[which] - at
        bad = ((length < 8) & (length != 0)) | ((length > room) & ~self.fragment[which])
        if bad.any():
            self._drop(which[bad], "bad-udp-length")
            good = ~bad
            which, at, header, length = which[good], at[good], header[good], length[good]
            room = room[good]
        self._ports(which, header)
        self.payload[which] = at + 8
        self.datagram_end[which] = at + np.where(length == 0, room, np.minimum(length, room))

    def _icmp(self, which: Ints) -> None:
        at = self._of(self.transport, which)
        which, at = self._whole(which, at, 4)
        header = rows(self.data, at, 4)
        self.src_port[which] = header[:, 0]
        self.dst_port[which] = header[:, 1]
        # Type, code, checksum and the four bytes that every ICMP message has (RFC 792).
        self.payload[which] = np.minimum(at + 8, self.datagram_end[which])

    def _whole(self, which: Ints, at: Ints, size: int) -> tuple[Ints, Ints]:
        """Those whose transport header lies within the datagram and was captured.

        A first fragment too small for it is an evasion (RFC 1858): kept, marked, with ports 0.
        """
        outside = at + size > self._of(self.datagram_end, which)
        if outside.any():
            tiny = outside & self.fragment[which]
            self.wrong_fragment[which[tiny]] = True
            self._drop(which[outside & ~tiny], "truncated-transport")
            which, at = which[~outside], at[~outside]
        return self._need(which, at, size, "truncated-transport")
