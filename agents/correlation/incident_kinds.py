"""What kind of incident each rule concludes, and how severe it is.

Reliability and risk, the paper's assessment, stand next to it (`agents.correlation.assessment`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IncidentKind:
    """How the conclusions of one rule are reported."""

    classification: str
    """Local name of a subclass of ``Incident``."""
    weight: float
    """Severity in [0, 1] if the alerts behind it are certain."""
    per_target: bool = True
    """False: one incident for all targets of a source."""


# Weights are ours: what the attacker has gained or shown so far. A search of the network (0.7) is
# less than an attack on one service (0.85 where nobody has business, 0.9 when it was searched for
# first), an exploit is the most. An own host that attacks (0.8) is lost already, but may only have
# fetched an update.
KINDS = {
    "ScanThenBruteForce": IncidentKind("ScanThenBruteForceIncident", 0.9),
    "ScanThenExploit": IncidentKind("ScanThenExploitIncident", 0.95),
    "BruteForceThenInstallation": IncidentKind("BruteForceThenInstallationIncident", 0.95),
    "MultiHoneypotScan": IncidentKind("MultiHoneypotScanIncident", 0.7, per_target=False),
    "OwnHostAttack": IncidentKind("CompromisedHostIncident", 0.8),
    "FloodOnHost": IncidentKind("FloodIncident", 0.7),
    "HoneypotBruteForce": IncidentKind("HoneypotBruteForceIncident", 0.85),
    "HoneypotExploit": IncidentKind("HoneypotExploitIncident", 0.95),
}
"""By ``rdfs:label`` of the rule."""

DEFAULT_KIND = IncidentKind("CustomIncident", 0.6)
"""For rules that somebody added to the rule files."""


def kind_of(rule: str) -> IncidentKind:
    """The kind of incident that a rule concludes."""
    return KINDS.get(rule, DEFAULT_KIND)


def severity(kind: IncidentKind, confidence: float) -> float:
    """``weight * (1 + confidence) / 2``, in [0, 1].

    Args:
        confidence: highest confidence among the alerts that complete the pattern, in [0, 1]. An
            unsure alert halves the severity at most: the pattern around it speaks as well.
    """
    return kind.weight * (1.0 + confidence) / 2.0
