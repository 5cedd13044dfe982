"""Belief: how sure correlation is of what it concluded, as a severity in [0, 1].

Today that is the weight that the ontology gives a rule or its class of incidents
(`ontology.rule_outcomes`) and the confidence of the alerts behind it;
reliability and risk (`agents.correlation.ratings`) stand in the explanation and change no decision.
"""

from __future__ import annotations

from agents.correlation.cases import Case
from agents.correlation.inference_findings import Finding
from ontology.rule_outcomes import Outcomes, severity


def finding_level(finding: Finding, outcomes: Outcomes) -> float:
    """Severity of the incident that a finding would be."""
    return severity(outcomes.of(finding.rule).weight, max(a.confidence for a in finding.later))


def case_level(case: Case) -> float:
    """Severity of the incident that a case is."""
    surest = max(a.confidence for a in case.alerts)
    return severity(case.weight, surest if case.confidence is None else case.confidence)
