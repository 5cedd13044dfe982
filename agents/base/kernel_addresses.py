"""The addresses that this host's kernel has: its own, its routers', its broadcast addresses; with
those of `agents.base.host_peers`.

A file can be silent or out of date about them (DHCP, a second provider, a container bridge); the
kernel is not. Asked with ``ip`` of iproute2, in the network namespace of the caller.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from agents.base.host_peers import HostPeers, NameLookups, read_host_peers
from ontology.addresses import canonical, purpose
from ontology.gateway_addresses import MAX_ADDRESSES, GatewayAddresses
from ontology.records import Address

logger = logging.getLogger(__name__)

_LIMIT_S: Final = 10.0


class KernelAddressesError(RuntimeError):
    """The kernel could not be asked; one line that says why."""


def read_kernel_addresses(node: str, names: NameLookups | None = None) -> GatewayAddresses:
    """What this host has now; blocks for some milliseconds, or while names are looked up.

    Raises: KernelAddressesError
    """
    return from_listings(node, *read_links_and_routes(), read_host_peers(names))


def read_links_and_routes() -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
    """What ``ip -j addr show`` and ``ip -j route show table all`` say; each route with its
    ``family``, 4 or 6.

    Raises: KernelAddressesError
    """
    routes = [
        {**route, "family": family}
        for family in (4, 6)
        for route in _ask(f"-{family}", "route", "show", "table", "all")
    ]
    return _ask("addr", "show"), routes


def from_listings(
    node: str,
    links: Iterable[Mapping[str, Any]],
    routes: Iterable[Mapping[str, Any]],
    peers: HostPeers | None = None,
) -> GatewayAddresses:
    """From ``ip -j addr show``, ``ip -j route show table all`` and whom the host needs. Pure.

    What is no host's anyway (loopback, link-local …) is left out: nobody may block that. The same
    addresses give the same id.
    """
    own: set[Address] = set()
    routers: set[Address] = set()
    broadcasts: set[Address] = set()
    for link in links:
        for entry in link.get("addr_info", ()):
            own |= _parsed(entry.get("local"))
            broadcasts |= _parsed(entry.get("broadcast"))
            # The other end of a point-to-point link: packets go there without a next hop's name.
            routers |= _parsed(entry.get("address"))
    for route in routes:
        kind = route.get("type", "unicast")
        if kind == "broadcast":
            broadcasts |= _parsed(route.get("dst"))
        elif kind in ("local", "anycast"):
            own |= _parsed(route.get("dst"))
        for hop in _next_hops(route):
            routers |= _parsed(hop)
    peers = peers or HostPeers()
    kinds = (
        *(own, routers, broadcasts),
        *(peers.name_servers, peers.message_servers, peers.logins, peers.allowed),
    )
    if any(len(kind) > MAX_ADDRESSES for kind in kinds):
        logger.warning(
            "there are %s own, router, broadcast, name server, XMPP, login and allowed addresses;"
            " the first %d of each count",
            *(" + ".join(str(len(kind)) for kind in kinds), MAX_ADDRESSES),
        )
    kept = tuple(map(_sorted, kinds))
    return GatewayAddresses(
        id=uuid5(NAMESPACE_URL, "|".join((node, *map(str, kept)))).urn,
        node=node,
        own_addresses=kept[0],
        routers=kept[1],
        broadcasts=kept[2],
        name_servers=kept[3],
        message_servers=kept[4],
        logins=kept[5],
        allowed_hosts=kept[6],
    )


def _next_hops(route: Mapping[str, Any]) -> Iterator[object]:
    for hop in (route, *route.get("nexthops", ())):
        yield hop.get("gateway")
        yield hop.get("via", {}).get("host")  # a next hop of the other family, RFC 5549


def _parsed(text: object) -> set[Address]:
    """The one address that a text names; none for a network, a word or what is no host's."""
    try:
        address = canonical(ip_address(str(text)))
    except ValueError:
        return set()
    return set() if purpose(address) is not None else {address}


def _sorted(addresses: Iterable[Address]) -> tuple[Address, ...]:
    return tuple(sorted(addresses, key=lambda a: (a.version, int(a)))[:MAX_ADDRESSES])


def _ask(*arguments: str) -> Sequence[Mapping[str, Any]]:
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    command = shutil.which("ip", path=path)
    if command is None:
        raise KernelAddressesError("the command 'ip' is missing (Debian package iproute2)")
    try:
        done = subprocess.run(
            [command, "-j", *arguments],
            env={"PATH": path, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise KernelAddressesError(f"ip {' '.join(arguments)}: {said[0][:200]}")
        found = json.loads(done.stdout or "[]")
    except subprocess.TimeoutExpired as e:
        raise KernelAddressesError(f"ip did not end within {_LIMIT_S:g} s") from e
    except ValueError as e:
        raise KernelAddressesError(f"ip {' '.join(arguments)} did not answer in JSON") from e
    except OSError as e:  # no descriptors, for now
        raise KernelAddressesError(f"ip can't be started: {e.strerror}") from e
    return [entry for entry in found if isinstance(entry, dict)]
