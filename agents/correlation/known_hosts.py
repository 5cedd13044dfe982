"""What the settings say of hosts, completed by what was asserted at run time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ontology.records import Address, HostProfile


def with_asserted(
    configured: Sequence[HostProfile], asserted: Iterable[HostProfile]
) -> tuple[HostProfile, ...]:
    """One list, the asserted value before the configured one; roles are joined, never taken away.

    What an asserted profile does not say (0, an empty text or list) stays as it was configured.
    """
    said: dict[Address, HostProfile] = {}
    for profile in asserted:
        known = said.get(profile.address)
        said[profile.address] = profile if known is None else _joined(known, profile)
    out = [
        _joined(host, said[host.address]) if host.address in said else host for host in configured
    ]
    have = {host.address for host in configured}
    return (*out, *(profile for address, profile in said.items() if address not in have))


def _joined(known: HostProfile, new: HostProfile) -> HostProfile:
    return replace(
        known,
        roles=tuple(sorted({*known.roles, *new.roles})),
        node=new.node or known.node,
        operating_system=new.operating_system or known.operating_system,
        open_ports=new.open_ports or known.open_ports,
        asset_value=new.asset_value or known.asset_value,
    )
