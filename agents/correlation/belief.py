"""Belief: how sure correlation is of what it concluded, as a severity in [0, 1].

Today that is the weight of the kind of incident and the confidence of the alerts behind it;
reliability and risk (`agents.correlation.ratings`) stand in the explanation and change no decision.
"""

from __future__ import annotations

from agents.correlation.cases import Case
from agents.correlation.incident_kinds import IncidentKind, kind_of, severity
from agents.correlation.inference_findings import Finding


def finding_level(finding: Finding) -> float:
    """Severity of the incident that a finding would be."""
    return severity(kind_of(finding.rule), max(a.confidence for a in finding.later))


def case_level(case: Case) -> float:
    """Severity of the incident that a case is."""
    kind = IncidentKind("ScenarioIncident", case.weight)
    return severity(kind, max(a.confidence for a in case.alerts))
