"""Host knowledge as RDF: what the settings say for SPARQL, and what was asserted as records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from pyoxigraph import NamedNode, Triple

from ontology._values import host_node
from ontology.fragments import to_triples
from ontology.records import Address, HostProfile
from ontology.swrl import RDF
from ontology.vocabulary import IDPS

HOSTS_IRI: Final = "urn:ontoidps:hosts"
"""The graph of what ``honeynet.toml`` says of hosts."""
AGENT_PREFIX: Final = "urn:ontoidps:agent:"
"""With its bare JID, an agent's individual."""


def describe_hosts(profiles: Sequence[HostProfile]) -> list[Triple]:
    """The profiles and their hosts, and each agent with the hosts that it runs on."""
    found = to_triples(profiles)
    for profile in profiles:
        for jid in profile.agents:
            agent = NamedNode(AGENT_PREFIX + jid)
            found.append(Triple(agent, NamedNode(RDF + "type"), NamedNode(IDPS.Agent)))
            found.append(Triple(agent, NamedNode(IDPS.agentOnHost), host_node(profile.address)))
    return found


def for_correlation(profile: HostProfile) -> HostProfile:
    """The part that correlation works with: 200 whole profiles may be too much for a message."""
    return HostProfile(
        id=profile.id,
        address=profile.address,
        roles=profile.roles,
        node=profile.node,
        operating_system=profile.operating_system,
        open_ports=profile.open_ports,
        asset_value=profile.asset_value,
    )


def read_profile(name: str, address: Address, texts: Callable[[str], list[str]]) -> HostProfile:
    """The record of an asserted HostProfile; what is not said has the record's default.

    Args:
        texts: gives the values of a property (its IRI), sorted; numbers as they were written.

    Raises: ValueError
    """

    def one(term: str) -> str:
        return next(iter(texts(term)), "")

    grade = one(IDPS.securityGrade)
    return HostProfile(
        id=name,
        address=address,
        roles=tuple(texts(IDPS.hostRole)),
        node=one(IDPS.node),
        operating_system=one(IDPS.operatingSystem),
        open_ports=tuple(sorted(int(port) for port in texts(IDPS.openPort))),
        open_services=tuple(texts(IDPS.serviceOnHost)),
        asset_value=int(one(IDPS.assetValue) or "0"),
        security_grade=int(grade) if grade else None,
        fixed_vulnerabilities=tuple(texts(IDPS.fixedVulnerability)),
        protected_by=tuple(texts(IDPS.protectedBy)),
        agents=tuple(texts(IDPS.runsAgent)),
    )
