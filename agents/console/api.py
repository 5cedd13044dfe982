"""REST ``/api/v1``: everything that the page and the CLI can do, and nothing else."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agents.console.access import (
    COOKIE,
    Identity,
    Operator,
    Viewer,
    Writer,
    gate_of,
    session_alive,
)
from agents.console.doubts import doubted
from agents.console.sessions import UserRole
from agents.console.store import array
from agents.console.views import (
    AgentView,
    AlertView,
    AuditView,
    BlockDetail,
    BlockView,
    IncidentView,
    View,
)
from ontology.oversight import BanActionName
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


class Why(_Body):
    """Approve a block, or undo."""

    reason: Reason


class Lift(_Body):
    """End a block on every gateway, or veto it."""

    reason: Reason
    grace_s: int | None = Field(default=None, ge=0, le=MAX_DURATION_S)
    """For so many seconds no incident of the same class blocks the address again; the honeynet
    file's ``lift_grace`` if absent."""


class Shorten(_Body):
    """Make a block end earlier."""

    seconds: int = Field(gt=0, le=MAX_DURATION_S)
    """Taken from what remains."""
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
    """The console's clock, for the countdown."""
    heard_us: int
    """When the supervisor was last heard of; 0: not since the console's start."""
    block_duration_s: int
    maximum_duration_s: int
    lift_grace_s: int
    """What ``grace_s`` of a lift or veto is if it is absent."""
    gateways: tuple[str, ...]
    dry_run: bool


class AuditPage(View):
    """Newest first."""

    lines: tuple[AuditView, ...]
    head: str
    """Hash of the newest line: note it elsewhere, and the trail can't be rewritten unseen."""


Limit = Annotated[int, Query(ge=1, le=5000)]
ListState = Literal["active", "waiting", "shadow", "ended", "lifted", "expired", "all"]
"""``waiting``: a gateway waits for a person. ``shadow``: a gateway would have blocked."""

router = APIRouter(prefix="/api/v1")


TOTAL = "X-Total-Count"
"""Header of a list: how long it would be without a limit."""
Said = Annotated[
    bool, Query(description="what gateways said last, also where that may not hold any more")
]


def _json(text: str, total: int | None = None) -> Response:
    """Views come from the store as JSON; nothing is parsed to be written again."""
    headers = {} if total is None else {TOTAL: str(total)}
    return Response(text, media_type="application/json", headers=headers)


def _entry_id(block_id: str) -> str:
    return block_id if block_id.startswith("urn:uuid:") else f"urn:uuid:{block_id}"


@router.get("/me")
async def get_me(request: Request, caller: Viewer) -> Me:
    """Who I am, and the settings that the page needs."""
    console = gate_of(request).console
    return Me(
        user=caller.user,
        role=caller.role,
        csrf=caller.csrf,
        honeynet=console.settings.name,
        now_us=console.clock(),
        heard_us=console.heard(),
        block_duration_s=console.settings.policy.block_duration,
        maximum_duration_s=console.settings.policy.maximum_duration,
        lift_grace_s=console.settings.policy.lift_grace,
        gateways=console.gateways,
        dry_run=console.settings.policy.dry_run,
    )


@router.get("/blocks", response_model=list[BlockView])
async def list_blocks(
    request: Request,
    _: Viewer,
    state: ListState = "active",
    source: Address | None = None,
    gateway: Annotated[str | None, Query(max_length=64)] = None,
    limit: Limit = 1000,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    said: Said = False,
) -> Response:
    """Blocks, newest first."""
    console = gate_of(request).console
    store = console.store

    def read() -> Response:
        with store.transaction():
            total = store.count_blocks(state=state, source=source, gateway=gateway)
            found = store.blocks(
                state=state, source=source, gateway=gateway, limit=limit, offset=offset
            )
        if not said and (doubts := console.doubts()):
            views = (doubted(BlockView.model_validate_json(text), doubts) for text in found)
            found = [view.model_dump_json() for view in views]
        return _json(array(found), total)

    return await asyncio.to_thread(read)


@router.get("/blocks/{block_id}", response_model=BlockDetail)
async def get_block(request: Request, _: Viewer, block_id: str, said: Said = False) -> Response:
    """One block and why it exists: decisions, incidents with their derivation, alerts, audit."""
    console = gate_of(request).console

    def read() -> str | None:
        detail = console.store.detail(_entry_id(block_id))
        if detail is None or said or not (doubts := console.doubts()):
            return detail
        whole = BlockDetail.model_validate_json(detail)
        return whole.model_copy(update={"block": doubted(whole.block, doubts)}).model_dump_json()

    found = await asyncio.to_thread(read)
    if found is None:
        raise HTTPException(404, "there is no such block")
    return _json(found)


