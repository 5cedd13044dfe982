"""Signatures of messages: made anew at every sending, checked before anything looks at the content.

Apart from `agents.trust.identity`, so that the launcher, which only makes keys, needs no message
layer.
"""

from __future__ import annotations

import base64
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents.messages.acl import AclMessage, canonical_form
from agents.trust.identity import Peer, Refused

FRESHNESS_US = 30_000_000
"""A message signed longer ago than this, or this far ahead, is refused."""
MAX_NONCES = 20_000
"""Remembered per sender: more than an honest one sends in 30 s."""


def sign(message: AclMessage, key: Ed25519PrivateKey, now_us: int) -> AclMessage:
    """A copy with a new time, nonce and signature; what was there of them before is replaced."""
    nonce = secrets.token_urlsafe(16)
    signed = key.sign(canonical_form(message, sent_us=now_us, nonce=nonce))
    signature = base64.b64encode(signed).decode()
    return replace(message, sent_us=now_us, nonce=nonce, signature=signature)


class _Memory:
    """Nonces of one sender. A stolen key can fill its own memory, and nobody else's."""

    def __init__(self, floor_us: int) -> None:
        self.floor_us = floor_us
        self.nonces: OrderedDict[str, int] = OrderedDict()

    def remember(self, nonce: str, sent_us: int, now_us: int) -> None:
        self.nonces[nonce] = sent_us
        # Oldest first by arrival. What is no longer fresh is refused by its time alone; when memory
        # runs out the floor rises instead, so that a forgotten nonce never becomes acceptable.
        while self.nonces:
            key, oldest_us = next(iter(self.nonces.items()))
            if oldest_us >= now_us - FRESHNESS_US and len(self.nonces) <= MAX_NONCES:
                break
            if oldest_us >= now_us - FRESHNESS_US:
                self.floor_us = max(self.floor_us, oldest_us)
            del self.nonces[key]


class Verifier:
    """Checks signature, time and replay of received messages; keeps the nonces of 30 s.

    ``started_us``: messages signed before it are refused, so that a restart, which forgets the
    nonces, opens no window for a replay; the honest sender signs anew at its next retry.
    """

    def __init__(self, own: str, keyring: Mapping[str, Peer], started_us: int) -> None:
        self._own = own
        self._keyring = keyring
        # Only senders of the keyring get here, so that this is bounded.
        self._memories = {jid: _Memory(started_us) for jid in keyring}

    def check(self, message: AclMessage, now_us: int) -> Peer:
        """Who sent it. Raises: Refused."""
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
        self._check_time(message, self._memories[message.sender], now_us)
        return peer

    def _check_time(self, message: AclMessage, memory: _Memory, now_us: int) -> None:
        if not now_us - FRESHNESS_US <= message.sent_us <= now_us + FRESHNESS_US:
            raise Refused("stale", f"signed {(now_us - message.sent_us) / 1e6:.1f} s ago")
        if message.nonce in memory.nonces:
            raise Refused("replay", message.nonce)
        if message.sent_us <= memory.floor_us:
            raise Refused("stale", "signed before this agent started")
        if message.reply_by_us is not None and message.reply_by_us < now_us:
            raise Refused("expired", f"by {(now_us - message.reply_by_us) / 1e6:.1f} s")
        memory.remember(message.nonce, message.sent_us, now_us)
