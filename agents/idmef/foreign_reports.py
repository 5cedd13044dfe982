"""What a manager of others reports, in whatever form, and how much of it we take as an alert.

Whoever holds a manager's key can write what he likes. So its ids are put into a name space of its
own (it can't speak of our alerts), its confidence is multiplied by the trust in it, and its alerts
are unverified (decision 5), unless the operator vouches for it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from agents.idmef.class_words import class_of
from agents.idmef.complaints import IdmefError, clean
from ontology.addresses import canonical, purpose
from ontology.host_event import account_names
from ontology.records import Address, Alert
from ontology.taxonomy import ATTACK_CLASSES

MAX_AHEAD_US: Final = 86_400_000_000
"""What is further in the future lies, or its clock does (as for logs, `agents.sensor.inputs`)."""
DEFAULT_CONFIDENCE: Final = 0.5
"""Where a report says nothing of how sure it is."""
MAX_COUNT: Final = 1_000_000
_SAMPLE: Final = 16
_SAID: Final = 400
_NAMESPACE = uuid.UUID("9d3c6c6e-1a35-5e0c-8b53-7f0a2b8f5d41")
_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,7}(?![0-9])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A manager of others, and what the operator thinks of it."""

    name: str
    trust: float
    """[0, 1]: every confidence is multiplied by it."""
    verified: bool = False
    """The operator vouches that sources it names are not forged: then its word can block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One alert of a foreign manager, read and not yet judged."""

    place: str
    """In what was sent, for complaints."""
    id: str
    begin_us: int
    end_us: int
    sources: tuple[Address, ...]
    targets: tuple[Address, ...]
    target_port: int | None = None
    protocol: int | None = None
    analyzer: str = ""
    text: str = ""
    """What it calls the attack …"""
    more: str = ""
    """… and says about it."""
    categories: tuple[str, ...] = ()
    own_class: str = ""
    """Our class, if it knows our words."""
    confidence: float | None = None
    severity: float | None = None
    users: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    """Texts in which CVE names may stand."""
    count: int = 1
    forged: bool = False
    """It says itself that the source is, or may be, forged."""


def alert_of(report: Report, origin: Origin, *, sensor: str, now_us: int) -> Alert | None:
    """The alert of a report; None if it tells of no attack.

    Args:
        sensor: by which agent it came in.
        now_us: epoch microseconds.

    Raises: IdmefError.
    """
    place = report.place
    name = report.own_class if report.own_class in ATTACK_CLASSES else None
    if name is None:
        name = class_of((report.text, report.more), report.categories, report.target_port)
    if name is None:
        return None
    sources, targets = _hosts(report.sources), _hosts(report.targets)
    if not sources and not targets:
        raise IdmefError(place, "Source, Target", None, "neither names the address of a host")
    if report.end_us > now_us + MAX_AHEAD_US:
        raise IdmefError(place, "time", report.end_us, "more than a day in the future")
    if report.begin_us > report.end_us:
        raise IdmefError(place, "time", report.begin_us, "begins after its end")
    source, target = _single(sources), _single(targets)
    told = DEFAULT_CONFIDENCE if report.confidence is None else report.confidence
    said = clean("; ".join(filter(None, (report.text, report.more))) or name, _SAID)
    by = f" ({clean(report.analyzer, 80)})" if report.analyzer else ""
    protocol = report.protocol
    if protocol is None:
        protocol = 6 if report.target_port is not None else 0
    cves = {found for text in report.references for found in _CVE.findall(text[:_SAID])}
    return Alert(
        id=uuid.uuid5(_NAMESPACE, f"{origin.name}/{report.id}").urn,
        classification=name,
        source=source,
        target=target,
        sources=() if source is not None else sources[:_SAMPLE],
        targets=() if target is not None else targets[:_SAMPLE],
        source_count=max(len(sources), 1),
        target_count=max(len(targets), 1),
        target_port=report.target_port,
        protocol=protocol,
        begin_us=report.begin_us,
        end_us=report.end_us,
        count=min(max(report.count, 1), MAX_COUNT),
        confidence=told * origin.trust,
        verified_source=origin.verified and source is not None and not report.forged,
        sensor=sensor,
        analyzer=sensor,
        explanation=f"manager {origin.name}{by} says: {said}",
        severity=report.severity,
        users=account_names(report.users),
        cves=tuple(sorted(cves)[:_SAMPLE]),
    )


def _hosts(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """Sorted; those of no host (multicast, unspecified) accuse nobody."""
    found = {canonical(one) for one in addresses}
    return tuple(sorted((o for o in found if purpose(o) is None), key=lambda o: (o.version, o)))


def _single(addresses: tuple[Address, ...]) -> Address | None:
    return addresses[0] if len(addresses) == 1 else None
