"""Whom a decoy's log names as source when address translation stands between it and strangers.

Docker's user-land proxy (IPv6 from outside, and the host's own calls), rootless containers and
gateways that masquerade put their own address in place of the stranger's. Such a line tells of a
visit, but not whose: blocking its source would block the decoy's own network.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network

from agents.sensor.inputs.events import Host, host

_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
"""RFC 1918 section 3, RFC 4193 section 3. (Not `ipaddress`'s ``is_private``: documentation's ranges
and others are no networks behind translation.)"""
_PREFIXES = {4: (16, 20, 24), 6: (64,)}
"""Of container networks: Docker's pools of 172.17.0.0/16 … and 192.168.0.0/20 …, Podman's and
Kubernetes' /24; /64 for IPv6."""
_SLIRP = (ip_network("10.0.2.0/24"), 2)
"""QEMU's and slirp4netns' user-mode network: everybody comes from its second address."""


def is_own_gateway(source: Host, local: Host) -> bool:
    """Whether ``source`` is the decoy itself, or the gateway of its private network: the first
    address there. Other neighbours are hosts, and can be attackers."""
    # Asked at every line: bytes are hashed in C, addresses in Python.
    return _is_own_gateway(source.packed, local.packed)


@lru_cache(maxsize=4096)
def _is_own_gateway(source_bytes: bytes, local_bytes: bytes) -> bool:
    source, local = (host(str(IPv6Address(one))) for one in (source_bytes, local_bytes))
    if source.value.is_loopback or source.value == local.value:
        return True
    if source.version != local.version or not _is_private(local):
        return False
    network, number = _SLIRP
    if local.value in network and source.value == network[number]:
        return True
    return any(source.value == _network(local, length)[1] for length in _PREFIXES[local.version])


def _is_private(one: Host) -> bool:
    return any(one.value in network for network in _PRIVATE)


def _network(one: Host, length: int) -> IPv4Network | IPv6Network:
    return ip_network(f"{one.value}/{length}", strict=False)
