"""What is known of a host: the record `HostProfile` (`ontology.records` lists it)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

Address = IPv4Address | IPv6Address

MAX_HOST_TEXT: Final = 120
"""Characters of one service, device or agent."""
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,19}")


def check_vulnerability(name: str) -> None:
    """Raises: ValueError: no name of the CVE list (CVE-2014-6271)."""
    if not _CVE.fullmatch(name):
        raise ValueError(f"{name[:80]!r} is no CVE name like CVE-2014-6271")


def check_host_text(text: str) -> None:
    """Raises: ValueError: not one line of 1 to `MAX_HOST_TEXT` printable characters."""
    if not 1 <= len(text) <= MAX_HOST_TEXT or not text.isprintable() or text != text.strip():
        raise ValueError(
            f"{text[:80]!r} is not one line of 1 to {MAX_HOST_TEXT} printable characters without "
            "blanks around it"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HostProfile:
    """What is known of one host: AFF's host knowledge base.

    Its security grade, operating system, open services and ports, fixed vulnerabilities,
    protective hardware and the agents on it, with our roles and asset value.
    """

    id: str
    address: Address
    roles: tuple[str, ...]
    """Local names of subclasses of ``Host`` (``Honeypot``, ``Gateway`` …), sorted."""
    node: str = ""
    """Node that watches it."""
    operating_system: str = ""
    open_ports: tuple[int, ...] = ()
    """TCP, sorted."""
    open_services: tuple[str, ...] = ()
    """What listens, as people call it (``OpenSSH 9.2``), sorted."""
    asset_value: int = 0
    """0 (worthless) to 5 (vital), the paper's VA."""
    security_grade: int | None = None
    """0 (not protected at all) to 5; None where nobody has said."""
    fixed_vulnerabilities: tuple[str, ...] = ()
    """CVE names, sorted."""
    protected_by: tuple[str, ...] = ()
    """Devices in front of it, such as a firewall, sorted."""
    agents: tuple[str, ...] = ()
    """Bare JIDs of the agents that run on it, sorted."""

    def __post_init__(self) -> None:
        if not 0 <= self.asset_value <= 5:
            raise ValueError(f"asset_value must lie in [0, 5], got {self.asset_value}")
        if self.security_grade is not None and not 0 <= self.security_grade <= 5:
            raise ValueError(f"security_grade must lie in [0, 5], got {self.security_grade}")
        for port in self.open_ports:
            if not 0 <= port <= 65535:
                raise ValueError(f"open_ports must lie in [0, 65535], got {port}")
        for name in self.fixed_vulnerabilities:
            _check("fixed_vulnerabilities", check_vulnerability, name)
        for field in ("open_services", "protected_by", "agents"):
            for text in getattr(self, field):
                _check(field, check_host_text, text)


def _check(field: str, check: Callable[[str], None], value: str) -> None:
    try:
        check(value)
    except ValueError as e:
        raise ValueError(f"{field}: {e}") from e
