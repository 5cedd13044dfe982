"""Addresses, ports, flow and flags of a rule, tested for whole columns of packets.

Sets are written as in rules: ``any``, ``192.0.2.0/24``, ``[a,!b]``, ``1024:``, ``$VARIABLE``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv6Address, ip_address, ip_network

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.packets import ARP, ICMP, ICMPV6, TCP, UDP, Packets
from agents.sensor.signatures.applications import NUMBERS
from agents.sensor.signatures.directions import Flows
from datasets.captures.pcap import rows
from rules.signatures.header_options import HeaderTest
from rules.signatures.parse import Signature

Ints = NDArray[np.int64]
Intervals = list[tuple[int, int]]
"""Inclusive, ascending, apart from each other."""

VARIABLES: Mapping[str, str] = {
    "HOME_NET": "any",
    "EXTERNAL_NET": "any",
    **{
        f"{name}_SERVERS": "$HOME_NET"
        for name in "HTTP SMTP SQL DNS TELNET SNMP FTP SSH SIP IMAP POP DNP3 MODBUS ENIP".split()
    },
    "AIM_SERVERS": "any",
    "HTTP_PORTS": "[80,81,591,3128,8000,8008,8080,8081,8888]",
    "SHELLCODE_PORTS": "!80",
    "ORACLE_PORTS": "1521",
    "SSH_PORTS": "22",
    "FTP_PORTS": "21",
    "FILE_DATA_PORTS": "[$HTTP_PORTS,110,143]",
    "SIP_PORTS": "[5060,5061]",
    "DNP3_PORTS": "20000",
    "MODBUS_PORTS": "502",
}
"""What the variables of a rule stand for unless it is said otherwise."""
Place = tuple[int, str, int]
"""(transport, or -1 for all; ``source``, ``target`` or nothing; port)."""
_FEW = 16
_MAX_DEPTH = 8
_MAX_ITEMS = 20_000
_ADDRESSES = (1 << 128) - 1
_MAPPED = 0xFFFF << 32


def _union(intervals: Intervals) -> Intervals:
    out: Intervals = []
    for low, high in sorted(intervals):
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return out


def _without(wanted: Intervals, unwanted: Intervals) -> Intervals:
    out: Intervals = []
    for low, high in wanted:
        for begin, end in unwanted:
            if end < low or begin > high:
                continue
            if begin > low:
                out.append((low, begin - 1))
            low = end + 1
        if low <= high:
            out.append((low, high))
    return out


def _split(text: str) -> list[str]:
    """At the commas outside brackets."""
    items, depth, begin = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and not depth:
            items.append(text[begin:at])
            begin = at + 1
    if depth or len(items) > _MAX_ITEMS:
        raise ValueError("unbalanced brackets or too many items")
    return [*items, text[begin:]]


def _read(
    text: str,
    one: Callable[[str], tuple[int, int]],
    top: int,
    variables: Mapping[str, str],
    depth: int = 0,
) -> Intervals:
    text = text.strip()
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    if text.startswith("!"):
        return _without([(0, top)], _read(text[1:], one, top, variables, depth + 1))
    if text == "any":
        return [(0, top)]
    if text.startswith("$"):
        if text[1:] not in variables:
            raise ValueError(f"unknown variable {text[:40]}")
        return _read(variables[text[1:]], one, top, variables, depth + 1)
    if not text.startswith("["):
        return [one(text)]
    if not text.endswith("]"):
        raise ValueError("unbalanced brackets")
    wanted: Intervals = []
    unwanted: Intervals = []
    negative_only = True
    for item in map(str.strip, _split(text[1:-1])):
        if item.startswith("!"):
            unwanted += _read(item[1:], one, top, variables, depth + 1)
        else:
            negative_only = False
            wanted += _read(item, one, top, variables, depth + 1)
    return _without([(0, top)] if negative_only else _union(wanted), _union(unwanted))


def _one_network(text: str) -> tuple[int, int]:
    first, dash, last = (part.strip() for part in text.partition("-"))
    if dash:
        (low, _), (_, high) = _one_network(first), _one_network(last)
        if (
            "/" in text
            or high < low
            or (low >= _MAPPED) != (high >= _MAPPED)
            or (ip_address(first).version != ip_address(last).version)
        ):
            raise ValueError(f"no range of addresses: {text[:80]!r}")
        return low, high
    network = ip_network(text, strict=False)
    shift = _MAPPED if network.version == 4 else 0
    return int(network.network_address) + shift, int(network.broadcast_address) + shift


def _one_port(text: str) -> tuple[int, int]:
    low, colon, high = (part.strip() for part in text.partition(":"))
    begin = int(low) if low else 0
    end = (int(high) if high else 65_535) if colon else begin
    if not (low or high) or not 0 <= begin <= end <= 65_535:
        raise ValueError(f"no port: {text[:40]!r}")
    return begin, end


def read_addresses(text: str, variables: Mapping[str, str]) -> Intervals:
    """IPv4 stands among the mapped IPv6 addresses. Raises: ValueError."""
    return _read(text, _one_network, _ADDRESSES, variables)


def read_ports(text: str, variables: Mapping[str, str]) -> Intervals:
    """Raises: ValueError."""
    return _read(text, _one_port, 65_535, variables)


class _Addresses:
    def __init__(self, intervals: Intervals) -> None:
        self.everything = intervals == [(0, _ADDRESSES)]
        packed = [(IPv6Address(low).packed, IPv6Address(high).packed) for low, high in intervals]
        # Byte strings compare as numbers of network order do; NumPy pads them with NUL.
        self._lows = np.array([low for low, _ in packed], "S16")
        self._highs = np.array([high for _, high in packed], "S16")

    def __call__(self, addresses: NDArray[np.uint8]) -> NDArray[np.bool_]:
        if not len(self._lows):
            return np.zeros(len(addresses), np.bool_)
        keys = np.ascontiguousarray(addresses).view("S16")[:, 0]
        at = np.searchsorted(self._lows, keys, "right") - 1
        inside: NDArray[np.bool_] = (at >= 0) & (keys <= self._highs[np.maximum(at, 0)])
        return inside


class _Ports:
    def __init__(self, intervals: Intervals) -> None:
        self.everything = intervals == [(0, 65_535)]
        self._table = np.zeros(65_536, np.bool_)
        for low, high in intervals:
            self._table[low : high + 1] = True
        count = sum(high - low + 1 for low, high in intervals)
        self.few: tuple[int, ...] = ()
        """The ports, if there are few enough to have a database each."""
        if count <= _FEW:
            self.few = tuple(p for low, high in intervals for p in range(low, high + 1))

    def __call__(self, ports: NDArray[np.uint16]) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self._table[ports]
        return found


class Sets:
    """Address and port sets of many rules, each expression read once."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self._variables = dict(VARIABLES) | dict(variables or {})
        self._addresses: dict[str, _Addresses] = {}
        self._ports: dict[str, _Ports] = {}

    def addresses(self, text: str) -> _Addresses:
        if text not in self._addresses:
            self._addresses[text] = _Addresses(read_addresses(text, self._variables))
        return self._addresses[text]

    def ports(self, text: str) -> _Ports:
        if text not in self._ports:
            self._ports[text] = _Ports(read_ports(text, self._variables))
        return self._ports[text]


