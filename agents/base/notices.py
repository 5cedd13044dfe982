"""What the message layers of two agents say to each other: signed, never stored, never refused.

Acknowledgements, refusals, that an agent is back, and what makes two agents acquainted: a
challenge (``query-ref`` with a random word) and its answer (``inform-ref``, which repeats the word
and so says which session signs for that agent now, and what its clock says).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from agents.clock import ClockReading
from agents.messages.acl import AclMessage
from agents.trust.signing import Verifier

PROTOCOL = "ontoidps-delivery"
ONLINE = "online"
"""Content of the notice that an agent is back: what waits for it is due at once."""
ASK, TELL = "query-ref", "inform-ref"
"""Performatives of a challenge and of its answer."""
ACK_BATCH = 20
ACK_DELAY_S = 0.05
ANSWERS_PER_S = 10.0
"""To one peer: refusals, and answers to challenges; neither takes from the other."""
TRANSIENT = frozenset({"stale", "replay", "unmet", "unknown-sender", "bad-signature"})
"""Refusals that a newly signed copy or a mended keyring overcomes: the message stays in the
outbox."""
ASK_ANEW = frozenset({"unmet", "stale"})
"""Refusals after which the sender is asked for its session, as after a restart of either side."""

_ANSWER_WITH = {"unparsable": "not-understood", "content": "not-understood"}


class Notices:
    """One agent's notices to its peers.

    Args:
        send: signs and sends a message now; it is lost if there is no link.
        reaches: whether there is a link to a peer.
    """

    def __init__(
        self,
        own: str,
        verifier: Verifier,
        send: Callable[[AclMessage, ClockReading], None],
        counters: Counter[str],
        reaches: Callable[[str], bool],
    ) -> None:
        self._own = own
        self._verifier = verifier
        self._send = send
        self._counters = counters
        self._reaches = reaches
        self._acks: dict[str, list[str]] = {}
        self._acks_since: float | None = None
        self._tokens: dict[tuple[str, str], tuple[float, float]] = {}
        """Peer and kind of answer to how many are left, and since when."""

    def online(self, peer: str, now: ClockReading) -> None:
        """Say that we are here (again)."""
        self._say(peer, "inform", "-", ONLINE, now)

    # ---- refusals

    def refuse(self, to: str, reply_with: str, reason: str, now: ClockReading) -> None:
        """Within a rate, tell a peer why its message was not taken."""
        if not self._may_answer(to, "refusal", now.steady_s):
            self._counters["refusals_unanswered"] += 1
            return
        self._say(to, _ANSWER_WITH.get(reason, "refuse"), reply_with[:64] or "-", reason, now)

    def _may_answer(self, to: str, kind: str, now: float) -> bool:
        # An answer is smaller than what it answers and rare, so that it amplifies nothing.
        if not self._verifier.has_key_of(to):
            return False
        left, since = self._tokens.get((to, kind), (ANSWERS_PER_S, now))
        left = min(ANSWERS_PER_S, left + (now - since) * ANSWERS_PER_S)
        if left < 1.0:
            return False
        self._tokens[to, kind] = (left - 1.0, now)
        return True

    # ---- acknowledgements

    @property
    def due_s(self) -> float | None:
        """When `flush` has something to do (steady seconds)."""
        return None if self._acks_since is None else self._acks_since + ACK_DELAY_S

    def acknowledge(self, message: AclMessage, now: float) -> None:
        """Tell its sender, with the next `flush`, that a message was handled."""
        waiting = self._acks.setdefault(message.sender, [])
        waiting.append(message.reply_with)
        if self._acks_since is None:
            self._acks_since = now
        if len(waiting) >= ACK_BATCH:
            self._acks_since = now - ACK_DELAY_S  # due; the next flush takes them

    def hurry(self) -> None:
        """What waits is due."""
        if self._acks:
            self._acks_since = 0.0

    def flush(self, now: ClockReading, *, force: bool = False) -> None:
        """Send what has waited long enough (everything with ``force``) to those who are there."""
        if self.due_s is None or (not force and now.steady_s < self.due_s):
            return
        for sender in list(self._acks):
            if self._reaches(sender):
                keys = self._acks.pop(sender)
                for first in range(0, len(keys), ACK_BATCH):
                    batch = " ".join(keys[first : first + ACK_BATCH])
                    self._say(sender, "confirm", batch, "handled", now)
        self._acks_since = None

    # ---- acquaintance

    def ask(self, peer: str, now: ClockReading) -> None:
        """Ask a peer for its session and its clock, unless it was asked a moment ago."""
        word = self._verifier.challenge(peer, now.steady_us)
        if word is not None:
            self._say(peer, ASK, "-", "session", now, word=word)

    def tell(self, challenge: AclMessage, now: ClockReading) -> None:
        """Answer a challenge. It may be one that was recorded, so it changes nothing here.

        Raises: Refused
        """
        peer = self._verifier.check_signature(challenge).jid
        if not self._may_answer(peer, TELL, now.steady_s):
            self._counters["challenges_unanswered"] += 1
            return
        known = self._verifier.knows(challenge)
        word = None if known else self._verifier.challenge(peer, now.steady_us)
        self._say(peer, TELL, challenge.reply_with[:64] or "-", "session", now, word=word or "")

    def _say(
        self,
        to: str,
        performative: str,
        keys: str,
        content: str,
        now: ClockReading,
        *,
        word: str = "",
    ) -> None:
        message = AclMessage(
            performative=performative,
            sender=self._own,
            receivers=(to,),
            content=content,
            language="text/plain",
            protocol=PROTOCOL,
            conversation_id="delivery",
            reply_with=word,
            in_reply_to=keys,
        )
        self._send(message, now)
