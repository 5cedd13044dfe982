"""A packet of our own in the name of nobody's address: what a rule makes of it is what the kernel
does, not what a listing says.

It goes over the loopback interface and meets the hooks of what comes in. ``IP_TRANSPARENT``
(ip(7)) lets us send from an address that isn't ours; it takes CAP_NET_ADMIN, no raw socket.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from agents.reaction.firewall import Firewall
from ontology.records import Address

_PROOF_S: Final = 2.0
"""The block ends by itself if we die meanwhile."""
NOBODY: Final[dict[int, Address]] = {4: IPv4Address("192.0.0.8"), 6: IPv6Address("100::1")}
"""The IPv4 dummy address (RFC 7600) and one of the discard-only prefix (RFC 6666), by version: no
host on any network has them."""
_IPV6_TRANSPARENT: Final = 75
_IP_TRANSPARENT: Final = 19
_SIOCGIFFLAGS: Final = 0x8913
_IFF_UP: Final = 0x1
_DISCARD: Final = 9
"""Port of a service that throws everything away (RFC 863)."""


def send_from(address: Address) -> bool:
    """Send an empty datagram in its name to our own loopback address.

    False where that can't be tried: no loopback interface that is up, no such family, no right.
    """
    if address.version == 4:
        family, level, option, here = socket.AF_INET, socket.SOL_IP, _IP_TRANSPARENT, "127.0.0.1"
    else:
        family, level, option, here = socket.AF_INET6, socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, "::1"
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            # Of one that was up before, routes are left: what is sent vanishes.
            asked = fcntl.ioctl(sock, _SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))
            if not struct.unpack_from("16sH", asked)[1] & _IFF_UP:
                return False
            sock.setsockopt(level, option, 1)
            sock.bind((str(address), 0))
            sock.sendto(b"", (here, _DISCARD))
    except OSError:
        return False
    return True


def prove(firewall: Firewall, addresses: Iterable[Address]) -> str:
    """Block each for a moment and send a packet in its name: empty if the firewall counts one more
    that was dropped, or it can't be tried; else what is wrong.

    Raises: FirewallError.
    """
    return next(filter(None, (_prove(firewall, address) for address in addresses)), "")


def _prove(firewall: Firewall, address: Address) -> str:
    if firewall.remaining(address) is not None:
        return ""  # somebody means it
    counter = f"blocked{address.version}"
    before = firewall.counters()[counter]
    firewall.block(address, _PROOF_S)
    try:
        sent = send_from(address)
    finally:
        firewall.unblock(address)
    if sent and firewall.counters()[counter] == before:
        return f"a packet from a blocked IPv{address.version} address was not dropped"
    return ""
