"""The asker's side of fipa-request and fipa-query: a question, and the wait for its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from agents.messages.acl import AclMessage
from ontology.records import Record

MAX_OPEN = 256
"""Questions under way at once."""

_FINAL = frozenset({"inform", "inform-ref", "confirm"})
_REFUSALS = frozenset({"refuse", "failure", "not-understood"})


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a question."""

    message: AclMessage
    records: tuple[Record, ...]


class RefusedByPeer(RuntimeError):
    """The other side answered ``refuse``, ``failure`` or ``not-understood``."""

    def __init__(self, peer: str, performative: str, reason: str, records: Sequence[Record] = ()):
        super().__init__(f"{peer}: {performative}" + (f", {reason}" if reason else ""))
        self.performative = performative
        self.reason = reason
        """Its words, if it had any."""
        self.records = tuple(records)
        """What it sent along; it says there what is wrong."""


class NoAnswer(TimeoutError):
    """The other side has not answered in time."""

    def __init__(self, peer: str, limit_s: float):
        super().__init__(f"{peer} has not answered within {limit_s:g} s")


@dataclass(slots=True)
class _Open:
    peer: str
    conversation: str
    answer: asyncio.Future[Reply]


class Conversations:
    """Questions of one agent that wait for an answer.

    An answer belongs to a question if it comes from the one who was asked, in the same
    conversation and in reply to that very message.
    """

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self, question: AclMessage) -> asyncio.Future[Reply]:
        """Begin to wait for the answer to a question (its ``reply_with``). Close it afterwards.

        Raises: RuntimeError if too many wait already.
        """
        if len(self._open) >= MAX_OPEN:
            raise RuntimeError(f"{MAX_OPEN} questions wait for an answer already")
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        peer, conversation = question.receivers[0], question.conversation_id
        self._open[question.reply_with] = _Open(peer, conversation, answer)
        return answer

    def close(self, question: AclMessage) -> None:
        """Wait no longer."""
        self._open.pop(question.reply_with, None)

    def take(self, message: AclMessage, records: tuple[Record, ...]) -> bool:
        """Whether a message is the answer to a question; then whoever waits for it has it."""
        waiting = self._open.get(message.in_reply_to)
        if waiting is None or waiting.conversation != message.conversation_id:
            return False
        if message.sender != waiting.peer:
            return False
        if message.performative in _FINAL:
            _settle(waiting.answer, Reply(message, records))
        elif message.performative in _REFUSALS:
            refusal = RefusedByPeer(waiting.peer, message.performative, "", records)
            _settle(waiting.answer, refusal)
        # An ``agree`` promises an answer: go on waiting.
        return True

    def refused(self, reply_with: str, reason: str) -> bool:
        """The other side's message layer turned the question down; True if one waits for it."""
        waiting = self._open.get(reply_with)
        if waiting is None:
            return False
        _settle(waiting.answer, RefusedByPeer(waiting.peer, "refuse", reason))
        return True


def _settle(answer: asyncio.Future[Reply], result: Reply | RefusedByPeer) -> None:
    if answer.done():
        return
    if isinstance(result, Reply):
        answer.set_result(result)
    else:
        answer.set_exception(result)
