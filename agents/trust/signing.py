"""Signatures of messages: made anew at every sending, checked before anything looks at the content.

No clock of one host is compared with that of another. Who signs is a *session*: a process, with a
random name and a clock that only runs. Who receives asks a sender, once per session, what that
clock says (a *challenge*: a random word that the answer repeats), and knows from then on how old a
message of that session is, whatever anybody does to the wall clock of any host.

What keeps a message that was recorded on the way from being taken twice (docs/decisions/0019):

* of another process of the sender: its session is not the one that answered the challenge;
* recorded before the receiver started: signed before the answer;
* later: it is remembered for as long as it is fresh, and refused for its age from then on.

Pure: times are arguments, microseconds on a clock of the caller that only runs. Apart from
`agents.trust.identity`, so that the launcher, which only makes keys, needs no message layer.
"""

from __future__ import annotations

import base64
import secrets
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents.messages.acl import AclMessage, canonical_form, format_date_time
from agents.trust.identity import Peer, Refused

FRESHNESS_US = 30_000_000
"""A message signed longer ago than this, or this far ahead, is refused."""
MAX_REMEMBERED = 20_000
"""Messages remembered per sender: more than an honest one sends in 30 s."""
CHALLENGE_LIMIT_US = 20_000_000
"""An answer that took longer says too little about when it was signed."""
CHALLENGE_EVERY_US = 500_000
"""A sender is asked at most this often."""
ACQUAINTED_US = 600_000_000
"""After this long a sender is asked again: clocks of two hosts drift apart."""
SLOW_US, SLOW_AGAIN_US = 500_000, 10_000_000
"""After an answer that took longer than the first, as from a busy host, by so much sooner."""
RETIRED = 16
"""Sessions of one sender, over by now, whose answers are refused."""
DRIFT_US = 2_000_000
"""Two answers of one session that disagree by more than this come from a host whose steady clock
jumped (a virtual machine that was restored): acquaintance begins anew."""


class Signer:
    """Signs in the name of one process.

    Args:
        wall_us: what the wall clock says when the session begins, microseconds since the epoch.
        steady_us: what the clock that only runs says then.
    """

    def __init__(self, key: Ed25519PrivateKey, *, wall_us: int, steady_us: int) -> None:
        self._key = key
        self._offset_us = wall_us - steady_us
        self._last_us = 0
        self.session = secrets.token_urlsafe(12)

    def session_us(self, steady_us: int) -> int:
        """The session's clock."""
        return steady_us + self._offset_us

    def sign(
        self,
        message: AclMessage,
        steady_us: int,
        *,
        waited_us: int = 0,
        left_us: int | None = None,
    ) -> AclMessage:
        """A copy with a new time and signature; what was there of them before is replaced.

        Args:
            waited_us: since the message was composed.
            left_us: how much longer it may be handled; None: as long as it says itself.
        """
        # No two copies have the same time, so that session and time name one.
        self._last_us = max(self.session_us(steady_us), self._last_us + 1)
        sent_us, waited_ms = self._last_us, max(0, waited_us) // 1000
        stamps = {"sent-us": str(sent_us), "session": self.session}
        if waited_ms:
            stamps["waited-ms"] = str(waited_ms)
        reply_by_us = message.reply_by_us
        if left_us is not None:
            reply_by_us = (sent_us + left_us) // 1000 * 1000
            stamps["reply-by"] = format_date_time(reply_by_us)
        signature = base64.b64encode(self._key.sign(canonical_form(message, stamps))).decode()
        return replace(
            message,
            sent_us=sent_us,
            session=self.session,
            waited_ms=waited_ms,
            reply_by_us=reply_by_us,
            signature=signature,
        )


@dataclass(slots=True)
class _Acquaintance:
    """What is known of one sender's session, and which of its messages were taken."""

    session: str
    answered_us: int
    """What its clock said in its answer."""
    asked_us: int
    heard_us: int
    """Between these two, on our clock, it did."""
    floor_us: int
    """Signed up to here, on its clock: refused."""
    taken: OrderedDict[int, None] = field(default_factory=OrderedDict)
    """Times of signing, oldest first by arrival."""

    def most_us(self, sent_us: int, now_us: int) -> int:
        """How long ago that was, at most."""
        return (now_us - self.asked_us) - (sent_us - self.answered_us)

    def least_us(self, sent_us: int, now_us: int) -> int:
        """How long ago that was, at least; negative: in the future."""
        return (now_us - self.heard_us) - (sent_us - self.answered_us)

    def take(self, sent_us: int, now_us: int) -> None:
        self.taken[sent_us] = None
        # What is no longer fresh is refused by its age alone; when memory runs out the floor rises
        # instead, so that what is forgotten never becomes acceptable.
        while self.taken:
            oldest_us = next(iter(self.taken))
            fresh = self.most_us(oldest_us, now_us) <= FRESHNESS_US
            if fresh and len(self.taken) <= MAX_REMEMBERED:
                break
            # Also of what is stale: acquaintance that is renewed may judge ages a little otherwise.
            self.floor_us = max(self.floor_us, oldest_us)
            del self.taken[oldest_us]


