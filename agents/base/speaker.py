"""What an agent says: durable messages, questions with their answers, replies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agents.base.conversations import Conversations, NoAnswer, Reply
from agents.base.delivery import reply_to
from agents.base.exchange import Exchange
from agents.clock import read_clocks
from agents.messages.acl import AclMessage
from ontology.records import Record


class Speaker:
    """The part of `agents.base.agent.BaseAgent` that speaks."""

    _exchange: Exchange
    _conversations: Conversations

    async def send(
        self,
        receiver: str,
        performative: str,
        records: Sequence[Record],
        *,
        protocol: str,
        conversation_id: str | None = None,
        in_reply_to: str | None = None,
        within_s: float | None = None,
    ) -> AclMessage:
        """Store a message and send it until ``receiver`` acknowledges it, or for ``within_s`` s.

        Returns it as stored. Raises: MessageError (too large), FragmentError.
        """
        [message] = await self.send_many(
            (receiver,),
            performative,
            records,
            protocol=protocol,
            conversation_id=conversation_id,
            in_reply_to=in_reply_to,
            within_s=within_s,
        )
        return message

    async def send_many(
        self,
        receivers: Sequence[str],
        performative: str,
        records: Sequence[Record],
        *,
        protocol: str,
        conversation_id: str | None = None,
        in_reply_to: str | None = None,
        within_s: float | None = None,
    ) -> tuple[AclMessage, ...]:
        """As `send`, to each of them; the records are encoded once.

        Returns them as stored, in the receivers' order; each is a conversation of its own unless
        there is a ``conversation_id``.
        """
        messages = self._exchange.delivery.compose_many(
            receivers,
            performative,
            records,
            protocol=protocol,
            conversation_id=conversation_id,
            in_reply_to=in_reply_to,
        )
        for message in messages:
            self._exchange.post(message, records, within_s)
        return messages

    async def ask(
        self,
        receiver: str,
        performative: str,
        records: Sequence[Record],
        *,
        protocol: str,
        limit_s: float,
        conversation_id: str | None = None,
    ) -> Reply:
        """Send a question and wait for its answer, which `on_message` never sees.

        The question is stored until it is acknowledged or the time is over. Not for `on_message`
        itself: messages are handled one at a time, so the answer would wait behind it.

        Raises: NoAnswer after ``limit_s`` seconds; RefusedByPeer; MessageError, FragmentError;
            RuntimeError when called by a message handler, or if too many questions wait.
        """
        if self._exchange.in_handler:
            raise RuntimeError("a message handler can't wait for an answer")
        message = self._exchange.delivery.compose(
            receiver,
            performative,
            records,
            protocol=protocol,
            conversation_id=conversation_id,
        )
        answer = self._conversations.open(message)
        try:
            self._exchange.post(message, records, limit_s)
            async with asyncio.timeout(limit_s):
                return await answer
        except TimeoutError as e:
            raise NoAnswer(receiver, limit_s) from e
        finally:
            self._conversations.close(message)

    async def reply(
        self, message: AclMessage, performative: str, records: Sequence[Record]
    ) -> AclMessage:
        """Answer in the same conversation; durable if ``message`` was."""
        answer = reply_to(self._exchange.delivery, message, performative, records)
        if answer.reply_with:
            self._exchange.post(answer, records)
        else:
            self._exchange.delivery.send_once(answer, read_clocks())
        return answer

    @property
    def age_s(self) -> float:
        """For `on_message`: how long ago, at most, the sender said what is being handled, in
        seconds by clocks that nobody sets: what lasts for a time lasts so much less."""
        return self._exchange.age_s

    @property
    def pending(self) -> int:
        """Messages sent and not yet acknowledged."""
        return self._exchange.delivery.pending
