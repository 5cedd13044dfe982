"""What ``honeynet.toml`` says of hosts: AFF's host knowledge base, the part that people tell."""

from __future__ import annotations

from agents.settings.fields import Grade, HostAddress, HostText, Name, Part, Port, Vulnerability
from ontology.records import Address, HostProfile


class HostFacts(Part):
    """Facts about a machine, all of them optional."""

    operating_system: str = ""
    open_ports: tuple[Port, ...] = ()
    """TCP."""
    open_services: tuple[HostText, ...] = ()
    """As people call them: ``OpenSSH 9.2``."""
    security_grade: Grade | None = None
    """0 (not protected at all) to 5."""
    fixed_vulnerabilities: tuple[Vulnerability, ...] = ()
    """CVE names of what the machine is no longer open to."""
    protected_by: tuple[HostText, ...] = ()
    """Protective hardware in front of it."""
    asset_value: Grade

    def profile(
        self, address: Address, *, role: str, node: str, agents: tuple[str, ...] = ()
    ) -> HostProfile:
        """The record of one address of the machine."""
        return HostProfile(
            id=f"urn:ontoidps:profile:{address}",
            address=address,
            roles=(role,),
            node=node,
            operating_system=self.operating_system,
            open_ports=tuple(sorted(set(self.open_ports))),
            open_services=tuple(sorted(set(self.open_services))),
            asset_value=self.asset_value,
            security_grade=self.security_grade,
            fixed_vulnerabilities=tuple(sorted(set(self.fixed_vulnerabilities))),
            protected_by=tuple(sorted(set(self.protected_by))),
            agents=agents,
        )


class NodeHost(HostFacts):
    """The machine that a node is."""

    asset_value: Grade = 5


class Honeypot(HostFacts):
    """A decoy: any contact with it is suspicious."""

    address: HostAddress
    node: Name
    """Node that watches it."""
    asset_value: Grade = 2
