"""Addresses that the host of a gateway has or needs: the record `GatewayAddresses`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ontology.host_profile import Address

MAX_ADDRESSES: Final = 250
"""Most addresses of one kind in a record; each takes about 200 bytes of a message of 200,000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayAddresses:
    """What one gateway's host knows that nobody may block: itself, its routers, broadcasts, its
    name servers, the XMPP server, where people are logged in from, and allowed host names."""

    id: str
    node: str
    """Node name of the gateway."""
    own_addresses: tuple[Address, ...] = ()
    """Addresses of its interfaces, sorted by version and number."""
    routers: tuple[Address, ...] = ()
    """Next hops of its routes, sorted likewise."""
    broadcasts: tuple[Address, ...] = ()
    """Broadcast addresses of its networks, sorted likewise."""
    name_servers: tuple[Address, ...] = ()
    """Whom it asks for names, sorted likewise."""
    message_servers: tuple[Address, ...] = ()
    """The XMPP server's, as its name is resolved there; sorted likewise."""
    logins: tuple[Address, ...] = ()
    """Where sessions of people who are logged in on it come from, sorted likewise."""
    allowed_hosts: tuple[Address, ...] = ()
    """What it finds for the host names of the allow-list, sorted likewise."""

    def __post_init__(self) -> None:
        for name in (
            "own_addresses",
            "routers",
            "broadcasts",
            "name_servers",
            "message_servers",
            "logins",
            "allowed_hosts",
        ):
            if len(getattr(self, name)) > MAX_ADDRESSES:
                raise ValueError(f"{name} must be at most {MAX_ADDRESSES} addresses")
