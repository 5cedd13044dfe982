"""What the console shows: typed views of the ledger and the directory; their JSON is the API."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from agents.supervisor.directory import Directory
from agents.supervisor.ledger import Explanation
from agents.supervisor.propagation import Entry
from ontology.clusters_file import own_name
from ontology.records import Address, Alert, Decision, Incident
from ontology.traffic_cluster import TrafficCluster


class View(BaseModel):
    """Times are integer microseconds since the Unix epoch (``…_us``)."""

    model_config = ConfigDict(frozen=True)


class GatewayView(View):
    """One block on one gateway: wanted against actual."""

    gateway: str
    wanted: Literal["block", "none"]
    state: str
    confirmed: bool
    """The gateway says that it does what is wanted, the latest extension included."""
    since_us: int
    expires_us: int
    detail: str


class BlockView(View):
    """One blocked source."""

    id: str
    source: Address
    target: Address | None
    state: Literal["active", "lifted", "expired"]
    settled: bool
    """Every gateway has confirmed what is wanted of it."""
    classification: str
    reason: str
    origin: str
    since_us: int
    expires_us: int
    ended_us: int
    ended_by: str
    decision: str
    incident: str | None
    gateways: tuple[GatewayView, ...]


class RulingView(View):
    """A decision about the block, and what the supervisor made of it."""

    decision: Decision
    outcome: str
    detail: str
    received_us: int


class IncidentView(View):
    """An incident and when the supervisor heard of it."""

    incident: Incident
    received_us: int


class AlertView(View):
    """An alert and when the supervisor heard of it."""

    alert: Alert
    received_us: int


class AuditView(View):
    """One line of the audit trail."""

    seq: int
    at_us: int
    who: str
    what: str
    subject: str
    reason: str
    hash: str


class BlockDetail(View):
    """A block with its explanation: who decided, which rule fired on which facts and alerts."""

    block: BlockView
    decisions: tuple[RulingView, ...]
    incidents: tuple[Incident, ...]
    alerts: tuple[Alert, ...]
    audit: tuple[AuditView, ...]


class AgentView(View):
    """An agent that the honeynet file names."""

    name: str
    role: str
    node: str
    state: Literal["up", "silent", "absent"]
    """``silent``: its lease has lapsed. ``absent``: it never registered."""
    since_us: int
    renewed_us: int
    services: tuple[str, ...]
    ontology_version: str
    health: dict[str, str]


class ClusterView(View):
    """A cluster of the analyzers' model."""

    number: int
    name: str
    given: bool
    """Somebody gave it this name."""
    traffic_class: str
    purity: float
    radius: float
    members: int
    cases: int
    model: str


class ClustersView(View):
    """All of them, by number; none until the ontology agent has told."""

    clusters: tuple[ClusterView, ...]
    classes: tuple[str, ...]
    """What a cluster may be classed as."""


def block_view(entry: Entry) -> BlockView:
    """An entry as the console shows it."""
    return BlockView(
        id=entry.id,
        source=entry.source,
        target=entry.cause.target,
        state=entry.state,
        settled=all(map(entry.confirmed, entry.gateways)),
        classification=entry.cause.classification,
        reason=entry.cause.reason,
        origin=entry.cause.origin,
        since_us=entry.since_us,
        expires_us=entry.expires_us,
        ended_us=entry.ended_us,
        ended_by=entry.ended_by,
        decision=entry.decision.id,
        incident=entry.cause.incident,
        gateways=tuple(
            GatewayView(
                gateway=g.gateway,
                wanted=g.wanted,
                state=g.state,
                confirmed=entry.confirmed(g),
                since_us=g.since_us,
                expires_us=g.expires_us,
                detail=g.detail,
            )
            for g in entry.gateways
        ),
    )


def ruling_views(explanation: Explanation) -> tuple[RulingView, ...]:
    """The decisions of an explanation."""
    return tuple(
        RulingView(
            decision=r.decision, outcome=r.outcome, detail=r.detail, received_us=r.received_us
        )
        for r in explanation.rulings
    )


def incident_view(incident: Incident, received_us: int) -> IncidentView:
    """An incident as the console shows it."""
    return IncidentView(incident=incident, received_us=received_us)


def alert_view(alert: Alert, received_us: int) -> AlertView:
    """An alert as the console shows it."""
    return AlertView(alert=alert, received_us=received_us)


def cluster_view(cluster: TrafficCluster) -> ClusterView:
    """A cluster as the console shows it."""
    return ClusterView(
        number=cluster.cluster_number,
        name=cluster.cluster_name,
        given=bool(own_name(cluster)),
        traffic_class=cluster.traffic_class,
        purity=cluster.purity,
        radius=cluster.radius,
        members=cluster.member_count,
        cases=cluster.case_count,
        model=cluster.model_digest,
    )


def agent_views(directory: Directory) -> list[AgentView]:
    """Every agent of the honeynet file, in its order."""
    out = []
    for jid, role, node in directory.expected():
        entry = directory.get(jid)
        state: Literal["up", "silent", "absent"] = "absent"
        if entry is not None:
            state = "up" if entry.up else "silent"
        out.append(
            AgentView(
                name=jid,
                role=role,
                node=node,
                state=state,
                since_us=entry.since_us if entry else 0,
                renewed_us=entry.renewed_us if entry else 0,
                services=entry.description.services if entry else (),
                ontology_version=entry.description.ontology_version if entry else "",
                health=_health(entry.description.health) if entry else {},
            )
        )
    return out


def _health(text: str) -> dict[str, str]:
    """``name=value`` pairs; anything else an agent writes is left out."""
    pairs = (part.partition("=") for part in text.split()[:100])
    return {name: value for name, mark, value in pairs if mark and name}
