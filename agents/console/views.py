"""What the console shows, typed: made from records that it is told; their JSON is the API.

The one contract between what is received (`feed_intake`), kept (`store`), asked for (`api`) and
shown (`static`): a field is named here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from agents.base.conditions import Condition, Level, from_text, is_degraded
from agents.settings.modes import HELD
from ontology.clusters_file import own_name
from ontology.oversight import AgentStatus, AuditLine, Ban, Ruling
from ontology.records import Address, AgentDescription, Alert, Block, Decision, Incident
from ontology.traffic_cluster import TrafficCluster


class View(BaseModel):
    """Times are integer microseconds since the Unix epoch (``…_us``)."""

    model_config = ConfigDict(frozen=True)


BlockViewState = Literal["active", "waiting", "shadow", "lifted", "expired"]
"""``active``: in force, or to be, on a gateway. ``waiting``: nowhere, until a person approves it.
``shadow``: nowhere; it would have been blocked."""
LASTING: Final[tuple[BlockViewState, ...]] = ("active", "waiting", "shadow")
"""Of bans that have not ended."""


class GatewayView(View):
    """One block on one gateway: wanted against actual."""

    gateway: str
    wanted: Literal["block", "none"]
    state: str
    """As it said last: ``pending``, ``active``, ``refused``, ``failed``, ``lifted`` or ``expired``;
    ``waiting`` or ``shadow`` where a mode holds it back; ``unknown`` where it said ``active`` and
    that may not hold any more (``detail`` says why)."""
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
    state: BlockViewState
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
    """An incident and when the supervisor first heard of it."""

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


class ConditionView(View):
    """What an agent can't do just now, or what it loses."""

    name: str
    level: Level
    """``degraded``: a part of its work is not done. ``warning``: something was lost or held back.
    """
    reason: str
    since_us: int
    numbers: dict[str, int]


class AgentView(View):
    """An agent that the honeynet file names."""

    name: str
    role: str
    node: str
    state: Literal["up", "degraded", "silent", "absent"]
    """``degraded``: it is up, and doesn't do all of its work: ``conditions`` say why. ``silent``:
    its lease has lapsed. ``absent``: it never registered."""
    since_us: int
    renewed_us: int
    services: tuple[str, ...]
    ontology_version: str
    health: dict[str, str]
    conditions: tuple[ConditionView, ...] = ()


class RuleView(View):
    """A SWRL rule."""

    label: str
    meaning: str
    file: str
    enabled: bool
    switched_by: str
    """``user:NAME: reason`` where an operator has switched it; else the file says it."""


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


def block_view(ban: Ban, cause: Decision, blocks: Iterable[Block]) -> BlockView:
    """A ban with its cause and its blocks on gateways, as the console shows it."""
    mine = sorted((b for b in blocks if b.id in ban.blocks), key=lambda b: b.gateway)
    return BlockView(
        id=ban.id,
        source=ban.source,
        target=cause.target,
        state=_held([b.state for b in mine]) or "active"
        if ban.ban_state == "active"
        else ban.ban_state,
        settled=set(ban.confirmed) >= {b.id for b in mine},
        classification=cause.classification,
        reason=cause.reason,
        origin=cause.origin,
        since_us=ban.since_us,
        expires_us=ban.expires_us,
        ended_us=ban.ended_us,
        ended_by=ban.ended_by,
        decision=ban.decision,
        incident=cause.incident,
        gateways=tuple(
            GatewayView(
                gateway=block.gateway,
                wanted="block" if _is_wanted(ban, block) else "none",
                state=block.state,
                confirmed=block.id in ban.confirmed,
                since_us=block.since_us,
                expires_us=block.expires_us,
                detail=block.detail,
            )
            for block in mine
        ),
    )


def _is_wanted(ban: Ban, block: Block) -> bool:
    return ban.ban_state == "active" and block.state not in HELD.values()


def _held(states: Sequence[str]) -> Literal["", "waiting", "shadow"]:
    """What keeps a source from being blocked anywhere; empty if nothing does."""
    if any(s in ("pending", "active", "failed") for s in states):
        return ""
    if "waiting" in states:
        return "waiting"
    return "shadow" if "shadow" in states else ""


def ruling_view(ruling: Ruling, decision: Decision) -> RulingView:
    """A decision and the ruling on it."""
    return RulingView(
        decision=decision,
        outcome=ruling.outcome,
        detail=ruling.detail,
        received_us=ruling.received_us,
    )


def audit_view(line: AuditLine) -> AuditView:
    """A line of the audit trail as the console shows it."""
    return AuditView(
        seq=line.line_number,
        at_us=line.audited_us,
        who=line.actor,
        what=line.act,
        subject=line.subject,
        reason=line.reason,
        hash=line.line_hash,
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


def agent_view(
    name: str,
    role: str,
    node: str,
    description: AgentDescription | None = None,
    status: AgentStatus | None = None,
) -> AgentView:
    """An agent of the honeynet file as the directory sees it; absent without an entry."""
    if description is None or status is None:
        return AgentView(
            name=name,
            role=role,
            node=node,
            state="absent",
            since_us=0,
            renewed_us=0,
            services=(),
            ontology_version="",
            health={},
        )
    conditions = _conditions(description.conditions)
    up: Literal["up", "degraded"] = "degraded" if is_degraded(conditions) else "up"
    return AgentView(
        name=name,
        role=role,
        node=node,
        state=up if status.agent_state == "up" else status.agent_state,
        since_us=status.since_us,
        renewed_us=status.renewed_us,
        services=description.services,
        ontology_version=description.ontology_version,
        health=_health(description.health),
        conditions=tuple(ConditionView(**condition.as_json()) for condition in conditions),
    )


def _conditions(text: str) -> tuple[Condition, ...]:
    """What an agent says of itself; an unreadable word is a condition as well."""
    try:
        return from_text(text)
    except ValueError as e:
        reason = f"it says nothing readable of its state: {e}"
        return (Condition(name="unreadable", level="degraded", reason=reason, since_us=0),)


def _health(text: str) -> dict[str, str]:
    """``name=value`` pairs; anything else an agent writes is left out."""
    pairs = (part.partition("=") for part in text.split()[:100])
    return {name: value for name, mark, value in pairs if mark and name}
