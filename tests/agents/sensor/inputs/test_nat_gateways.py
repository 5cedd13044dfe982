"""Decoys behind address translation: their own gateway is nobody to blame."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest

from agents.sensor.inputs.events import host
from agents.sensor.inputs.nat_gateways import is_own_gateway


@pytest.mark.parametrize(
    ("source", "local"),
    [
        ("172.17.0.1", "172.17.0.3"),
        ("172.18.0.1", "172.18.0.2"),
        ("192.168.16.1", "192.168.20.5"),
        ("10.88.4.1", "10.88.4.7"),
        ("10.0.2.2", "10.0.2.100"),
        ("127.0.0.1", "172.18.0.2"),
        ("172.18.0.2", "172.18.0.2"),
        ("fd00:dead::1", "fd00:dead::5"),
        ("::1", "fd00:dead::5"),
    ],
)
def test_gateways(source: str, local: str) -> None:
    assert is_own_gateway(host(source), host(local))


@pytest.mark.parametrize(
    ("source", "local"),
    [
        ("192.0.2.66", "172.18.0.2"),
        ("192.0.2.1", "192.0.2.18"),  # no private network
        ("198.51.100.1", "198.51.100.18"),
        ("10.0.0.66", "10.0.0.5"),  # a neighbour, who may be an attacker
        ("172.17.0.1", "10.0.0.5"),
        ("2001:db8::1", "2001:db8::18"),
        ("2001:db8::66", "172.18.0.2"),
    ],
)
def test_strangers_and_neighbours(source: str, local: str) -> None:
    assert not is_own_gateway(host(source), host(local))


@pytest.mark.parametrize("kind", ["cowrie", "dionaea"])
def test_visits_through_the_gateway_accuse_nobody_and_are_told(
    parse: Any, lines: Any, kind: str
) -> None:
    def through(line: str) -> str:
        event = json.loads(line)
        local = {"dst_ip": "172.17.0.3"} if "dst_ip" in event else {}
        return json.dumps(event | {"src_ip": "172.17.0.1"} | local)

    seen = parse(kind, *map(through, lines[kind]))
    assert (len(seen.rows), seen.alerts) == (0, [])
    assert seen.counters["refused.translated"] == len(lines[kind])


FAMILIES = [
    # Outside, the log's own, configured: whom it counts against.
    ("2001:db8::66", "2001:db8::18", ["198.51.100.18"], "2001:db8::18"),
    ("2001:db8::66", "172.18.0.2", ["198.51.100.18"], "198.51.100.18"),
    ("2001:db8::66", "172.18.0.2", [], "172.18.0.2"),
    ("2001:db8::66", "172.18.0.2", ["198.51.100.18", "2001:db8::18"], "2001:db8::18"),
    ("192.0.2.66", "172.18.0.2", ["198.51.100.18", "2001:db8::18"], "198.51.100.18"),
    ("192.0.2.66", "172.18.0.2", ["2001:db8::18"], "172.18.0.2"),
]


@pytest.mark.parametrize("kind", ["cowrie", "dionaea"])
@pytest.mark.parametrize(("source", "local", "configured", "target"), FAMILIES)
def test_a_decoy_of_two_families_counts_in_both(
    parse: Any,
    lines: Any,
    kind: str,
    source: str,
    local: str,
    configured: list[str],
    target: str,
) -> None:
    def event(line: str) -> str:
        old = json.loads(line)
        return json.dumps(old | {"src_ip": source} | ({"dst_ip": local} if "dst_ip" in old else {}))

    address = tuple(map(ip_address, configured)) or None
    seen = parse(kind, *map(event, lines[kind]), address=address)
    assert seen.counters["refused"] == 0
    assert seen.rows["failed_logins"].sum() > 0
    for row in seen.rows:
        assert row["src"].tobytes() == host(source).packed
        assert row["dst"].tobytes() == host(target).packed
