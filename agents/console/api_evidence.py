"""REST ``/api/v1/alerts/ID``: one alert, the packet that it rests on, and a small capture."""

from __future__ import annotations

import asyncio
import base64
import binascii
from string import ascii_letters, digits

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from agents.console.access import Viewer, gate_of
from agents.console.views import AlertView, View
from ontology.records import Alert

router = APIRouter(prefix="/api/v1/alerts")

MEDIA_TYPE = "application/vnd.tcpdump.pcap"
"""Registered with IANA."""
_PREFIX = "urn:uuid:"
_IN_FILE_NAMES = frozenset(ascii_letters + digits + "-")


class EvidenceView(View):
    """The packet that an alert rests on."""

    alert: str
    packets: int
    """In the capture; 0: nothing is kept."""
    cited: int
    """Which of them the alert rests on, from 1."""
    omitted: int
    """Packets of the conversation that are not in the capture."""
    dissection: str
    """The cited packet as scapy reads it: lines of printable ASCII."""
    explanation: str


async def _alert(request: Request, alert_id: str) -> AlertView:
    name = alert_id if alert_id.startswith(_PREFIX) else _PREFIX + alert_id
    store = gate_of(request).console.store
    found = await asyncio.to_thread(store.alert, name)
    if found is None:
        raise HTTPException(404, "there is no such alert")
    return found


@router.get("/{alert_id}")
async def get_alert(request: Request, _: Viewer, alert_id: str) -> AlertView:
    """One alert."""
    return await _alert(request, alert_id)


@router.get("/{alert_id}/evidence")
async def get_evidence(request: Request, _: Viewer, alert_id: str) -> EvidenceView:
    """The packet that the alert rests on, dissected; its sensor is asked."""
    view = await _alert(request, alert_id)
    found = await gate_of(request).console.evidence.of(view.alert)
    return EvidenceView(
        alert=found.alert,
        packets=found.evidence_packets,
        cited=found.cited_packet,
        omitted=found.omitted_packets,
        dissection=found.dissection,
        explanation=found.explanation,
    )


@router.get(
    "/{alert_id}/capture", response_class=Response, responses={200: {"content": {MEDIA_TYPE: {}}}}
)
async def get_capture(request: Request, _: Viewer, alert_id: str) -> Response:
    """The conversation around that packet as a pcap file, 64 KiB at most; its sensor is asked."""
    view = await _alert(request, alert_id)
    found = await gate_of(request).console.evidence.of(view.alert)
    try:
        data = base64.b64decode(found.capture_data, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise HTTPException(404, found.explanation)
    headers = {
        "Content-Disposition": f'attachment; filename="{_file_name(view.alert)}"',
        "Cache-Control": "no-store",
    }
    return Response(data, media_type=MEDIA_TYPE, headers=headers)


def _file_name(alert: Alert) -> str:
    """Letters and digits of the id, whatever else it holds."""
    name = alert.id.removeprefix(_PREFIX)[:64]
    return f"alert-{''.join(c for c in name if c in _IN_FILE_NAMES)}.pcap"