@router.post("/blocks", status_code=202)
async def add_block(request: Request, caller: Operator, body: NewBlock) -> BlockView:
    """Block an address by hand; 202: the orders are on their way to the gateways."""
    console = gate_of(request).console
    duration_s = body.duration_s or console.settings.policy.block_duration
    made = await console.bans.block(body.source, duration_s, body.reason, caller.user)
    return await asyncio.to_thread(console.known, made)


@router.post("/blocks/{block_id}/lift", status_code=202)
async def lift_block(request: Request, caller: Operator, block_id: str, body: Lift) -> BlockView:
    """End a block on every gateway."""
    grace_s = _grace(request, body)
    return await _change(request, caller, "lift", block_id, body.reason, seconds=grace_s)


@router.post("/blocks/{block_id}/approve", status_code=202)
async def approve_block(request: Request, caller: Operator, block_id: str, body: Why) -> BlockView:
    """Have a decision carried out that waits for a person."""
    return await _change(request, caller, "approve", block_id, body.reason)


@router.post("/blocks/{block_id}/veto", status_code=202)
async def veto_block(request: Request, caller: Operator, block_id: str, body: Lift) -> BlockView:
    """Say no to a decision that waits for a person."""
    grace_s = _grace(request, body)
    return await _change(request, caller, "veto", block_id, body.reason, seconds=grace_s)


@router.post("/blocks/{block_id}/extend", status_code=202)
async def extend_block(
    request: Request, caller: Operator, block_id: str, body: Extend
) -> BlockView:
    """Make a block end later on every gateway."""
    return await _change(request, caller, "extend", block_id, body.reason, seconds=body.seconds)


@router.post("/blocks/{block_id}/shorten", status_code=202)
async def shorten_block(
    request: Request, caller: Operator, block_id: str, body: Shorten
) -> BlockView:
    """Make a block end earlier on every gateway."""
    return await _change(request, caller, "shorten", block_id, body.reason, seconds=body.seconds)


@router.post("/undo", status_code=202)
async def undo(request: Request, caller: Operator, body: Why) -> BlockView:
    """Take back the last thing that the caller did about a block."""
    return await _change(request, caller, "undo", None, body.reason)


def _grace(request: Request, body: Lift) -> int:
    usual = gate_of(request).console.settings.policy.lift_grace
    return usual if body.grace_s is None else body.grace_s


async def _change(
    request: Request,
    caller: Identity,
    what: BanActionName,
    block_id: str | None,
    reason: str,
    *,
    seconds: int = 0,
) -> BlockView:
    console = gate_of(request).console
    ban = None if block_id is None else _entry_id(block_id)
    changed = await console.bans.change(what, ban, reason, caller.user, seconds=seconds)
    return await asyncio.to_thread(console.known, changed)


@router.get("/agents")
async def list_agents(request: Request, _: Viewer) -> list[AgentView]:
    """The directory: every agent of the honeynet file, with its health."""
    return await asyncio.to_thread(gate_of(request).console.agents)


@router.get("/incidents", response_model=list[IncidentView])
async def list_incidents(request: Request, _: Viewer, limit: Limit = 100) -> Response:
    """Incidents, newest first."""
    store = gate_of(request).console.store
    found, total = await asyncio.to_thread(lambda: (store.incidents(limit), store.counts()))
    return _json(array(found), total["incident"])


@router.get("/alerts", response_model=list[AlertView])
async def list_alerts(request: Request, _: Viewer, limit: Limit = 100) -> Response:
    """Alerts behind incidents, newest first."""
    store = gate_of(request).console.store
    found, total = await asyncio.to_thread(lambda: (store.alerts(limit), store.counts()))
    return _json(array(found), total["alert"])


@router.get("/audit", response_model=AuditPage)
async def list_audit(
    request: Request,
    _: Viewer,
    limit: Limit = 100,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> Response:
    """The audit trail: who did what, when and why."""
    store = gate_of(request).console.store

    def read() -> Response:
        with store.transaction():
            lines = store.audit(limit=limit, before=before)
            newest = store.audit(limit=1)
            total = store.counts()["audit"]
        head = AuditView.model_validate_json(newest[0]).hash if newest else ""
        return _json(f'{{"lines":{array(lines)},"head":{json.dumps(head)}}}', total)

    return await asyncio.to_thread(read)


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def events(request: Request, caller: Viewer) -> StreamingResponse:
    """Server-sent events: ``hello``, messages with changed views, ``tick``, ``resync``."""
    gate = gate_of(request)
    if gate.console.hub.full:
        raise HTTPException(503, "too many viewers are connected")
    return StreamingResponse(
        gate.console.hub.stream(caller.session, lambda: _may_watch(request, caller)),
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
        gate.console.hub.close(caller.session)
        await gate.console.note(caller.user, "logout")
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer
