"""At-least-once delivery of verified messages; knows neither SPADE nor sockets.

What comes in is checked (signature, time, replay, role), deduplicated and acknowledged once it
was handled; what goes out stays in the outbox until it is acknowledged. Acknowledgements and
refusals are messages of the protocol `PROTOCOL`: signed like all others, never stored, never
answered.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass

from agents.base.message_log import ACCEPTED, MessageLog
from agents.base.outbox import Outbox, Seen, priority_of
from agents.base.storage import Database, transaction
from agents.messages.acl import EMPTY_CONTENT, AclMessage, MessageError
from agents.trust.identity import Identity, Peer, Refused
from agents.trust.roles import check_roles
from agents.trust.signing import Verifier, sign
from ontology.fragments import FragmentError, decode, encode
from ontology.records import Record
from ontology.vocabulary import ONTOLOGY_IRI

logger = logging.getLogger(__name__)

PROTOCOL = "ontoidps-delivery"
ONLINE = "online"
"""Content of the notice that an agent is back: what waits for it is due at once."""
ACK_BATCH = 20
ACK_DELAY_S = 0.05
_REFUSALS_PER_S = 10.0
_TRANSIENT = frozenset({"stale", "replay", "unknown-sender", "bad-signature"})
"""Refusals that a newly signed copy or a mended keyring overcomes: the message stays in the
outbox."""

_ANSWER_WITH = {"unparsable": "not-understood", "content": "not-understood"}


@dataclass(frozen=True, slots=True)
class Received:
    """A message that passed every check, with what it says and who said it."""

    message: AclMessage
    records: tuple[Record, ...]
    sender: Peer


def _always(_to: str) -> bool:
    return True


class Delivery:
    """The mail of one agent. ``transmit(message, to)`` puts a signed message on the wire.

    ``reaches(to)`` says whether there is a wire to a receiver, ``has_room(to)`` whether it takes
    more: what is durable waits until it does.

    Times are arguments: ``now_us`` epoch microseconds for signatures, ``now`` monotonic seconds
    for clocks.
    """

    def __init__(
        self,
        identity: Identity,
        mail: Database,
        counters: Counter[str],
        transmit: Callable[[AclMessage, str], None],
        *,
        started_us: int,
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
        self._verifier = Verifier(self._own, identity.keyring, started_us)
        self._acks: dict[str, list[str]] = {}
        self._acks_since: float | None = None
        self._tokens: dict[str, tuple[float, float]] = {}  # peer: refusals left, since when
        self.refused_by_peer: list[tuple[str, str, str]] = []
        """(peer, reply-with, reason) of our messages that their receivers turned down for good."""

    def _transmit(self, message: AclMessage, to: str) -> None:
        if self._log is not None:
            self._log.add(message, "sent", message.sent_us)
        self._wire(message, to)

    def _note(self, message: AclMessage, now_us: int, verdict: str = ACCEPTED) -> None:
        if self._log is not None:
            self._log.add(message, "received", now_us, verdict)

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
        reply_by_us: int | None = None,
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
            reply_by_us=reply_by_us,
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
        reply_by_us: int | None = None,
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
                reply_by_us=reply_by_us,
            )
            for receiver in receivers
        )

    def post(self, message: AclMessage, records: Sequence[Record]) -> None:
        """Store until acknowledged; `pump` sends it."""
        priority = priority_of(records)
        self._outbox.put(message, message.receivers[0], priority)
        dropped = sum(self._outbox.dropped.values())
        if dropped != self._counters["outbox_dropped"]:
            self._counters["outbox_dropped"] = dropped

    def send_once(self, message: AclMessage, now_us: int) -> None:
        """Sign and send now, without storing: lost if the link is down."""
        for receiver in message.receivers:
            self._transmit(sign(message, self._identity.key, now_us), receiver)

    def link_started(
        self, now_us: int, peers: Iterable[str] | None = None, *, but: Set[str] = frozenset()
    ) -> None:
        """A link to ``peers`` (to everybody by default, ``but`` to some) is new: everything
        unacknowledged is due again, here and there."""
        for peer in self._identity.keyring if peers is None else peers:
            if peer != self._own and peer not in but:
                self._outbox.restart(peer)
                self._notice(peer, "inform", "-", ONLINE, now_us)
        if self._acks:
            self._acks_since = 0.0  # some may have waited for this link

    def pump(self, now_us: int, now: float, limit: int = 64) -> int:
        """Send what is due and can leave, signed anew. Returns how many were sent."""
        sent = 0
        for message, receiver in self._outbox.take(now, limit, self._has_room):
            if message.reply_by_us is not None and message.reply_by_us < now_us:
                self._counters["outbox_expired"] += 1
                self._outbox.done([message.reply_with])
                continue
            self._transmit(sign(message, self._identity.key, now_us), receiver)
            sent += 1
        self._counters["sent"] += sent
        return sent

    def next_due(self) -> float | None:
        """When `pump` or `flush` has something to do next (monotonic seconds)."""
        times = [self._outbox.next_due()]
        if self._acks_since is not None:
            times.append(self._acks_since + ACK_DELAY_S)
        return min((t for t in times if t is not None), default=None)

    def receive(self, message: AclMessage, now_us: int, now: float) -> Received | None:
        """Check one message. None: a duplicate, acknowledged again.

        Raises: Refused, for `refuse`.
        """
        try:
            received = self._check(message, now_us)
        except Refused as e:
            self._note(message, now_us, e.reason)
            raise
        self._note(message, now_us, ACCEPTED if received else "duplicate")
        if received is None:
            self._counters["duplicates"] += 1
            self._acknowledge(message, now)
        return received

    def _check(self, message: AclMessage, now_us: int) -> Received | None:
        sender = self._verifier.check(message, now_us)
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
        return Received(message, records, sender)

    def commit(
        self,
        said: Sequence[tuple[AclMessage, Sequence[Record]]],
        handled: AclMessage | None,
        now: float,
    ) -> None:
        """Store what a handler said and, if it succeeded, what it ``handled``: all or nothing.

        Then acknowledge it.
        """
        try:
            with transaction(self._mail):
                for message, records in said:
                    self.post(message, records)
                if handled is not None and handled.reply_with:
                    self._seen.add(handled.key)
        except BaseException:
            self._outbox.done([message.reply_with for message, _ in said])
            if handled is not None:
                self._seen.forget(handled.key)
            raise
        if handled is not None:
            if handled.reply_with:
                self._acknowledge(handled, now)
            self._counters["handled"] += 1

    def handled(self, message: AclMessage, now: float) -> None:
        """The handler succeeded and had nothing to say: remember it, then acknowledge it."""
        self.commit((), message, now)

    def refuse(self, message: AclMessage, refusal: Refused, now_us: int, now: float) -> None:
        """Count it and, within a rate, say so to a sender of the keyring. Never answers an
        answer."""
        self._counters[f"refused_{refusal.reason}"] += 1
        logger.warning("refused %s from %s: %s", message.performative, message.sender, refusal)
        self._answer(message.sender, message.reply_with, refusal.reason, now_us, now)

    def unparsable(
        self,
        sender: str,
        reply_with: str,
        error: MessageError,
        now_us: int,
        now: float,
    ) -> None:
        """As `refuse`, for what isn't even a message; ``sender`` is what the server says."""
        self._counters["refused_unparsable"] += 1
        logger.warning("not a message, from %s: %s", sender, error)
        self._answer(sender, reply_with, "unparsable", now_us, now)

    def _answer(self, to: str, reply_with: str, reason: str, now_us: int, now: float) -> None:
        # The answer is smaller than what it answers and rare, so that it amplifies nothing.
        left, since = self._tokens.get(to, (_REFUSALS_PER_S, now))
        left = min(_REFUSALS_PER_S, left + (now - since) * _REFUSALS_PER_S)
        if to not in self._identity.keyring or left < 1.0:
            self._counters["refusals_unanswered"] += 1
            return
        self._tokens[to] = (left - 1.0, now)
        self._notice(to, _ANSWER_WITH.get(reason, "refuse"), reply_with[:64] or "-", reason, now_us)

    def _notice(self, to: str, performative: str, keys: str, content: str, now_us: int) -> None:
        message = AclMessage(
            performative=performative,
            sender=self._own,
            receivers=(to,),
            content=content,
            language="text/plain",
            protocol=PROTOCOL,
            conversation_id="delivery",
            in_reply_to=keys,
        )
        self.send_once(message, now_us)

    def _acknowledge(self, message: AclMessage, now: float) -> None:
        waiting = self._acks.setdefault(message.sender, [])
        waiting.append(message.reply_with)
        if self._acks_since is None:
            self._acks_since = now
        if len(waiting) >= ACK_BATCH:
            self._acks_since = now - ACK_DELAY_S  # due; the next flush takes them

    def flush(self, now_us: int, now: float, *, force: bool = False) -> None:
        """Send acknowledgements that have waited long enough (all of them with ``force``).

        Those of a sender who can't be reached wait for `link_started`.
        """
        if self._acks_since is None or (not force and now < self._acks_since + ACK_DELAY_S):
            return
        for sender in list(self._acks):
            if self._reaches(sender):
                self._send_acks(sender, now_us)
        self._acks_since = None

    def _send_acks(self, sender: str, now_us: int) -> None:
        keys = self._acks.pop(sender, [])
        for first in range(0, len(keys), ACK_BATCH):
            batch = " ".join(keys[first : first + ACK_BATCH])
            self._notice(sender, "confirm", batch, "handled", now_us)

    def on_notice(self, message: AclMessage, now_us: int) -> None:
        """A peer's acknowledgement, refusal or return. Never answered. Raises: Refused."""
        self._verifier.check(message, now_us)
        self._note(message, now_us)
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
        if reason in _TRANSIENT:
            return
        for key in self._outbox.done(keys, message.sender):
            self.refused_by_peer.append((message.sender, key, reason))


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
