"""Where addresses live, against a search of the routes one by one."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.sensor.grounds import (
    DEFAULT,
    ELSEWHERE,
    HERE,
    LOCAL,
    OTHERS,
    OWN,
    SPECIAL,
    Ground,
    lives_inside,
    make_grounds,
)
from ontology.records import Address, Network
from tests.factories import packed

FOUR = st.builds(
    lambda bits, size: IPv4Network((bits & ((1 << size) - 1) << (32 - size), size)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)
SIX = st.builds(
    lambda bits, size: IPv6Network((bits & ((1 << size) - 1) << (128 - size), size)),
    st.integers(0, 2**128 - 1),
    st.integers(0, 128),
)
ROUTES = st.lists(st.tuples(st.one_of(FOUR, SIX), st.sampled_from(["wan0", "lan0"])), max_size=12)


def look_up(ground: Ground, *addresses: Address | str) -> list[int]:
    parsed = [ip_address(address) for address in addresses]
    rows = np.array([packed(address) for address in parsed], np.uint8).reshape(-1, 16)
    versions = np.array([address.version for address in parsed], np.uint8)
    return [int(value) for value in ground.look_up(rows, versions)]


def listing(routes: list[tuple[Network, str]]) -> list[dict[str, Any]]:
    return [{"dst": str(n), "dev": dev, "family": n.version} for n, dev in routes]


@given(ROUTES, st.data())
def test_the_longest_prefix_wins(routes: list[tuple[Network, str]], data: st.DataObject) -> None:
    ground = Ground(frozenset({"wan0"}), routes=listing(routes))
    edges = [
        edge + step
        for network, _ in routes
        for edge, step in ((network.network_address, -1), (network.broadcast_address, 1))
        if 0 <= int(edge) + step < 2**network.max_prefixlen
    ]
    edges += [a for n, _ in routes for a in (n.network_address, n.broadcast_address)]
    edges += [data.draw(st.builds(IPv4Address, st.integers(0, 2**32 - 1)))]
    edges += [data.draw(st.builds(IPv6Address, st.integers(0, 2**128 - 1)))]
    for address, found in zip(edges, look_up(ground, *edges), strict=True):
        if found & SPECIAL or (isinstance(address, IPv6Address) and address.ipv4_mapped):
            continue
        fits = [(n, dev) for n, dev in routes if n.version == address.version and address in n]
        longest = max((n.prefixlen for n, _ in fits), default=-1)
        wanted = 0
        for network, device in fits:
            if network.prefixlen == longest:
                wanted |= HERE if device == "wan0" else ELSEWHERE
        assert found == wanted | (DEFAULT if longest == 0 else 0)


def test_what_the_file_names_counts_whatever_is_routed() -> None:
    routes = [
        {"dst": "default", "dev": "wan0", "family": 4},
        {"dst": "198.51.100.0/24", "nexthops": [{"dev": "wan0"}, {"dev": "lan0"}], "family": 4},
        {"type": "local", "dst": "192.0.2.1", "dev": "wan0", "family": 4},
        {"type": "broadcast", "dst": "192.0.2.255", "dev": "wan0", "family": 4},
        {"type": "blackhole", "dst": "203.0.113.0/24", "family": 4},
        {"dst": "not a network", "dev": "wan0"},
        {"dev": "wan0"},
    ]
    own, others = [ip_address("198.51.100.18")], [ip_address("203.0.113.9")]
    ground = Ground(frozenset({"wan0"}), own, others, routes)
    found = look_up(
        ground, "198.51.100.18", "203.0.113.9", "198.51.100.19", "192.0.2.1", "192.0.2.255",
        "203.0.113.8", "2001:db8::1", "169.254.1.1", "fe80::1", "ff02::1",
    )  # fmt: skip
    far = DEFAULT | HERE
    assert found == [
        OWN | HERE | ELSEWHERE, OTHERS | far, HERE | ELSEWHERE, LOCAL, far,
        far, 0, SPECIAL, SPECIAL, SPECIAL,
    ]  # fmt: skip
    inside = lives_inside(np.array(found, np.uint8))
    # A network that is reached both ways may come from either.
    assert inside.tolist() == [True, True, False, True, False, False, False, False, False, False]


@pytest.mark.parametrize(
    ("links", "device"),
    [
        ([{"ifname": "eth0", "master": "br0"}], "br0"),
        ([{"ifname": "eth0.10", "link": "eth0"}], "eth0.10"),
        ([], "eth0"),
    ],
)
def test_a_port_of_a_bridge_and_the_vlans_of_a_card_are_one_side(
    links: list[dict[str, Any]], device: str
) -> None:
    routes = [{"dst": "192.0.2.0/24", "dev": device, "family": 4}]
    grounds = make_grounds({"eth0": "outside"}, [], [], links, routes)
    assert look_up(grounds.by_name["eth0"], "192.0.2.9") == [HERE]


def test_a_vlan_with_a_side_of_its_own_keeps_it() -> None:
    links = [{"ifname": "eth0.20", "link": "eth0"}]
    routes = [{"dst": "198.51.100.0/24", "dev": "eth0.20", "family": 4}]
    grounds = make_grounds({"eth0": "outside", "eth0.20": "inside"}, [], [], links, routes)
    assert look_up(grounds.by_name["eth0"], "198.51.100.9") == [ELSEWHERE]
    assert look_up(grounds.by_name["eth0.20"], "198.51.100.9") == [HERE]
