"""Web requests, many at once: logins in them, attack strings, access files they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.sensor.payloads.attack_strings import COMMAND, JNDI, XSS, AttackStrings
from agents.sensor.payloads.content import ACCESS_FILES
from agents.sensor.payloads.pattern_sets import PatternSet
from ontology.records import INDICATORS

FORM_LOGIN = 1 << INDICATORS.index("FormLogin")

PROXY = 1 << INDICATORS.index("ProxyAsked")

_SUSPICIOUS, _PASSWORD, _ACCESS, _BASIC, _COMMAND, _SCRIPT = (1 << bit for bit in range(6))
_PATTERNS = (
    # Whether a target or a form is decoded and looked through.
    rb"[%'\"<>;|`$\\(+:]|\.\.|/\*|/etc/|system32|/bin/|/proc/",
    rb"(?:^|&)(?:user_?)?(?:pass|passw(?:or)?d|pwd)=[^&]",
    ACCESS_FILES,
    # Names of headers and of schemes have no case (RFC 9110, sections 5.1 and 11.1).
    rb"authorization:[ \t]*basic ",
    JNDI + rb"|\(\)\s*\{",
    rb"<script\b",
)


@dataclass(slots=True)
class Asked:
    """What one request says."""

    attempts: int = 0
    """Logins: Basic, and a form's."""
    indicators: int = 0
    """Bits as in ``records.INDICATORS``."""
    access_file: bool = False
    """It names an access control file."""


class RequestReader:
    """Not thread-safe."""

    def __init__(self) -> None:
        self._attacks = AttackStrings()
        self._patterns = PatternSet(*_PATTERNS)

    def of_line(self, line: bytes) -> int:
        """Indicators of a request that is this line and no more."""
        if b"%" in line or b"+" in line or self._patterns.which(line):
            return self.read([line])[0].indicators
        return 0

    def read(self, requests: Sequence[bytes]) -> list[Asked]:
        """What each says; a form or a second request behind the blank line is its body."""
        out: list[Asked] = []
        texts: list[bytes] = []
        owners: list[Asked] = []
        find = self._patterns.found
        for request in requests:
            head, _, body = request.partition(b"\r\n\r\n")
            line, _, headers = head.partition(b"\r\n")
            asked = Asked()
            out.append(asked)
            # A whole address in place of a path, or CONNECT, is for a proxy (RFC 9112, 3.2.2).
            method, _, target = line.partition(b" ")
            if target[:7] == b"http://" or method == b"CONNECT":
                asked.indicators |= PROXY
            # What is decoded and looked through anyway needs no search first.
            in_line = _SUSPICIOUS if b"%" in line or b"+" in line else find(line)
            if in_line & _SUSPICIOUS:
                texts.append(line[line.find(b" ") + 1 :])
                owners.append(asked)
            in_body = find(body) if body else 0
            if in_body & _SUSPICIOUS:
                texts.append(body)
                owners.append(asked)
            if in_body & _PASSWORD and line.startswith(b"POST "):
                asked.attempts += 1
                asked.indicators |= FORM_LOGIN
            found = find(headers) if headers else 0
            asked.indicators |= COMMAND * (found & _COMMAND > 0) | XSS * (found & _SCRIPT > 0)
            found |= in_line | in_body
            asked.attempts += found & _BASIC > 0
            asked.access_file = found & _ACCESS > 0
        for asked, (indicators, access_file) in zip(
            owners, self._attacks.look(texts) if texts else (), strict=True
        ):
            asked.indicators |= indicators
            asked.access_file |= access_file
        return out
