"""What the kernel has, from its own listings and from a kernel with known addresses."""

from __future__ import annotations

import os
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from agents.base.kernel_addresses import from_listings
from agents.base.protected import Protected
from datasets.laboratory.network import run_in_sandbox, why_unavailable

LINKS = [
    {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}, {"local": "::1"}]},
    {
        "ifname": "eth0",
        "addr_info": [
            {"local": "192.0.2.2", "prefixlen": 24, "broadcast": "192.0.2.255"},
            {"local": "fe80::1", "prefixlen": 64},
        ],
    },
    {"ifname": "ppp0", "addr_info": [{"local": "198.51.100.2", "address": "198.51.100.1"}]},
    {"ifname": "ifb0", "addr_info": []},
]
ROUTES = [
    {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
    {"dst": "203.0.113.0/24", "nexthops": [{"gateway": "192.0.2.3"}, {"gateway": "192.0.2.4"}]},
    {"dst": "10.0.0.0/8", "via": {"family": "inet6", "host": "2001:db8::9"}},
    {"type": "local", "dst": "127.0.0.0/8"},
    {"type": "local", "dst": "192.0.2.77"},
    {"type": "broadcast", "dst": "192.0.2.127"},
    {"type": "anycast", "dst": "2001:db8::"},
    {"type": "unreachable", "dst": "default"},
]


def texts(addresses: object) -> list[str]:
    return [str(address) for address in addresses]  # type: ignore[attr-defined]


def test_listings() -> None:
    found = from_listings("gw1", LINKS, ROUTES)
    assert texts(found.own_addresses) == ["192.0.2.2", "192.0.2.77", "198.51.100.2", "2001:db8::"]
    assert texts(found.routers) == [
        "192.0.2.1",
        "192.0.2.3",
        "192.0.2.4",
        "198.51.100.1",
        "2001:db8::9",
    ]
    assert texts(found.broadcasts) == ["192.0.2.127", "192.0.2.255"]
    assert found == from_listings("gw1", LINKS[::-1], ROUTES[::-1])
    assert found.id != from_listings("gw1", LINKS[:1], ROUTES).id
    assert found.id != from_listings("gw2", LINKS, ROUTES).id


def test_a_great_many_are_cut_and_told(caplog: pytest.LogCaptureFixture) -> None:
    routes = [{"dst": "default", "gateway": f"10.0.{n // 250}.{n % 250}"} for n in range(600)]
    assert len(from_listings("gw1", [], routes).routers) == 250
    assert "600" in caplog.text


SCRIPT = """
import subprocess, sys
from agents.base.kernel_addresses import read_kernel_addresses
def ip(*arguments): subprocess.run(["ip", *arguments], check=True)
ip("link", "add", "up0", "type", "veth", "peer", "name", "far0")
ip("addr", "add", "100.64.7.2/25", "brd", "+", "dev", "up0")
ip("addr", "add", "2001:db8:7::2/64", "dev", "up0", "nodad")
ip("link", "set", "far0", "up")
ip("link", "set", "up0", "up")
ip("route", "add", "default", "via", "100.64.7.1")
ip("route", "add", "2001:db8:8::/48", "via", "2001:db8:7::1")
found = read_kernel_addresses("gw1")
print(*found.own_addresses, "|", *found.routers, "|", *found.broadcasts)
"""


@pytest.mark.root
def test_the_kernel_itself() -> None:
    if reason := why_unavailable():
        pytest.skip(reason)
    with run_in_sandbox(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    own, routers, broadcasts = (part.split() for part in out.split("|"))
    assert {"100.64.7.2", "2001:db8:7::2"} <= set(own)
    assert routers == ["100.64.7.1", "2001:db8:7::1"]
    assert broadcasts == ["100.64.7.127"]


def test_the_broadcast_address_of_an_own_network_is_refused() -> None:
    judge = Protected().with_kernel(from_listings("gw1", LINKS, ROUTES))
    assert judge.refusal(ip_address("192.0.2.255")) == (
        "192.0.2.255 is the broadcast address of a network of gateway gw1"
    )
    assert judge.refusal(ip_address("64:ff9b::192.0.2.1")) is not None
    assert judge.refusal(ip_address("192.0.2.5")) is None


@pytest.mark.root
def test_routes_can_be_read_by_a_confined_agent(tmp_path: Path) -> None:
    """A sensor has no capability and a filter of system calls when it asks, every ten seconds."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    script = """
import sys
from pathlib import Path
from agents.base import confinement
from agents.base.kernel_addresses import read_links_and_routes
from ontology import landlock
from ontology.landlock import Allowed

state = Path(sys.argv[1])
paths = tuple(landlock.program(state, executes=True))
confinement.give_up(Allowed(paths, connect=()), state=state, as_whom=(65534, 65534),
                    capabilities=(), families=(), executes=True)
links, routes = read_links_and_routes()
print(sorted(link["ifname"] for link in links), {route["family"] for route in routes})
"""
    done = subprocess.run(
        ["unshare", "--net", "sh", "-ec", 'ip link set lo up; exec "$0" -c "$1" "$2"',
         sys.executable, script, str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "['lo'] {4, 6}\n", done.stderr
