"""REST: alerts and incidents as IDMEFv2, and alerts of managers of others (docs/idmef.md)."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Request, Response

from agents.console.access import Viewer, gate_of, trust
from agents.console.foreign_managers import TooMany
from agents.console.views import AlertView, IncidentView, View
from agents.idmef.writing import document_of

router = APIRouter(prefix="/api/v1")

MAX_TOLD = 20
"""Refused reports that are named in an answer."""


class IdmefReceipt(View):
    """What became of what a manager sent."""

    accepted: int
    ignored: int
    """Heartbeats, and what tells of no attack."""
    refused: int
    why: tuple[str, ...]
    """Why the first of them were: place, element, value, reason."""


@router.get("/idmef", response_model=list[dict[str, Any]])
async def list_idmef(
    request: Request,
    _: Viewer,
    kind: Literal["alerts", "incidents"] = "alerts",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Alerts behind incidents, or incidents, as IDMEFv2 documents, newest first."""
    store = gate_of(request).console.store

    def read() -> str:
        if kind == "alerts":
            alerts = (AlertView.model_validate_json(text).alert for text in store.alerts(limit))
            return json.dumps([document_of(alert) for alert in alerts])
        views = (IncidentView.model_validate_json(text) for text in store.incidents(limit))
        return json.dumps([document_of(view.incident) for view in views])

    return Response(await asyncio.to_thread(read), media_type="application/json")


@router.post("/idmef", status_code=202)
async def take_idmef(request: Request, response: Response) -> IdmefReceipt:
    """Alerts of another manager, IDMEFv2 or RFC 4765, with its own key as bearer token."""
    gate = gate_of(request)
    console = gate.console
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    manager = None
    if scheme == "Bearer":
        manager = console.foreign.by_key(key.strip(), gate.credentials.manager_keys)
    if manager is None:
        console.counters["idmef.unknown_key"] += 1
        raise HTTPException(401, "the key of a manager of the honeynet file is wanted")
    trust(request)
    if not console.foreign.heard:
        raise HTTPException(503, "no analyzer of this honeynet takes alerts")
    try:
        taken = await console.foreign.take(manager, await request.body())
    except TooMany as e:
        raise HTTPException(429, str(e), {"Retry-After": str(e.wait_s)}) from e
    if taken.refused and not taken.alerts:
        response.status_code = 422
    return IdmefReceipt(
        accepted=len(taken.alerts),
        ignored=taken.ignored,
        refused=len(taken.refused),
        why=tuple(taken.refused[:MAX_TOLD]),
    )
