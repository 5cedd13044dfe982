"""At-least-once delivery of verified messages; knows neither SPADE nor sockets.

What comes in is checked (signature, time, replay, role), deduplicated and acknowledged once it
was handled; what goes out stays in the outbox until it is acknowledged. What the two ends say to
each other about that is `agents.base.notices`.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass

from agents.base.message_log import ACCEPTED, MessageLog
from agents.base.notices import ACK_BATCH, ASK, ASK_ANEW, ONLINE, TELL, TRANSIENT, Notices
from agents.base.outbox import Outbox, Seen, priority_of
from agents.base.storage import Database, transaction
from agents.clock import ClockReading
from agents.messages.acl import EMPTY_CONTENT, AclMessage, MessageError
from agents.trust.identity import Identity, Peer, Refused
from agents.trust.roles import check_roles
from agents.trust.signing import Signer, Verifier
from ontology.fragments import FragmentError, decode, encode
from ontology.records import Record
from ontology.vocabulary import ONTOLOGY_IRI

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """A message that passed every check, with what it says and who said it."""

    message: AclMessage
    records: tuple[Record, ...]
    sender: Peer
    age_s: float
    """How long ago, at most, the sender composed it."""


def _always(_to: str) -> bool:
    return True


class Delivery:
    """The mail of one agent. ``transmit(message, to)`` puts a signed message on the wire.

    ``reaches(to)`` says whether there is a wire to a receiver, ``has_room(to)`` whether it takes
    more: what is durable waits until it does.

    Times are arguments, both clocks at once: what is decided goes by the one that only runs, the
    other is for people.
    """

    def __init__(
        self,
        identity: Identity,
        mail: Database,
        counters: Counter[str],
        transmit: Callable[[AclMessage, str], None],
        *,
        started: ClockReading,
        capacity: int = 10_000,
        log: MessageLog | None = None,
        reaches: Callable[[str], bool] = _always,
        has_room: Callable[[str], bool] = _always,
    ) -> None:
        self._identity = identity
        self._own = identity.peer.jid
        self._wire = transmit
        self._reaches = reaches
        self._has_room = has_room
        self._log = log
        self._counters = counters
        self._mail = mail
        self._outbox = Outbox(mail, capacity=capacity)
        self._seen = Seen(mail)
        self._signer = Signer(identity.key, wall_us=started.wall_us, steady_us=started.steady_us)
        self._verifier = Verifier(self._own, identity.keyring)
        self._notices = Notices(self._own, self._verifier, self.send_once, counters, reaches)
        self.refused_by_peer: list[tuple[str, str, str]] = []
        """(peer, reply-with, reason) of our messages that their receivers turned down for good."""

    def _transmit(self, message: AclMessage, to: str, now: ClockReading) -> None:
        if self._log is not None:
            self._log.add(message, "sent", now.wall_us)
        self._wire(message, to)

    def _note(self, message: AclMessage, now: ClockReading, verdict: str = ACCEPTED) -> None:
        if self._log is not None:
            self._log.add(message, "received", now.wall_us, verdict)

    @property
    def pending(self) -> int:
        """Messages not yet acknowledged."""
        return len(self._outbox)

    def compose(
        self,
        receiver: str,
        performative: str,
        records: Sequence[Record],
        *,
        protocol: str,
        conversation_id: str | None = None,
        in_reply_to: str | None = None,
        durable: bool = True,
    ) -> AclMessage:
        """An unsigned message of ours. Raises: MessageError, FragmentError."""
        [message] = self.compose_many(
            (receiver,),
            performative,
            records,
            protocol=protocol,
            conversation_id=conversation_id,
            in_reply_to=in_reply_to,
            durable=durable,
        )
        return message

    def compose_many(
        self,
        receivers: Sequence[str],
        performative: str,
        records: Sequence[Record],
        *,
        protocol: str,
        conversation_id: str | None = None,
        in_reply_to: str | None = None,
        durable: bool = True,
    ) -> tuple[AclMessage, ...]:
        """A message for each receiver; the records are encoded once."""
        content = encode(records) if records else EMPTY_CONTENT
        return tuple(
            AclMessage(
                performative=performative,
                sender=self._own,
                receivers=(receiver,),
                content=content,
                protocol=protocol,
                conversation_id=conversation_id or f"c-{secrets.token_hex(12)}",
                reply_with=f"m-{secrets.token_hex(12)}" if durable else "",
                in_reply_to=in_reply_to or "",
            )
            for receiver in receivers
        )

    def post(
        self,
        message: AclMessage,
        records: Sequence[Record],
        now: ClockReading,
        within_s: float | None = None,
    ) -> None:
        """Store until acknowledged, or given up after ``within_s`` seconds; `pump` sends it."""
        priority = priority_of(records)
        self._outbox.put(message, message.receivers[0], priority, now, within_s)
        dropped = sum(self._outbox.dropped.values())
        if dropped != self._counters["outbox_dropped"]:
            self._counters["outbox_dropped"] = dropped

    def send_once(self, message: AclMessage, now: ClockReading) -> None:
        """Sign and send now, without storing: lost if the link is down."""
        for receiver in message.receivers:
            self._transmit(self._signer.sign(message, now.steady_us), receiver, now)

    def link_started(
        self,
        now: ClockReading,
        peers: Iterable[str] | None = None,
        *,
        but: Set[str] = frozenset(),
    ) -> None:
        """A link to ``peers`` (to everybody by default, ``but`` to some) is new: everything
        unacknowledged is due again, here and there."""
        for peer in self._identity.keyring if peers is None else peers:
            if peer != self._own and peer not in but:
                self._outbox.restart(peer)
                self._notices.online(peer, now)
                # Of this node: so that the first order finds them acquainted.
                if peers is not None:
                    self._notices.ask(peer, now)
        self._notices.hurry()  # some may have waited for this link

    def pump(self, now: ClockReading, limit: int = 64) -> int:
        """Send what is due and can leave, signed anew. Returns how many were sent."""
        sent = 0
        for due in self._outbox.take(now.steady_s, limit, self._has_room):
            waited_us, left_us = round(due.waited_s(now) * 1e6), None
            if due.within_s is not None:
                left_us = round(due.within_s * 1e6) - waited_us
                if left_us < 0:
                    self._counters["outbox_expired"] += 1
                    self._outbox.done([due.message.reply_with])
                    continue
            signed = self._signer.sign(
                due.message, now.steady_us, waited_us=waited_us, left_us=left_us
            )
            self._transmit(signed, due.receiver, now)
            sent += 1
        self._counters["sent"] += sent
        return sent

    def next_due(self) -> float | None:
        """When `pump` or `flush` has something to do next (steady seconds)."""
        times = (self._outbox.next_due(), self._notices.due_s)
        return min((t for t in times if t is not None), default=None)

    def receive(
        self, message: AclMessage, arrived: ClockReading, now: ClockReading
    ) -> Received | None:
        """Check one message. None: a duplicate, acknowledged again.

        Raises: Refused, for `refuse`.
        """
        try:
            received = self._check(message, arrived, now)
        except Refused as e:
            self._note(message, arrived, e.reason)
            raise
        self._note(message, arrived, ACCEPTED if received else "duplicate")
        if received is None:
            self._counters["duplicates"] += 1
            self._notices.acknowledge(message, now.steady_s)
        return received

    def _check(
        self, message: AclMessage, arrived: ClockReading, now: ClockReading
    ) -> Received | None:
        # Fresh is what was fresh on arrival, however long it waited behind others.
        sender = self._verifier.check(message, arrived.steady_us)
        if self._verifier.due(message.sender, now.steady_us):
            self._notices.ask(message.sender, now)
        self._counters["received"] += 1
        if message.reply_with and message.key in self._seen:
            return None
        if message.ontology != ONTOLOGY_IRI:
            raise Refused("content", f"unknown ontology {message.ontology[:80]!r}")
        if message.language != "text/turtle" or message.encoding.upper() != "UTF-8":
            raise Refused("content", f"language {message.language[:40]!r}")
        if not self._identity.keyring.keys() >= set(message.reply_to):
            # An answer to nobody would stay in the outbox until it pushes others out.
            raise Refused("content", f"reply-to names a stranger: {message.reply_to[0][:80]!r}")
        try:
            records = () if message.content == EMPTY_CONTENT else decode(message.content)
        except FragmentError as e:
            raise Refused("content", str(e)) from e
        check_roles(sender, self._identity.peer, message.performative, records)
        age_s = self._verifier.age_us(message, now.steady_us) / 1e6
        return Received(message, records, sender, age_s)

    def commit(
        self,
        said: Sequence[tuple[AclMessage, Sequence[Record], float | None]],
        handled: AclMessage | None,
        now: ClockReading,
    ) -> None:
        """Store what a handler said and, if it succeeded, what it ``handled``: all or nothing.

        Then acknowledge it.
        """
        try:
            with transaction(self._mail):
                for message, records, within_s in said:
                    self.post(message, records, now, within_s)
                if handled is not None and handled.reply_with:
                    self._seen.add(handled.key)
        except BaseException:
            self._outbox.done([message.reply_with for message, _, _ in said])
            if handled is not None:
                self._seen.forget(handled.key)
            raise
        if handled is not None:
            if handled.reply_with:
                self._notices.acknowledge(handled, now.steady_s)
            self._counters["handled"] += 1

    def handled(self, message: AclMessage, now: ClockReading) -> None:
        """The handler succeeded and had nothing to say: remember it, then acknowledge it."""
        self.commit((), message, now)

    def refuse(self, message: AclMessage, refusal: Refused, now: ClockReading) -> None:
        """Count it and, within a rate, say so to a sender of the keyring. Never answers an
        answer."""
        if refusal.reason in ASK_ANEW:
            self._notices.ask(message.sender, now)
        if refusal.reason == "unmet":
            # As after a start of either side: it is sent again once the session is known.
            self._counters["unmet"] += 1
            return
        self._counters[f"refused_{refusal.reason}"] += 1
        logger.warning("refused %s from %s: %s", message.performative, message.sender, refusal)
        self._notices.refuse(message.sender, message.reply_with, refusal.reason, now)

    def unparsable(
        self, sender: str, reply_with: str, error: MessageError, now: ClockReading
    ) -> None:
        """As `refuse`, for what isn't even a message; ``sender`` is what the server says."""
        self._counters["refused_unparsable"] += 1
        logger.warning("not a message, from %s: %s", sender, error)
        self._notices.refuse(sender, reply_with, "unparsable", now)

    def flush(self, now: ClockReading, *, force: bool = False) -> None:
        """Send acknowledgements that have waited long enough (all of them with ``force``).

        Those of a sender who can't be reached wait for `link_started`.
        """
        self._notices.flush(now, force=force)

    # ---- notices

    def on_notice(self, message: AclMessage, now: ClockReading) -> None:
        """A peer's notice: acknowledgement, refusal, return, acquaintance. Raises: Refused."""
        if message.performative == ASK:
            self._notices.tell(message, now)
        elif message.performative == TELL:
            self._meet(message, now)
        else:
            self._on_word(message, now)

    def _on_word(self, message: AclMessage, now: ClockReading) -> None:
        try:
            self._verifier.check(message, now.steady_us)
        except Refused as e:
            # Who has just come and has nothing from us to wait for need not be known yet.
            if e.reason in ASK_ANEW and (
                message.content != ONLINE or self._outbox.waits_for(message.sender)
            ):
                self._notices.ask(message.sender, now)
            raise
        self._note(message, now)
        if message.content == ONLINE:
            self._outbox.restart(message.sender)
            return
        keys = message.in_reply_to.split(" ")[:ACK_BATCH]
        if message.performative == "confirm":
            self._counters["acknowledged"] += len(self._outbox.done(keys, message.sender))
            return
        reason = message.content[:40]
        self._counters["refused_by_peer"] += 1
        logger.warning("%s refused %s: %r", message.sender, keys[0], reason)
        if reason in TRANSIENT:
            return
        for key in self._outbox.done(keys, message.sender):
            self.refused_by_peer.append((message.sender, key, reason))

    def _meet(self, answer: AclMessage, now: ClockReading) -> None:
        """The answer to a challenge of ours, which may hold one in return."""
        new = self._verifier.meet(answer, now.steady_us)
        self._note(answer, now)
        if new:
            self._counters["sessions_met"] += 1
            # What either has refused of the other meanwhile is due again.
            self._outbox.restart(answer.sender)
            self._notices.online(answer.sender, now)
        if answer.reply_with:
            self._notices.tell(answer, now)


def reply_to(
    delivery: Delivery, message: AclMessage, performative: str, records: Sequence[Record]
) -> AclMessage:
    """The answer to ``message`` in its conversation; as durable as what it answers."""
    return delivery.compose(
        message.reply_to[0] if message.reply_to else message.sender,
        performative,
        records,
        protocol=message.protocol,
        conversation_id=message.conversation_id,
        in_reply_to=message.reply_with,
        durable=bool(message.reply_with),
    )
