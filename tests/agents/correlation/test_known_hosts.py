"""What is asserted of hosts beside what the settings say."""

from __future__ import annotations

from ipaddress import ip_address

from agents.correlation.known_hosts import with_asserted
from ontology.records import HostProfile

ONE, TWO = ip_address("198.51.100.1"), ip_address("2001:db8::2")
CONFIGURED = HostProfile(
    id="urn:c", address=ONE, roles=("Gateway",), node="gw1", open_ports=(22,), asset_value=5
)


def test_asserted_values_win_roles_are_joined_and_nothing_said_changes_nothing() -> None:
    said = HostProfile(id="urn:a", address=ONE, roles=("Honeypot",), asset_value=2)
    more = HostProfile(id="urn:b", address=ONE, roles=(), operating_system="Debian 12")
    other = HostProfile(id="urn:o", address=TWO, roles=("Honeypot",))
    found = with_asserted([CONFIGURED], [said, more, other])
    assert found == (
        HostProfile(
            id="urn:c",
            address=ONE,
            roles=("Gateway", "Honeypot"),
            node="gw1",
            operating_system="Debian 12",
            open_ports=(22,),
            asset_value=2,
        ),
        other,
    )
    assert with_asserted([CONFIGURED], []) == (CONFIGURED,)