_TRANSPORTS = {
    **{name: (TCP,) for name in ("tcp", "tcp-pkt", "http", "tls", "ssh", "ftp", "smtp", "smb")},
    **{"udp": (UDP,), "icmp": (ICMP, ICMPV6), "ip": (), "dns": (UDP, TCP)},
}


_NUMBERED = {ICMP: (0, 8, 13, 14, 15, 16, 17, 18), ICMPV6: (128, 129)}
"""Types of messages that have an identifier and a sequence number."""


def _only(
    test: HeaderTest, transports: tuple[int, ...], source: _Ports, target: _Ports
) -> tuple[int, ...] | None:
    """The protocols that have what the rule asks for, besides those it names; None: all have it."""
    asked = (test.icmp_type, test.icmp_code, test.icmp_id, test.icmp_sequence)
    if test.flags:
        return (TCP,) if asked == (None,) * 4 else ()
    if asked != (None,) * 4:
        return (ICMP, ICMPV6)
    return None if transports or (source.everything and target.everything) else (TCP, UDP)


class Header:
    """The header tests of one signature.

    Raises: ValueError for a set that can't be read or an unknown variable.
    """

    def __init__(self, signature: Signature, sets: Sets) -> None:
        self._test = signature.header
        self._transports = _TRANSPORTS[signature.transport]
        self._application = NUMBERS[signature.header.application]
        self._source = sets.addresses(signature.source)
        self._target = sets.addresses(signature.target)
        # ICMP has no ports: their columns hold type and code.
        ported = signature.transport != "icmp"
        self._source_ports = sets.ports(signature.source_ports if ported else "any")
        self._target_ports = sets.ports(signature.target_ports if ported else "any")
        self._both_ways = signature.both_ways
        self._ip_protocols = np.zeros(256, np.bool_)
        self._ip_protocols[sorted(self._test.ip_protocol or ())] = True
        sets_ = (self._source, self._target, self._source_ports, self._target_ports)
        self._anywhere = all(set_.everything for set_ in sets_)
        self._only = _only(self._test, self._transports, self._source_ports, self._target_ports)

    def places(self) -> Iterator[Place]:
        """Where packets that agree may be found; each of them is in one of these."""
        for transport in (t for t in self._transports or (-1,) if t != ICMPV6):
            for ports, side in ((self._target_ports, "target"), (self._source_ports, "source")):
                if len(ports.few):
                    for port in ports.few:
                        yield transport, side, port
                        if self._both_ways:
                            yield transport, "source" if side == "target" else "target", port
                    break
            else:
                yield transport, "", 0

    def narrow(self, packets: Packets, flows: Flows, some: Ints) -> Ints:
        """Those of the packets ``some`` whose headers agree."""
        test = self._test
        if self._transports:
            protocol = packets.protocol[some]
            agree = protocol == self._transports[0]
            for other in self._transports[1:]:
                agree |= protocol == other
            some = some[agree]
        else:
            # ARP has an invented protocol number, and is not IP.
            some = some[packets.protocol[some] != ARP]
        if self._only is not None:
            some = some[np.isin(packets.protocol[some], self._only)]
        steps: tuple[Callable[[Ints], NDArray[np.bool_]] | None, ...] = (
            None if self._anywhere else (lambda s: self._ends(packets, s)),
            (lambda s: self._flags(packets, s)) if test.flags else None,
            (lambda s: flows.to_server[s] == test.to_server)
            if test.to_server is not None
            else None,
            (lambda s: flows.established[s] == test.established)
            if test.established is not None
            else None,
            (lambda s: _within(packets.payload_bytes[s], test.payload_bytes))
            if test.payload_bytes
            else None,
            (lambda s: _within(packets.src_port[s], test.icmp_type)) if test.icmp_type else None,
            (lambda s: _within(packets.dst_port[s], test.icmp_code)) if test.icmp_code else None,
            (lambda s: _numbered(packets, s)) if test.numbered else None,
            (lambda s: _word(packets, s, -4) == test.icmp_id) if test.icmp_id is not None else None,
            (lambda s: _word(packets, s, -2) == test.icmp_sequence)
            if test.icmp_sequence is not None
            else None,
            (lambda s: (packets.src[s] == packets.dst[s]).all(axis=1))
            if test.same_address
            else None,
            (lambda s: self._ip_protocols[packets.protocol[s]])
            if test.ip_protocol is not None
            else None,
            (lambda s: self._speaks(flows.application[s])) if self._application else None,
        )
        for step in steps:
            if step is not None and len(some):
                some = some[step(some)]
        return some

    def _speaks(self, applications: NDArray[np.uint8]) -> NDArray[np.bool_]:
        agree: NDArray[np.bool_] = applications == self._application
        if self._application == NUMBERS["http"]:
            # A message that begins in the packet speaks for itself.
            agree |= applications == 0
        return agree

    def _ends(self, packets: Packets, some: Ints) -> NDArray[np.bool_]:
        there = self._one_way(
            packets.src[some], packets.dst[some], packets.src_port[some], packets.dst_port[some]
        )
        if self._both_ways:
            there |= self._one_way(
                packets.dst[some], packets.src[some], packets.dst_port[some], packets.src_port[some]
            )
        return there

    def _one_way(
        self,
        source: NDArray[np.uint8],
        target: NDArray[np.uint8],
        source_port: NDArray[np.uint16],
        target_port: NDArray[np.uint16],
    ) -> NDArray[np.bool_]:
        agree = np.ones(len(source), np.bool_)
        if not self._target_ports.everything:
            agree &= self._target_ports(target_port)
        if not self._source_ports.everything:
            agree &= self._source_ports(source_port)
        if not self._source.everything:
            agree &= self._source(source)
        if not self._target.everything:
            agree &= self._target(target)
        return agree

    def _flags(self, packets: Packets, some: Ints) -> NDArray[np.bool_]:
        assert self._test.flags is not None  # noqa: S101
        how, bits, ignored = self._test.flags
        flags = packets.flags[some] & np.uint8(255 & ~ignored)
        bits &= ~ignored
        agree: NDArray[np.bool_]
        if how == "=":
            agree = flags == bits
        elif how == "+":
            agree = flags & bits == bits
        elif how == "*":
            agree = flags & bits != 0
        else:
            agree = flags & bits == 0
        return agree


def _within(values: NDArray[np.integer], range_: tuple[int, int] | None) -> NDArray[np.bool_]:
    if range_ is None:
        return np.ones(len(values), np.bool_)
    return (values >= range_[0]) & (values <= range_[1])


def _numbered(packets: Packets, some: Ints) -> NDArray[np.bool_]:
    """Whether a message has an identifier and a sequence number."""
    agree = np.zeros(len(some), np.bool_)
    for protocol, types in _NUMBERED.items():
        agree |= (packets.protocol[some] == protocol) & np.isin(packets.src_port[some], types)
    return agree


def _word(packets: Packets, some: Ints, at: int) -> Ints:
    """The 16-bit number ``at`` bytes from the payload's begin (which never begins a block)."""
    return (
        rows(packets.data, packets.payload_offset[some] + at, 2).view(">u2")[:, 0].astype(np.int64)
    )
