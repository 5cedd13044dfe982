"""The one judge of "never block": allow-list, the honeynet's own addresses, addresses of no host.

Correlation, the supervisor, every gateway, ``ontoidps check`` and the console ask `Protected`, so
that an order which one of them makes is not one that another refuses. Pure: what the file says
comes from `Settings`, what a gateway's kernel says as a `GatewayAddresses` record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from agents.settings.honeynet import Settings
from ontology.addresses import canonical, canonical_network, embedded, purpose
from ontology.gateway_addresses import GatewayAddresses
from ontology.records import Address, Network

__all__ = ["Protected", "Refusal", "Rule", "canonical", "canonical_network"]

Rule = Literal["own", "allow-list", "special"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an address must never be blocked."""

    rule: Rule
    """One word, for a counter."""
    reason: str
    """A sentence for a person; it begins with the address."""


class Protected:
    """Addresses that nobody may block, in every form that they are written in. Immutable.

    Args:
        allow: networks of the allow-list.
        own: the honeynet's own addresses, each with what it is (``a honeypot of node gw1``).
        kernels: what the kernels of gateways say, at most one record a node.
    """

    def __init__(
        self,
        allow: Iterable[Network] = (),
        own: Mapping[Address, str] | None = None,
        kernels: Iterable[GatewayAddresses] = (),
    ) -> None:
        self.allow: tuple[Network, ...] = tuple(dict.fromkeys(map(canonical_network, allow)))
        """The allow-list, canonical, without repeats."""
        self._own = {canonical(address): what for address, what in (own or {}).items()}
        self._kernels = {kernel.node: kernel for kernel in kernels}
        self._of_kernels: dict[Address, tuple[Rule, str]] = {}
        for kernel in self._kernels.values():
            for address, what in _of_kernel(kernel):
                self._of_kernels.setdefault(canonical(address), ("own", what))
        for kernel in self._kernels.values():
            for address in kernel.allowed_hosts:
                what = f"on the allow-list, by a host name that gateway {kernel.node} resolves"
                self._of_kernels.setdefault(canonical(address), ("allow-list", what))

    @classmethod
    def from_settings(cls, settings: Settings) -> Protected:
        """What ``honeynet.toml`` protects: allow-list, nodes, honeypots and the XMPP server."""
        own: dict[Address, str] = {}
        for node in settings.node:
            for address in node.addresses:
                own.setdefault(canonical(address), f"an address of node {node.name}")
        for pot in settings.honeypot:
            own.setdefault(canonical(pot.address), f"a honeypot of node {pot.node}")
        server = _literal(settings.xmpp.host)
        if server is not None and not server.is_loopback:
            own.setdefault(canonical(server), "the address of the XMPP server")
        return cls(settings.policy.allow, own)

    def with_kernel(self, kernel: GatewayAddresses) -> Protected:
        """A judge that also knows one gateway's kernel; it replaces what that node said before."""
        return Protected(self.allow, self._own, [*(self._kernels | {kernel.node: kernel}).values()])

    @property
    def kernels(self) -> Mapping[str, GatewayAddresses]:
        """What gateways said, by node."""
        return self._kernels

    def refusal(self, address: Address) -> str | None:
        """Why ``address`` must never be blocked, in words for a person; None if it may be."""
        found = self.judge(address)
        return None if found is None else found.reason

    def judge(self, address: Address) -> Refusal | None:
        """Why ``address`` must never be blocked; None if it may be."""
        address = canonical(address)
        found = self._listed(address)
        if found is not None:
            return Refusal(found[0], f"{address} is {found[1]}")
        what = purpose(address)
        if what is not None:
            return Refusal("special", f"{address} is {what}, not the address of one host")
        for form, inner, certain in embedded(address):
            found = self._listed(inner)
            if found is None and certain and (what := purpose(inner)) is not None:
                found = "special", f"{what}, not the address of one host"
            if found is not None:
                reason = f"{address} is the {form} form of {inner}, which is {found[1]}"
                return Refusal(found[0], reason)
        return None

    def _listed(self, address: Address) -> tuple[Rule, str] | None:
        whose = self._own.get(address)
        if whose is not None:
            return "own", whose
        found = self._of_kernels.get(address)
        if found is not None:
            return found
        for network in self.allow:
            if address in network:
                return "allow-list", f"on the allow-list ({network})"
        return None


def _of_kernel(kernel: GatewayAddresses) -> Iterator[tuple[Address, str]]:
    node = kernel.node
    for address in kernel.own_addresses:
        yield address, f"an address of gateway {node}"
    for address in kernel.broadcasts:
        yield address, f"the broadcast address of a network of gateway {node}"
    for address in kernel.routers:
        yield address, f"a router of gateway {node}"
    for address in kernel.name_servers:
        yield address, f"a name server of gateway {node}"
    for address in kernel.message_servers:
        yield address, "the address of the XMPP server"
    for address in kernel.logins:
        yield address, f"where somebody is logged in from on gateway {node}"


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
