"""REST ``/api/v1``: everything that the page and the CLI can do, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from agents.console.access import (
    COOKIE,
    Identity,
    Operator,
    Viewer,
    Writer,
    gate_of,
    session_alive,
)
from agents.console.sessions import UserRole
from agents.console.views import (
    AgentView,
    AlertView,
    AuditView,
    BlockDetail,
    BlockView,
    IncidentView,
    View,
    alert_view,
    block_view,
    incident_view,
    ruling_views,
)
from agents.supervisor.ledger import AuditLine
from ontology.records import Address

MAX_DURATION_S = 366 * 86400


def _one_line(text: str) -> str:
    """White space and control characters become single spaces: reasons go into logs."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if not line:
        raise ValueError("a reason is needed")
    return line


Reason = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_one_line)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NewBlock(_Body):
    """Block an address on every gateway."""

    source: Address
    duration_s: int | None = Field(default=None, gt=0, le=MAX_DURATION_S)
    """Seconds; the honeynet file's ``block_duration`` if absent."""
    reason: Reason


class Lift(_Body):
    """End a block on every gateway."""

    reason: Reason


class Extend(_Body):
    """Make a block end later."""

    seconds: int = Field(gt=0, le=MAX_DURATION_S)
    """Added to what remains."""
    reason: Reason


class Me(View):
    """The caller, and what the page must know to start."""

    user: str
    role: UserRole
    csrf: str
    """Send it back as ``X-CSRF-Token`` with every change."""
    honeynet: str
    now_us: int
    """The supervisor's clock, for the countdown."""
    block_duration_s: int
    maximum_duration_s: int
    gateways: tuple[str, ...]
    dry_run: bool


class AuditPage(View):
    """Newest first."""

    lines: tuple[AuditView, ...]
    head: str
    """Hash of the newest line: note it elsewhere, and the trail can't be rewritten unseen."""


Limit = Annotated[int, Query(ge=1, le=5000)]

_BLOCKS = TypeAdapter(list[BlockView])

router = APIRouter(prefix="/api/v1")


def _audit_view(line: AuditLine) -> AuditView:
    return AuditView(
        seq=line.seq,
        at_us=line.at_us,
        who=line.who,
        what=line.what,
        subject=line.subject,
        reason=line.reason,
        hash=line.hash,
    )


def _entry_id(block_id: str) -> str:
    return block_id if block_id.startswith("urn:uuid:") else f"urn:uuid:{block_id}"


@router.get("/me")
async def get_me(request: Request, caller: Viewer) -> Me:
    """Who I am, and the settings that the page needs."""
    service = gate_of(request).service
    return Me(
        user=caller.user,
        role=caller.role,
        csrf=caller.csrf,
        honeynet=service.settings.name,
        now_us=service.clock(),
        block_duration_s=service.settings.policy.block_duration,
        maximum_duration_s=service.settings.policy.maximum_duration,
        gateways=tuple(service.propagation.gateways),
        dry_run=service.settings.policy.dry_run,
    )


