"""Which kept messages somebody wants to see: for the command line and the console alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from agents.base.message_log import ACCEPTED, Logged
from agents.base.notices import PROTOCOL
from agents.messages.acl import EMPTY_CONTENT, AclMessage, MessageError
from ontology.fragments import FragmentError, decode

REGISTRATION = "registration-"
"""What the conversation of a registration begins with (`BaseAgent`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to show; None: any."""

    sent: bool = False
    """As sent, instead of as received."""
    agent: str | None = None
    """Sender or receiver contains it."""
    performative: str | None = None
    protocol: str | None = None
    record: str | None = None
    """Class of a record in the fragment."""
    conversation: str | None = None
    text: str | None = None
    """The fragment contains it."""
    refused: bool = False
    """Only what was not accepted."""
    routine: bool = False
    """Also acknowledgements and registrations."""


def wanted(entry: Logged, wish: Wish) -> AclMessage | None:
    """The message, if it is one that was asked for."""
    if (entry.way == "sent") != wish.sent or (wish.refused and entry.verdict == ACCEPTED):
        return None
    try:
        message = entry.message()
    except MessageError:
        return None
    routine = message.protocol == PROTOCOL or message.conversation_id.startswith(REGISTRATION)
    if routine and not (wish.routine or wish.protocol == PROTOCOL or wish.conversation):
        return None
    ends = (message.sender, *message.receivers)
    checks = (
        wish.agent is None or any(wish.agent in end for end in ends),
        wish.performative in (None, message.performative),
        wish.protocol in (None, message.protocol),
        wish.conversation in (None, message.conversation_id),
        wish.text is None or wish.text in message.content,
    )
    if not all(checks):
        return None
    # Last: reading a fragment takes longer than all the rest.
    if wish.record is not None and wish.record not in records_of(message):
        return None
    return message


def records_of(message: AclMessage) -> Counter[str]:
    """How many records of each class the fragment holds."""
    if message.content == EMPTY_CONTENT or message.language != "text/turtle":
        return Counter()
    try:
        return Counter(type(record).__name__ for record in decode(message.content))
    except FragmentError:
        return Counter(["unreadable"])
