"""Web requests, many at once: logins in them, attack strings, access files they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.sensor.payloads.attack_strings import COMMAND, XSS, AttackStrings
from agents.sensor.payloads.patterns import PatternSet
from ontology.records import INDICATORS

FORM_LOGIN = 1 << INDICATORS.index("FormLogin")

# Of a request's target and form: whether it is decoded and looked through; of a form, whether it
# holds a password.
_SUSPICIOUS = rb"[%'\"<>;|`$\\(+:]|\.\.|/\*|/etc/|system32|/bin/|/proc/"
_PASSWORD = rb"(?:\A|&)(?:user_?)?(?:pass|passw(?:or)?d|pwd)=[^&]"
# Of everything else in it. Names of headers and of schemes have no case (RFC 9110, 5.1 and 11.1).
_HEADERS = (rb"\$\{jndi:|\(\)\s{0,5}\{", rb"<script\b")
_BASIC_LOGIN = rb"authorization:[ \t]{0,9}basic "


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request says."""

    attempts: int
    """Logins: Basic, and a form's."""
    indicators: int
    """Bits as in ``records.INDICATORS``."""
    text: bytes
    """All of it, target and form decoded once where that changes anything."""


class RequestReader:
    """Not thread-safe."""

    def __init__(self) -> None:
        self._attacks = AttackStrings()
        self._parts = PatternSet(_SUSPICIOUS, _PASSWORD)
        self._headers = PatternSet(*_HEADERS)
        self._login = PatternSet(_BASIC_LOGIN)

    def read(self, requests: Sequence[bytes]) -> list[Asked]:
        """What each says; a form or a second request behind the blank line is its body."""
        texts: list[bytes] = []
        owners: list[tuple[int, bool]] = []
        parts: list[list[bytes]] = []
        attempts: list[int] = []
        indicators: list[int] = []
        for number, request in enumerate(requests):
            head, _, body = request.partition(b"\r\n\r\n")
            line, _, headers = head.partition(b"\r\n")
            target = line[line.find(b" ") + 1 :]
            parts.append([target, headers, body])
            attempts.append(self._login.found(request))
            indicators.append(0)
            if self._parts.found(line) & 1:
                texts.append(target)
                owners.append((number, False))
            found = self._parts.found(body) if body else 0
            if found & 2 and line.startswith(b"POST "):
                attempts[number] += 1
                indicators[number] |= FORM_LOGIN
            if found & 1:
                texts.append(body)
                owners.append((number, True))
            found = self._headers.found(headers) if headers else 0
            indicators[number] |= COMMAND * (found & 1) | XSS * (found >> 1)
        looked = self._attacks.look(texts) if texts else ()
        for (number, is_body), (found, plain) in zip(owners, looked, strict=True):
            indicators[number] |= found
            parts[number][2 * is_body] = plain
        return [
            Asked(some, bits, b"\n".join(part))
            for some, bits, part in zip(attempts, indicators, parts, strict=True)
        ]