class Verifier:
    """Checks signature, session, age and replay of received messages.

    It begins without acquaintances, so that a restart, which forgets what was taken, opens no
    window for a replay; the honest sender signs anew at its next retry.
    """

    def __init__(self, own: str, keyring: Mapping[str, Peer]) -> None:
        self._own = own
        self._keyring = keyring
        # Only senders of the keyring get into these, so that they are bounded.
        self._known: dict[str, _Acquaintance] = {}
        self._challenges: dict[str, OrderedDict[str, int]] = {}
        """Sender to the words that are open and when each was said, oldest first."""
        self._retired: dict[str, deque[str]] = {}
        """Sender to its last sessions that another one followed."""

    def has_key_of(self, sender: str) -> bool:
        """Whether this is somebody of ours."""
        return sender in self._keyring

    def knows(self, message: AclMessage) -> bool:
        """Whether the session that signed this has answered."""
        known = self._known.get(message.sender)
        return known is not None and known.session == message.session

    def check(self, message: AclMessage, now_us: int) -> Peer:
        """Who sent it. Raises: Refused; ``unmet`` asks for a challenge, ``stale`` may."""
        peer = self.check_signature(message)
        known = self._known.get(message.sender)
        if known is None or known.session != message.session:
            raise Refused("unmet", f"session {message.session[:40]!r} of {message.sender}")
        sent_us, most_us = message.sent_us, known.most_us(message.sent_us, now_us)
        if sent_us in known.taken:
            raise Refused("replay", f"session {message.session[:40]} time {sent_us}")
        if most_us > FRESHNESS_US or known.least_us(sent_us, now_us) < -FRESHNESS_US:
            raise Refused("stale", f"signed {most_us / 1e6:.1f} s ago")
        if sent_us <= known.floor_us:
            raise Refused("unmet", f"signed before this agent knew the session of {message.sender}")
        if message.reply_by_us is not None and message.reply_by_us < sent_us + most_us:
            late_s = (sent_us + most_us - message.reply_by_us) / 1e6
            raise Refused("expired", f"by {late_s:.1f} s")
        known.take(sent_us, now_us)
        return peer

    def check_signature(self, message: AclMessage) -> Peer:
        """Who signed it, at whatever time. Raises: Refused."""
        peer = self._keyring.get(message.sender)
        if peer is None:
            raise Refused("unknown-sender", message.sender)
        if self._own not in message.receivers:
            raise Refused("wrong-receiver", ",".join(message.receivers))
        try:
            signature = base64.b64decode(message.signature, validate=True)
            peer.key.verify(signature, canonical_form(message))
        except (ValueError, InvalidSignature) as e:
            raise Refused("bad-signature", message.sender) from e
        return peer

    def age_us(self, message: AclMessage, now_us: int) -> int:
        """How long ago what a message says was composed, at most; of one that was just taken."""
        known = self._known[message.sender]
        return message.waited_ms * 1000 + max(0, known.most_us(message.sent_us, now_us))

    # ---- acquaintance

    def due(self, sender: str, now_us: int) -> bool:
        """Whether a sender that is known should be asked again."""
        known = self._known.get(sender)
        if known is None:
            return False
        slow = known.heard_us - known.asked_us > SLOW_US
        return now_us - known.asked_us >= (SLOW_AGAIN_US if slow else ACQUAINTED_US)

    def challenge(self, sender: str, now_us: int) -> str | None:
        """A word for a sender to repeat; None: it was asked a moment ago, or is a stranger."""
        if sender not in self._keyring:
            return None
        words = self._challenges.setdefault(sender, OrderedDict())
        if words and now_us - next(reversed(words.values())) < CHALLENGE_EVERY_US:
            return None
        # All that are open stay so: where an answer takes longer than it takes us to ask again, the
        # last word alone would never be the one that is answered.
        while words and now_us - next(iter(words.values())) > CHALLENGE_LIMIT_US:
            words.popitem(last=False)
        word = secrets.token_urlsafe(16)
        words[word] = now_us
        return word

    def meet(self, answer: AclMessage, now_us: int) -> bool:
        """Take in the answer to a challenge; whether the sender's session is new to us.

        Raises: Refused; ``unmet``: it answers no challenge of ours that is still open.
        """
        self.check_signature(answer)
        words = self._challenges.get(answer.sender, OrderedDict())
        asked_us = words.get(answer.in_reply_to)
        if asked_us is None or now_us - asked_us > CHALLENGE_LIMIT_US:
            raise Refused("unmet", f"no answer to a challenge of ours, from {answer.sender}")
        retired = self._retired.setdefault(answer.sender, deque(maxlen=RETIRED))
        if answer.session in retired:
            raise Refused("unmet", f"a session of {answer.sender} that is over")
        # This one and those before it; what was said later may still be answered better.
        while words.popitem(last=False)[0] != answer.in_reply_to:
            pass
        new = _Acquaintance(answer.session, answer.sent_us, asked_us, now_us, answer.sent_us)
        old = self._known.get(answer.sender)
        self._known[answer.sender] = new
        if old is None or old.session != new.session:
            if old is not None:
                # An answer of it may still be on its way, and what it said must stay taken.
                retired.append(old.session)
            return True
        # The two hosts' clocks by both answers: what the first foresees of the second's time.
        early_us = answer.sent_us - old.answered_us - (now_us - old.asked_us)
        late_us = answer.sent_us - old.answered_us - (asked_us - old.heard_us)
        drift_us = DRIFT_US + (asked_us - old.asked_us) // 500
        if early_us > drift_us or late_us < -drift_us:
            return True
        # In doubt it stays as it was: what is on its way must not become too old for us.
        new.floor_us, new.taken = old.floor_us, old.taken
        return False
