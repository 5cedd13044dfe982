"""Where addresses live, seen from a node's interfaces: by the honeynet file and by its routes.

Pure: `agents.base.kernel_addresses` asks the kernel, `agents.sensor.sides` judges by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agents.settings.node_sections import Side
from ontology.addresses import canonical
from ontology.records import Address

Bits = NDArray[np.uint8]

MAX_ROUTES: Final = 65_536
"""Routes that count; of a longer table none does, only the addresses that the file names."""

OWN, OTHERS, LOCAL, HERE, ELSEWHERE, DEFAULT, SPECIAL = 1, 2, 4, 8, 16, 32, 64
"""What is known of an address: the file names it as this node's or a honeypot's behind it, or as
another node's; this host has it; it is routed through this side, through another, by a default
route; it is no host's (a DHCP client's 0.0.0.0, link-local, multicast: each link has its own)."""
_NO_HOST: Final = tuple(
    ip_network(text)
    for text in ("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/128", "fe80::/10", "ff00::/8")
)
_V4 = 0xFFFF << 32
_END = 1 << 128


class Ground:
    """Where addresses live, as seen from one interface. Immutable.

    Args:
        names: the interface, and the others of its side.
        own: the node's addresses and honeypots, as the file has them.
        others: those of other nodes.
    """

    def __init__(
        self,
        names: frozenset[str],
        own: Iterable[Address] = (),
        others: Iterable[Address] = (),
        routes: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        known: dict[tuple[int, int], int] = {}
        for route in routes if len(routes) <= MAX_ROUTES else ():
            for place, value in _place(route, names):
                known[place] = known.get(place, 0) | value
        self.reached = any(value & HERE for value in known.values())
        """Whether the kernel routes anything through this side."""
        # IPv4 addresses stand among those of IPv6, whose default is none of theirs.
        known.setdefault(_range(IPv4Network("0.0.0.0/0")), 0)
        for network in _NO_HOST:
            known[_range(network)] = SPECIAL
        routed = _Ranges(known)
        for named, bit in ((others, OTHERS), (own, OWN)):
            for address in named:
                place = _range(ip_network(canonical(address)))
                known[place] = routed.one(place[0]) | bit
        self._ranges = _Ranges(known)

    def look_up(self, addresses: NDArray[np.uint8], versions: NDArray[np.uint8]) -> Bits:
        """What is known of each of (n, 16) bytes: bits of `OWN` and its neighbours, 0: nothing."""
        return self._ranges.many(addresses, versions)


def lives_inside(known: Bits) -> NDArray[np.bool_]:
    """Seen from the outside: named, this host's, or routed elsewhere than outside and not by
    default."""
    routed = (known & (ELSEWHERE | HERE | DEFAULT)) == ELSEWHERE
    inside: NDArray[np.bool_] = (known & (OWN | OTHERS | LOCAL) > 0) | routed
    return inside


class _Ranges:
    """Disjoint ranges of 128-bit addresses, each with a value; of nested ones the smallest."""

    def __init__(self, known: Mapping[tuple[int, int], int]) -> None:
        found: dict[int, int] = {0: 0}
        open_: list[tuple[int, int]] = [(_END, 0)]
        for (first, last), value in sorted(known.items(), key=lambda x: (x[0][0], -x[0][1])):
            while open_[-1][0] < first:
                end, _ = open_.pop()
                found[end + 1] = open_[-1][1]
            found[first] = value
            open_.append((last, value))
        while len(open_) > 1:
            end, _ = open_.pop()
            if end + 1 < _END:
                found[end + 1] = open_[-1][1]
        starts = sorted(found)
        values = np.array([found[start] for start in starts], np.uint8)
        self._values = values
        self._starts = np.array([s.to_bytes(16, "big") for s in starts], "S16")
        inside4 = [n for n, s in enumerate(starts) if s >> 32 == 0xFFFF]
        self._starts4 = np.array([0, *(starts[n] & 0xFFFFFFFF for n in inside4)], np.uint32)
        self._values4 = np.append(np.uint8(self.one(_V4)), values[inside4])

    def one(self, address: int) -> int:
        place = np.searchsorted(self._starts, np.bytes_(address.to_bytes(16, "big")), "right")
        return int(self._values[place - 1])

    def many(self, addresses: NDArray[np.uint8], versions: NDArray[np.uint8]) -> Bits:
        # All as IPv4 first: of the addresses of IPv6 the last four bytes, which are done again.
        low = addresses.view(">u4")[:, 3].astype(np.uint32)
        out = self._values4[np.searchsorted(self._starts4, low, "right") - 1]
        six = np.flatnonzero(versions == 6)
        if len(six):
            whole = np.ascontiguousarray(addresses[six]).view("S16")[:, 0]
            out[six] = self._values[np.searchsorted(self._starts, whole, "right") - 1]
        return out


def _range(network: IPv4Network | IPv6Network) -> tuple[int, int]:
    base = _V4 if network.version == 4 else 0
    return base + int(network.network_address), base + int(network.broadcast_address)


def _place(
    route: Mapping[str, Any], names: frozenset[str]
) -> Iterator[tuple[tuple[int, int], int]]:
    """The range of a route of ``ip -j route`` with its value; none if it leads nowhere."""
    kind = route.get("type", "unicast")
    text = str(route.get("dst", ""))
    hops = [route.get("dev"), *(hop.get("dev") for hop in route.get("nexthops", ()))]
    if kind not in ("unicast", "local", "anycast"):
        return
    if text == "default":
        # Without a gateway's family the text does not tell which default it is: it is both.
        networks = [ip_network("0.0.0.0/0"), ip_network("::/0")]
        networks = [n for n in networks if route.get("family", n.version) == n.version]
    else:
        try:
            networks = [ip_network(text, strict=False)]
        except ValueError:
            return
    value = 0
    if kind != "unicast":
        value = LOCAL
    for hop in hops if kind == "unicast" else ():
        if hop is not None:
            value |= HERE if hop in names else ELSEWHERE
    for network in networks:
        if not any(network.version == n.version and network.subnet_of(n) for n in _NO_HOST):  # type: ignore[arg-type]
            yield _range(network), value | (0 if network.prefixlen else DEFAULT)


@dataclass(frozen=True, slots=True)
class Grounds:
    """What is known of each interface that is judged; made anew when routes change."""

    sides: Mapping[str, Side] = field(default_factory=dict)
    by_name: Mapping[str, Ground] = field(default_factory=dict)
    other: Mapping[str, Ground] = field(default_factory=dict)
    """Of interfaces that the file gives no side: only routes are asked."""


def make_grounds(
    sides: Mapping[str, Side],
    own: Iterable[Address],
    others: Iterable[Address] = (),
    links: Sequence[Mapping[str, Any]] = (),
    routes: Sequence[Mapping[str, Any]] = (),
) -> Grounds:
    """From ``ip -j addr show`` and ``ip -j route show table all`` (with ``family``: 4 or 6)."""
    own, others = [*own], [*others]
    families = {side: _family(sides, side, links) for side in ("outside", "inside")}
    made = {side: Ground(names, own, others, routes) for side, names in families.items()}
    by_name = {name: made[side] for name, side in sides.items() if side != "tap"}
    names = [str(link["ifname"]) for link in links if "ifname" in link][:256]
    other = {
        name: Ground(_family({name: "outside"}, "outside", links), routes=routes)
        for name in names
        if name not in sides and name != "lo"
    }
    return Grounds(dict(sides), by_name, other)


def _family(
    sides: Mapping[str, Side], side: str, links: Sequence[Mapping[str, Any]]
) -> frozenset[str]:
    """Interfaces of a side, with the bridge or bond that they are ports of (routes name that one)
    and the VLANs on them."""
    names = {name for name, given in sides.items() if given == side}
    more = set(names)
    for link in links:
        if link.get("ifname") in names and link.get("master"):
            more.add(str(link["master"]))
        if link.get("link") in names and link.get("ifname") not in sides:
            more.add(str(link.get("ifname")))
    return frozenset(more)
