"""What windows for the reasoner can say: every term with where its values come from.

Rules can only fire on these, on classes, and on what other rules conclude. Times, count,
``verifiedSource``, addresses and who is involved stand in every window, the others only where a
rule in force reads them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from ontology.records import Alert, HostProfile
from ontology.vocabulary import IDPS, NAMESPACE, ONTOLOGY_IRI, Term

Subject = Literal["Alert", "Host", "Signature"]
Value = str | int | float
MAX_TEXT: Final = 128
"""Characters of a text in a window; a longer one is left out, for a part of it would be another."""
PAPER: Final = ONTOLOGY_IRI + "/paper#"
"""Namespace of the terms that ``paper.owl`` declares."""
RATED: Final = frozenset(
    PAPER + name
    for name in (
        "sensorRating hostAlertCount systemAlertCount addedAlertCount assetRating minimumRisk"
    ).split()
)
"""What reliability and risk are worked out from."""
MINIMUM_RISK: Final = PAPER + "minimumRisk"
CONCERNS: Final = PAPER + "concernsState"
"""From an alert to the state of what its source may do to its target."""
ELSEWHERE: Final = frozenset({NAMESPACE + "rootShell"})
"""What the paper's rules ask for and no sensor of ours tells of an alert: windows don't hold it."""
PAPER_TERMS: Final = (
    RATED
    | ELSEWHERE
    | {PAPER + name for name in ("concernsState", "Takeover", "Searched", "Exploited")}
    | {str(IDPS.preconditionIntrusionState)}
)
"""What windows hold besides where the paper's rules are in force (`reasoner.paper_facts`), and what
they ask for that only sensors of others tell."""
_SIGNATURE = re.compile(r"urn:ontoidps:signature:([0-9]{1,9}):([0-9]{1,9})")


@dataclass(frozen=True, slots=True)
class Valued:
    """A data property that a window gives values of, or an object property to a signature."""

    term: Term
    of: Subject
    datatype: str
    """Local name of an XSD type; empty: the values are individuals."""
    values: Callable[[Any], Iterable[Value | None]]
    """From an `Alert`, a `HostProfile` or the IRI of a signature; None is no value."""
    grows: bool = False
    """Changes while an alert is repeated, and nothing else of it does."""


def _one(field: str) -> Callable[[Any], Iterable[Value | None]]:
    return lambda record: (getattr(record, field),)


def _many(field: str) -> Callable[[Any], Iterable[Value | None]]:
    return lambda record: getattr(record, field)


def gateway_of(alert: Alert) -> str | None:
    """Name of the node whose sensor saw it."""
    role, _, rest = alert.sensor.partition(".")
    return rest.partition("@")[0] or None if role == "sensor" else None


def _systems(host: HostProfile) -> tuple[str, ...]:
    return (host.operating_system,) if host.operating_system else ()


def _number(signature: str) -> tuple[int | None, ...]:
    found = _SIGNATURE.fullmatch(signature)
    return (int(found[2]) if found else None,)


READ: Final = (
    Valued(IDPS.targetPort, "Alert", "integer", _one("target_port")),
    Valued(IDPS.protocol, "Alert", "integer", _one("protocol")),
    # Whoever writes the window knows the tables.
    Valued(IDPS.targetService, "Alert", "string", lambda alert: ()),
    Valued(IDPS.confidence, "Alert", "double", _one("confidence")),
    Valued(IDPS.severity, "Alert", "double", _one("severity"), grows=True),
    Valued(IDPS.sourceCount, "Alert", "integer", _one("source_count")),
    Valued(IDPS.targetCount, "Alert", "integer", _one("target_count")),
    Valued(IDPS.sensor, "Alert", "string", _one("sensor")),
    Valued(IDPS.analyzer, "Alert", "string", _one("analyzer")),
    Valued(IDPS.gateway, "Alert", "string", lambda alert: (gateway_of(alert),)),
    Valued(IDPS.involvesUserName, "Alert", "string", _many("users"), grows=True),
    Valued(IDPS.clusterNumber, "Alert", "integer", _one("cluster_number")),
    Valued(IDPS.clusterName, "Alert", "string", _one("cluster_name")),
    Valued(IDPS.clusterDistance, "Alert", "double", _one("cluster_distance")),
    Valued(IDPS.matchedSignature, "Alert", "", _many("signatures")),
    Valued(IDPS.signatureId, "Signature", "integer", _number),
    Valued(IDPS.cve, "Alert", "string", _many("cves")),
    Valued(IDPS.affectedService, "Alert", "string", _many("affected_services")),
    Valued(IDPS.affectedSystem, "Alert", "string", _many("affected_systems")),
    Valued(IDPS.assetValue, "Host", "integer", _one("asset_value")),
    Valued(IDPS.securityGrade, "Host", "integer", _one("security_grade")),
    Valued(IDPS.operatingSystem, "Host", "string", _systems),
    Valued(IDPS.openPort, "Host", "integer", _many("open_ports")),
    Valued(IDPS.serviceOnHost, "Host", "string", _many("open_services")),
    Valued(IDPS.fixedVulnerability, "Host", "string", _many("fixed_vulnerabilities")),
    Valued(IDPS.protectedBy, "Host", "string", _many("protected_by")),
    Valued(IDPS.hostRole, "Host", "string", _many("roles")),
    # Whoever writes the window counts.
    Valued(IDPS.touchedHoneypots, "Host", "integer", lambda host: ()),
    Valued(IDPS.touchedGateways, "Host", "integer", lambda host: ()),
)
"""Those that stand in a window only where a rule reads them."""
ALWAYS: Final[dict[Term, tuple[Subject, str]]] = {
    IDPS.beginUs: ("Alert", "integer"),
    IDPS.endUs: ("Alert", "integer"),
    IDPS.count: ("Alert", "integer"),
    IDPS.verifiedSource: ("Alert", "boolean"),
    IDPS.hasSource: ("Alert", ""),
    IDPS.hasTarget: ("Alert", ""),
    IDPS.involvesSource: ("Alert", ""),
    IDPS.involvesTarget: ("Alert", ""),
    IDPS.ipAddress: ("Host", "string"),
}
"""Those that stand in every window: what they are of, and their type, as in `Valued`."""
HELD: Final = ALWAYS | {valued.term: (valued.of, valued.datatype) for valued in READ}
COUNTED: Final = frozenset({IDPS.touchedHoneypots, IDPS.touchedGateways})
"""What is counted of a source, from alerts of its own: which of many others an alert names beside
it makes no difference."""
GROWING: Final = frozenset(
    {IDPS.endUs, IDPS.count} | {valued.term for valued in READ if valued.grows}
)
"""What changes each time that an alert is repeated."""
OF_ALERTS_OWN: Final = frozenset({IDPS.matchedSignature})
"""Object properties to individuals that are no hosts: alerts don't meet over them."""
INSTEAD: Final = {
    IDPS.service: IDPS.targetService,
    IDPS.userName: IDPS.involvesUserName,
    IDPS.loginName: IDPS.involvesUserName,
    IDPS.triedCredential: IDPS.involvesUserName,
    IDPS.inCluster: IDPS.clusterNumber,
    IDPS.trafficClass: IDPS.clusterName,
    IDPS.node: IDPS.gateway,
    IDPS.observedOnHost: IDPS.involvesTarget,
    IDPS.observedPort: IDPS.targetPort,
    IDPS.destinationPorts: IDPS.targetPort,
    IDPS.transportName: IDPS.protocol,
    IDPS.hasSignature: IDPS.matchedSignature,
    IDPS.beginDateTime: IDPS.beginUs,
    IDPS.endDateTime: IDPS.endUs,
    IDPS.addressFamily: IDPS.ipAddress,
    IDPS.runsAgent: IDPS.protectedBy,
}
"""What people write → what a window holds of the same."""
