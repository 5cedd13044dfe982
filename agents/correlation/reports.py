"""The incidents and decisions that correlation sends, from what it found."""

from __future__ import annotations

import uuid

from agents.correlation.cases import Case, describe_case
from agents.correlation.inference_findings import Finding
from agents.correlation.narrative import describe_incident
from ontology.reasoner.window import alert_hosts
from ontology.records import Address, Alert, Decision, Incident

INCIDENT_ALERTS = 64
"""Alerts that an incident names: the earliest ones and the latest."""
_NAMESPACE = uuid.UUID("c0d0a3f5-6b6e-5f0e-8f0c-2c5c3b0f6d42")


def make_incident(finding: Finding, classification: str, level: float) -> Incident:
    """The incident that a finding is; ``level`` is its severity."""
    alerts = _named_alerts(finding.alerts)
    ids = tuple(sorted(a.id for a in alerts))
    name = "\n".join((finding.rule, *ids))
    return Incident(
        # From its content: the same inference gets the same name, also after a restart.
        id=_name(name),
        classification=classification,
        source=finding.source,
        targets=finding.targets,
        alerts=ids,
        rule=finding.rule,
        begin_us=min(a.begin_us for a in alerts),
        end_us=max(a.end_us for a in alerts),
        severity=level,
        verified_source=any(a.verified_source for a in finding.later),
        explanation=describe_incident(finding.rule, finding.comment, alerts, finding.explanations),
    )


def case_incident(case: Case, level: float) -> Incident:
    """The incident that a case is; it keeps its id while the case grows."""
    alerts = _named_alerts(case.alerts)
    # A step may be seen as the victim's doing: it fetches, it answers, its name is used.
    theirs = [a for a in case.alerts if a.source in case.attackers] or case.alerts
    verified = next((a for a in theirs if a.verified_source), theirs[0])
    targets = {host for alert in case.alerts for host in alert_hosts(alert)[1]}
    lines = [*describe_case(case), *describe_incident(case.rule, "", alerts, ()).splitlines()]
    return Incident(
        id=_name(f"case {case.id}"),
        classification="ScenarioIncident",
        source=verified.source,
        targets=tuple(sorted(targets, key=lambda a: (a.version, int(a)))),
        alerts=tuple(sorted(a.id for a in alerts)),
        rule=case.rule,
        begin_us=min(a.begin_us for a in alerts),
        end_us=max(a.end_us for a in alerts),
        severity=level,
        verified_source=verified.verified_source,
        explanation="\n".join(lines),
    )


def make_decision(
    incident: Incident,
    source: Address,
    target: Address | None,
    seconds: int,
    reason: str,
    *,
    origin: str,
    now_us: int,
) -> Decision:
    """The block of one source that an incident leads to."""
    # The same again if a crash makes us decide the same again; another for a renewal.
    name = f"block {incident.id} {incident.end_us}"
    if source != incident.source:
        name += f" {source}"
    return Decision(
        id=_name(name),
        action="block",
        source=source,
        target=target,
        classification=incident.classification,
        incident=incident.id,
        origin=origin,
        decided_us=now_us,
        duration_s=seconds,
        reason=reason,
    )


def block_reason(finding: Finding, severity: float, limit: float) -> str:
    """One line: the rule, and the limit that was reached."""
    rule = "The reaction rules call for a block."
    if finding.block_rule:
        rule = f"Rule {finding.block_rule}: {finding.block_comment}".rstrip(": ")
        rule += "" if rule.endswith(".") else "."
    return f"{rule} Severity {severity:.2f}, at least {limit:.2f} is needed."


def case_block_reason(case: Case, rule: str, comment: str, severity: float, limit: float) -> str:
    """The same for a case."""
    said = f"Rule {rule}: {comment}".rstrip(": ")
    said += "" if said.endswith(".") else "."
    return (
        f"{said} The scenario is {case.label}. "
        f"Severity {severity:.2f}, at least {limit:.2f} is needed."
    )


def _named_alerts(alerts: tuple[Alert, ...]) -> tuple[Alert, ...]:
    if len(alerts) <= INCIDENT_ALERTS:
        return alerts
    half = INCIDENT_ALERTS // 2
    return alerts[:half] + alerts[-half:]


def _name(content: str) -> str:
    return f"urn:uuid:{uuid.uuid5(_NAMESPACE, content)}"