@router.get("/blocks", response_model=list[BlockView])
async def list_blocks(
    request: Request,
    _: Viewer,
    state: Literal["active", "ended", "lifted", "expired", "all"] = "active",
    source: Address | None = None,
    gateway: Annotated[str | None, Query(max_length=64)] = None,
    limit: Limit = 1000,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Response:
    """Blocks, newest first."""
    ledger = gate_of(request).service.ledger

    def read() -> bytes:
        found = ledger.entries(
            state=state, source=source, gateway=gateway, limit=limit, offset=offset
        )
        return _BLOCKS.dump_json([block_view(entry) for entry in found])

    # Encoded in the thread as well: a thousand blocks take 50 ms, which the loop must not lose.
    return Response(await asyncio.to_thread(read), media_type="application/json")


@router.get("/blocks/{block_id}")
async def get_block(request: Request, _: Viewer, block_id: str) -> BlockDetail:
    """One block and why it exists: decisions, incidents with their derivation, alerts, audit."""
    ledger = gate_of(request).service.ledger
    key = _entry_id(block_id)

    def read() -> BlockDetail | None:
        with ledger.transaction():
            entry = ledger.entry(key)
            if entry is None:
                return None
            why = ledger.explain(key)
            return BlockDetail(
                block=block_view(entry),
                decisions=ruling_views(why),
                incidents=why.incidents,
                alerts=why.alerts,
                audit=tuple(map(_audit_view, ledger.audit_trail(limit=100, subject=key))),
            )

    detail = await asyncio.to_thread(read)
    if detail is None:
        raise HTTPException(404, "there is no such block")
    return detail


@router.post("/blocks", status_code=202)
async def add_block(request: Request, caller: Operator, body: NewBlock) -> BlockView:
    """Block an address by hand; 202: the orders are on their way to the gateways."""
    service = gate_of(request).service
    duration_s = body.duration_s or service.settings.policy.block_duration
    entry = await service.block(body.source, duration_s, body.reason, caller.user)
    return service.view(entry)


@router.post("/blocks/{block_id}/lift", status_code=202)
async def lift_block(request: Request, caller: Operator, block_id: str, body: Lift) -> BlockView:
    """End a block on every gateway."""
    service = gate_of(request).service
    return service.view(await service.lift(_entry_id(block_id), body.reason, caller.user))


@router.post("/blocks/{block_id}/extend", status_code=202)
async def extend_block(
    request: Request, caller: Operator, block_id: str, body: Extend
) -> BlockView:
    """Make a block end later on every gateway."""
    service = gate_of(request).service
    entry = await service.extend(_entry_id(block_id), body.seconds, body.reason, caller.user)
    return service.view(entry)


@router.get("/agents")
async def list_agents(request: Request, _: Viewer) -> list[AgentView]:
    """The directory: every agent of the honeynet file, with its health."""
    return gate_of(request).service.agents()


@router.get("/incidents")
async def list_incidents(request: Request, _: Viewer, limit: Limit = 100) -> list[IncidentView]:
    """Incidents, newest first."""
    rows = await asyncio.to_thread(gate_of(request).service.ledger.incidents, limit)
    return [incident_view(incident, at) for incident, at in rows]


@router.get("/alerts")
async def list_alerts(request: Request, _: Viewer, limit: Limit = 100) -> list[AlertView]:
    """Alerts behind incidents, newest first."""
    rows = await asyncio.to_thread(gate_of(request).service.ledger.alerts, limit)
    return [alert_view(alert, at) for alert, at in rows]


@router.get("/audit")
async def list_audit(
    request: Request,
    _: Viewer,
    limit: Limit = 100,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> AuditPage:
    """The audit trail: who did what, when and why."""
    ledger = gate_of(request).service.ledger

    def read() -> AuditPage:
        with ledger.transaction():
            lines = ledger.audit_trail(limit=limit, before=before)
            newest = ledger.audit_trail(limit=1)
        return AuditPage(
            lines=tuple(map(_audit_view, lines)), head=newest[0].hash if newest else ""
        )

    return await asyncio.to_thread(read)


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def events(request: Request, caller: Viewer) -> StreamingResponse:
    """Server-sent events: ``hello``, messages with changed views, ``tick``, ``resync``."""
    gate = gate_of(request)
    if gate.service.hub.full:
        raise HTTPException(503, "too many viewers are connected")
    return StreamingResponse(
        gate.service.hub.stream(caller.session, lambda: _may_watch(request, caller)),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def _may_watch(request: Request, caller: Identity) -> bool:
    return not caller.session or session_alive(gate_of(request), caller, caller.session)


@router.post("/logout", status_code=204)
async def logout(request: Request, caller: Writer) -> Response:
    """End this session and its streams."""
    gate = gate_of(request)
    if caller.session:
        gate.sessions.drop(caller.session)
        gate.service.hub.close(caller.session)
        await asyncio.to_thread(
            gate.service.ledger.audit,
            f"user:{caller.user}",
            "logout",
            caller.user,
            "",
            gate.service.clock(),
        )
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer
