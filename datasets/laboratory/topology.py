"""The standard topology: strangers on a WAN, gateways with a honeypot each, a control room.

::

    attacker  client  monitor
        |       |       |            192.0.2.0/24   2001:db8:1::/64
      --+-------+-------+------ wan ------+-----------------+---
                                         gw1 ...           gwN      (forwarding; lan0, wan0, mgmt0)
             198.51.100.16/28             |                 |
             2001:db8:2:1::/64        honeypot1         honeypotN
                                         gw1 ...           gwN
      --+-------------------- management --+----------------+---
        |                            203.0.113.0/24   2001:db8:3::/64
     control

All addresses are documentation addresses (RFC 5737, RFC 3849). The strangers reach a honeypot only
through its gateway; nobody but the gateways and ``control`` is on the management network.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from datasets.laboratory.network import Lab, LabError

MAX_GATEWAYS = 15
WAN4, WAN6 = IPv4Network("192.0.2.0/24"), IPv6Network("2001:db8:1::/64")
MANAGEMENT4, MANAGEMENT6 = IPv4Network("203.0.113.0/24"), IPv6Network("2001:db8:3::/64")
_HONEYPOTS4 = IPv4Network("198.51.100.0/24")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabHost:
    """One host of the topology, as seen on one of its networks."""

    namespace: str
    interface: str
    ipv4: IPv4Address
    ipv6: IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class LabGateway:
    """A router with the WAN on one side, one honeypot on the other, and a management port."""

    namespace: str
    wan: LabHost
    lan: LabHost
    management: LabHost
    honeypot: LabHost

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """The gateway's own addresses, on all three sides."""
        sides = (self.wan, self.lan, self.management)
        return tuple(a for side in sides for a in (side.ipv4, side.ipv6))


@dataclass(frozen=True, slots=True, kw_only=True)
class HoneynetTopology:
    """Names and addresses of everything `build_honeynet` made."""

    attacker: LabHost
    client: LabHost
    """Innocent: must keep its access whatever happens to the attacker."""
    monitor: LabHost
    """To be put on the allow-list."""
    gateways: tuple[LabGateway, ...]
    control: LabHost
    """Where supervisor, correlation, ontology and the XMPP server run."""

    @property
    def honeypots(self) -> tuple[LabHost, ...]:
        return tuple(g.honeypot for g in self.gateways)


def build_honeynet(lab: Lab, gateways: int = 3) -> HoneynetTopology:
    """Make the topology with 1 to 15 gateways.

    Raises:
        LabError: too many or too few gateways, or a command failed.
    """
    if not 1 <= gateways <= MAX_GATEWAYS:
        raise LabError(f"a honeynet has 1 to {MAX_GATEWAYS} gateways, not {gateways}")
    lab.bridge(lab.namespace("wan"), "wan")
    lab.bridge(lab.namespace("control"), "mgmt0")
    strangers = [
        _on_wan(lab, lab.namespace(name), f"{name[:8]}.w", host)
        for name, host in (("attacker", 66), ("client", 10), ("monitor", 20))
    ]
    control = LabHost(
        namespace="control", interface="mgmt0", ipv4=MANAGEMENT4[1], ipv6=MANAGEMENT6[1]
    )
    _addresses(lab, control, MANAGEMENT4, MANAGEMENT6)
    built = tuple(_gateway(lab, number) for number in range(1, gateways + 1))
    for stranger in strangers:
        for number, gateway in enumerate(built, 1):
            net4, net6 = _honeypot_networks(number)
            lab.route(stranger.namespace, str(net4), str(gateway.wan.ipv4))
            lab.route(stranger.namespace, str(net6), str(gateway.wan.ipv6))
    attacker, client, monitor = strangers
    return HoneynetTopology(
        attacker=attacker, client=client, monitor=monitor, gateways=built, control=control
    )


def _honeypot_networks(number: int) -> tuple[IPv4Network, IPv6Network]:
    first = int(_HONEYPOTS4.network_address) + 16 * number
    return IPv4Network((first, 28)), IPv6Network(f"2001:db8:2:{number:x}::/64")


def _addresses(lab: Lab, host: LabHost, net4: IPv4Network, net6: IPv6Network) -> None:
    lab.address(host.namespace, host.interface, f"{host.ipv4}/{net4.prefixlen}")
    lab.address(host.namespace, host.interface, f"{host.ipv6}/{net6.prefixlen}")


def _on_wan(lab: Lab, namespace: str, port: str, number: int) -> LabHost:
    host = LabHost(namespace=namespace, interface="wan0", ipv4=WAN4[number], ipv6=WAN6[number])
    lab.link(namespace, host.interface, "wan", port)
    lab.attach("wan", port, "wan")
    _addresses(lab, host, WAN4, WAN6)
    return host


def _gateway(lab: Lab, number: int) -> LabGateway:
    name, pot_name = f"gw{number}", f"honeypot{number}"
    lab.namespace(name)
    lab.namespace(pot_name)
    lab.forwarding(name)
    wan = _on_wan(lab, name, f"{name}.w", 100 + number)
    net4, net6 = _honeypot_networks(number)
    lan = LabHost(namespace=name, interface="lan0", ipv4=net4[1], ipv6=net6[1])
    honeypot = LabHost(namespace=pot_name, interface="eth0", ipv4=net4[2], ipv6=net6[2])
    lab.link(name, lan.interface, pot_name, honeypot.interface)
    _addresses(lab, lan, net4, net6)
    _addresses(lab, honeypot, net4, net6)
    lab.route(pot_name, "default", str(lan.ipv4))
    lab.route(pot_name, "default", str(lan.ipv6))
    management = LabHost(
        namespace=name,
        interface="mgmt0",
        ipv4=MANAGEMENT4[10 + number],
        ipv6=MANAGEMENT6[10 + number],
    )
    lab.link(name, management.interface, "control", f"{name}.m")
    lab.attach("control", f"{name}.m", "mgmt0")
    _addresses(lab, management, MANAGEMENT4, MANAGEMENT6)
    return LabGateway(namespace=name, wan=wan, lan=lan, management=management, honeypot=honeypot)
