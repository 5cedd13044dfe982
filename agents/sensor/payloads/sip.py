"""SIP (RFC 3261): scanners by their names, refused registrations, numbers dialled in vain.

A first registration is always refused: the answer brings what the password is hashed with (RFC
3261, section 22). So "401" counts only for a registration that held credentials, which is kept in
mind until it is answered, and not if they were merely stale. "403" and "404" are refusals in any
case: who looks for extensions gets them.
"""

from __future__ import annotations

from cachetools import LRUCache

from agents.sensor.payloads.pattern_sets import PatternSet
from ontology.records import INDICATORS

SCANNER, NUMBER, FRAUD = (
    1 << INDICATORS.index(name) for name in ("SipScanner", "NumberCalled", "TollFraud")
)
PORTS = (5060, 5080)
"""In clear; 5080 is FreeSWITCH's for others than its own users."""
BEGINNINGS = (b"OPTI", b"REGI", b"INVI", b"SIP/")
DIGITS = 9
"""Of a subscriber's number, with its area: what stays the same while prefixes are tried."""
PREFIXES = 3
"""Before the same number. Who misdials corrects himself; a plan of numbers has one prefix."""
MAX_DIALLED = 4096
MAX_PENDING = 4096
WINDOW_US = 600_000_000
PENDING_US = 32_000_000
"""A registration is not answered later (RFC 3261, timer F)."""
_ADDRESS = 128
"""Read of a called address."""

# Names that scanners give themselves: SIPVicious and what was made of it, sipsak, SIP toolkits.
_SCANNERS = (
    rb"^(?:user-agent|from|f|to|t)[ \t]*:[^\r\n]*(?:friendly-scanner|friendly-request|sipvicious"
    rb"|sundayddr|sip-scan|sipsak|sipcli|sipv|vaxsipuseragent|pplsip|iwar|sivus|smap |gulp"
    rb"|eyebeam_scan|nm2@nm2)"
)
_NOT_DIGITS = bytes(byte for byte in range(256) if byte not in b"0123456789")

Found = tuple[int, int, int]
"""(refused logins, logins, indicators)."""
_NOTHING: Found = (0, 0, 0)


class SipReader:
    """Reads messages that begin with one of `BEGINNINGS`. Not thread-safe."""

    def __init__(self) -> None:
        self._scanners = PatternSet(_SCANNERS, lines=True)
        self._pending: LRUCache[tuple[bytes, ...], int] = LRUCache(MAX_PENDING)
        """Registrations with credentials, and when they were sent."""
        self._dialled: LRUCache[tuple[bytes, ...], tuple[int, frozenset[bytes]]] = LRUCache(
            MAX_DIALLED
        )
        """By caller, server and the number's end: since when, and with which prefixes."""

    def look(self, payload: bytes, source: bytes, target: bytes, now_us: int) -> Found:
        """What a message from ``source`` to ``target`` says."""
        head = payload.partition(b"\r\n\r\n")[0]
        if head.startswith(b"SIP/"):
            return self._answer(head, target, source, now_us)
        indicators = SCANNER * self._scanners.found(head)
        if head.startswith(b"REGISTER "):
            text = head.lower()
            if b"\r\nauthorization:" not in text:
                return 0, 0, indicators
            self._pending[(source, target, *_dialogue(text))] = now_us
            return 0, 1, indicators
        if head.startswith(b"INVITE "):
            indicators |= self._invite(head, source, target, now_us)
        return 0, 0, indicators

    def _invite(self, head: bytes, source: bytes, target: bytes, now_us: int) -> int:
        address = head[7 : 7 + _ADDRESS].split(b" ", 1)[0]
        scheme, _, rest = address.partition(b":")
        user = rest if scheme.lower() == b"tel" else rest.partition(b"@")[0]
        number = user.partition(b";")[0].translate(None, _NOT_DIGITS)
        if len(number) < DIGITS:
            return 0
        key = (source, target, number[-DIGITS:])
        since, prefixes = self._dialled.get(key, (now_us, frozenset()))
        if abs(now_us - since) > WINDOW_US:
            since, prefixes = now_us, frozenset()
        if len(prefixes) < PREFIXES:
            prefixes |= {user[:_ADDRESS]}
        self._dialled[key] = since, prefixes
        return NUMBER | FRAUD * (len(prefixes) >= PREFIXES)

    def _answer(self, head: bytes, client: bytes, server: bytes, now_us: int) -> Found:
        status = head[8:12]
        if status not in (b"401 ", b"407 ", b"403 ", b"404 "):
            return _NOTHING
        text = head.lower()
        dialogue = _dialogue(text)
        if not dialogue[1].endswith(b"register"):
            return _NOTHING
        sent = self._pending.pop((client, server, *dialogue), None)
        if status in (b"403 ", b"404 "):
            return 1, 0, 0
        answers = sent is not None and 0 <= now_us - sent <= PENDING_US
        return int(answers and b"stale=true" not in text), 0, 0


def _dialogue(text: bytes) -> tuple[bytes, bytes]:
    """(Call-ID, CSeq) of a head in lower case; empty where there is none."""
    call = _header(text, b"\r\ncall-id:") or _header(text, b"\r\ni:")
    return call, b" ".join(_header(text, b"\r\ncseq:").split())


def _header(text: bytes, name: bytes) -> bytes:
    at = text.find(name)
    if at < 0:
        return b""
    at += len(name)
    end = text.find(b"\r\n", at, at + 256)
    return text[at : end if end >= 0 else at + 256].strip()
