"""The one form of an address, what it is for, and the IPv4 address that an IPv6 address carries.

Pure, and on the ground floor, so that settings, cores and shells compare addresses in one way.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, NamedTuple

from ontology.host_profile import Address

Network = IPv4Network | IPv6Network

_MAPPED: Final = IPv6Network("::ffff:0:0/96")  # RFC 4291 section 2.5.5.2
_COMPATIBLE: Final = IPv6Network("::/96")  # RFC 4291 section 2.5.5.1, deprecated
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052 section 2.1
_NAT64_LOCAL: Final = IPv6Network("64:ff9b:1::/48")  # RFC 8215
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")  # RFC 3056
_TEREDO: Final = IPv6Network("2001::/32")  # RFC 4380 section 4
_BROADCAST: Final = IPv4Address("255.255.255.255")  # RFC 919
_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")  # RFC 1122 section 3.2.1.3
_RESERVED: Final = IPv4Network("240.0.0.0/4")  # RFC 1112 section 4
_LOW_32: Final = 0xFFFFFFFF


class Embedded(NamedTuple):
    """An IPv4 address that an IPv6 address carries."""

    form: str
    """Name of the form, e.g. ``6to4``."""
    address: IPv4Address
    certain: bool
    """True: the prefix alone says where the IPv4 address stands. False: one of several readings."""


def canonical(address: Address) -> Address:
    """The one form in which addresses are compared, stored and given to the kernel.

    An IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2) is the IPv4 address; a scope id, which
    only the host itself understands and which may hold any text, is dropped.
    """
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def packed(address: Address) -> bytes:
    """16 network-order bytes, as in `ontology.connection_batch.CONNECTION`; IPv4 mapped into
    IPv6."""
    if address.version == 4:
        return b"\0" * 10 + b"\xff\xff" + address.packed
    return address.packed


def to_address(raw: bytes) -> Address:
    """Those 16 bytes (zeros at the end may be missing) as address; IPv4-mapped becomes IPv4."""
    address = IPv6Address(raw.ljust(16, b"\0"))
    return address.ipv4_mapped or address


def canonical_network(network: Network) -> Network:
    """An IPv4-mapped network as the IPv4 network that it means.

    A network that holds more than the mapped ones (``::/0``) speaks of IPv6 only.
    """
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        first = int(network.network_address) & _LOW_32
        return IPv4Network((first, network.prefixlen - _MAPPED.prefixlen))
    return network


def purpose(address: Address) -> str | None:
    """What a canonical address that belongs to no single host is, with its article; else None."""
    if address.is_unspecified:
        return "the unspecified address"
    if address.is_loopback:
        return "a loopback address"
    if address.is_multicast:
        return "a multicast address"
    if address == _BROADCAST:
        return "the broadcast address"
    if address.is_link_local:
        return "a link-local address"
    if isinstance(address, IPv4Address) and (address in _THIS_NETWORK or address in _RESERVED):
        return "a reserved address"
    return None


def embedded(address: Address) -> tuple[Embedded, ...]:
    """The IPv4 addresses that a canonical IPv6 address carries in a form that routers know.

    Only forms whose prefix is nobody's to choose: what a host may put into its own interface
    identifier (ISATAP, RFC 5214) would let an attacker take on the form of an allowed host.
    Teredo: the client's address, to which its packets are tunnelled, not the server's.
    """
    if not isinstance(address, IPv6Address):
        return ()
    number = int(address)
    if address in _COMPATIBLE:
        if number <= 1:  # unspecified and loopback are no IPv4 addresses
            return ()
        return (Embedded("IPv4-compatible", IPv4Address(number & _LOW_32), True),)
    if address in _NAT64:
        return (Embedded("NAT64", IPv4Address(number & _LOW_32), True),)
    if address in _SIX_TO_FOUR:
        return (Embedded("6to4", IPv4Address(number >> 80 & _LOW_32), True),)
    if address in _TEREDO:
        return (Embedded("Teredo", IPv4Address(~number & _LOW_32), False),)
    if address in _NAT64_LOCAL:
        return tuple(Embedded("NAT64", found, False) for found in _local_nat64(number))
    return ()


def _local_nat64(number: int) -> tuple[IPv4Address, ...]:
    """Readings of an address of 64:ff9b:1::/48 by each prefix length that RFC 6052 section 2.2 has.

    Bits 64 to 71 are zero in all of them, and so is what follows the IPv4 address.
    """
    if number >> 56 & 0xFF:
        return ()
    joined = (number >> 64) << 56 | number & ((1 << 56) - 1)  # 120 bits, without the zero octet
    found = []
    for length in (48, 56, 64):
        after = 120 - length - 32
        if not joined & ((1 << after) - 1):
            found.append(IPv4Address(joined >> after & _LOW_32))
    found.append(IPv4Address(number & _LOW_32))
    return tuple(dict.fromkeys(found))
