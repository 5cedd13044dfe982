"""REST ``/api/v1/messages``: what agents of this host said to each other."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request

from agents.base.message_filter import Wish, records_of
from agents.base.message_log import ACCEPTED
from agents.console.access import Viewer, gate_of
from agents.console.message_monitor import Found
from agents.console.views import View
from agents.messages.acl import MessageError

router = APIRouter(prefix="/api/v1")

MAX_PAGE = 200
_Word = Annotated[str | None, Query(max_length=256)]


class MessageView(View):
    """A message as one agent kept it."""

    keeper: str
    """Who kept it; with ``time_us`` and ``offset`` its address."""
    time_us: int
    offset: int
    way: Literal["sent", "received"]
    refused: str | None
    """Why it was not accepted, in one word."""
    performative: str
    sender: str
    receivers: tuple[str, ...]
    protocol: str
    conversation_id: str
    in_reply_to: str
    records: dict[str, int]
    """How many records of each class the fragment holds."""
    size: int
    """Bytes of the whole message."""


class MessagesView(View):
    """A page of messages, newest first."""

    messages: tuple[MessageView, ...]
    before: int | None
    """Ask for what is older than this; null at the end. A page can be empty and not the last."""
    keepers: tuple[str, ...]
    """Agents that keep messages on this host."""


class WholeMessage(View):
    """A message with its fragment."""

    performative: str
    records: dict[str, int]
    content: str
    """The OWL fragment, as it was sent."""
    fipa: str
    """The whole message in FIPA's string form (SC00070)."""


@router.get("/messages")
async def list_messages(
    request: Request,
    _: Viewer,
    agent: _Word = None,
    performative: _Word = None,
    protocol: _Word = None,
    record: _Word = None,
    conversation: _Word = None,
    text: _Word = None,
    refused: bool = False,
    sent: bool = False,
    routine: bool = False,
    before: Annotated[int | None, Query(ge=0)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
) -> MessagesView:
    """Messages that agents of the console's host have kept, newest first."""
    monitor = gate_of(request).console.messages
    wish = Wish(
        sent=sent,
        agent=agent or None,
        performative=performative or None,
        protocol=protocol or None,
        record=record or None,
        conversation=conversation or None,
        text=text or None,
        refused=refused,
        routine=routine,
    )
    found, more = await asyncio.to_thread(monitor.page, wish, before_us=before, limit=limit)
    return MessagesView(messages=tuple(map(_view, found)), before=more, keepers=monitor.keepers())


@router.get("/messages/{keeper}/{time_us}/{offset}")
async def show_message(
    request: Request,
    _: Viewer,
    keeper: Annotated[str, Path(max_length=256)],
    time_us: Annotated[int, Path(ge=0)],
    offset: Annotated[int, Path(ge=0)],
) -> WholeMessage:
    """One whole message with its fragment; 404 once newer ones took its place."""
    monitor = gate_of(request).console.messages
    entry = await asyncio.to_thread(monitor.one, keeper, time_us, offset)
    if entry is None:
        raise HTTPException(404, "this message is no longer kept")
    try:
        message = entry.message()
    except MessageError as e:
        raise HTTPException(404, "this message can't be read any more") from e
    return WholeMessage(
        performative=message.performative,
        records=dict(await asyncio.to_thread(records_of, message)),
        content=message.content,
        fipa=entry.fipa.decode("utf-8", "replace"),
    )


def _view(found: Found) -> MessageView:
    message, entry = found.message, found.entry
    return MessageView(
        keeper=found.keeper,
        time_us=entry.time_us,
        offset=found.place.offset,
        way=entry.way,
        refused=None if entry.verdict == ACCEPTED else entry.verdict,
        performative=message.performative,
        sender=message.sender,
        receivers=tuple(message.receivers),
        protocol=message.protocol,
        conversation_id=message.conversation_id,
        in_reply_to=message.in_reply_to or "",
        records=dict(found.records),
        size=len(entry.fipa),
    )
