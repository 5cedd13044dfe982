"""Attack strings in what a web request asks for and sends: SQL, script, paths, commands.

Texts are looked at as they are decoded once and twice, many at a time: decoding compares whole
columns, searching is one pass of one automaton (`PatternSet`) over each text.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.sensor.payloads.patterns import PatternSet
from agents.sensor.payloads.percent import decoded
from ontology.records import INDICATORS

SQL_INJECTION, XSS, TRAVERSAL, COMMAND = (
    1 << INDICATORS.index(name)
    for name in ("SqlInjection", "CrossSiteScripting", "PathTraversal", "CommandInjection")
)

MAX_COMMENTS = 32
"""Looked for in a text. More of them in so few bytes are no request of an honest client: they are
what blanks are written as to get past a filter."""
_COMMENT = 64
_MAX_COMPARED = 16
"""Comparisons of two numbers looked at in one text; more are an injection whatever they say."""

# The patterns see decoded text, with NUL for "&" between parameters: no \s matches it.
_COMMANDS = (
    rb"(?:cat|ls|id|whoami|uname|wget|curl|nc|ncat|bash|sh|ping|nslookup|cmd|powershell|rm|echo|"
    rb"python\d?|perl|chmod|ifconfig|netstat|dir|type|sleep|touch)"
)
_PATTERNS: tuple[tuple[int, bytes], ...] = (
    (
        SQL_INJECTION,
        rb"\bunion\b[\s(]{1,20}(?:all\b|distinct\b)?[\s(]{0,20}select\b"
        rb"|['\")]\s{0,9}(?:or\b|and\b|\|\||&&)\s{0,9}\(?['\"]?\w{1,30}['\"]?\s{0,9}(?:=|<|>|\blike\b)"
        rb"|['\"]\s{0,9}(?:;|\))?\s{0,9}(?:--(?:[\s+-]|\z|\x00)|#|/\*)"
        rb"|;\s{0,9}(?:drop|insert|update|delete|alter|create|exec|declare|truncate)\s{1,9}\w"
        rb"|\b(?:sleep|benchmark|pg_sleep|extractvalue|updatexml|load_file|xp_cmdshell|dbms_\w{1,20})\s{0,9}\("
        rb"|\bwaitfor\s{1,9}delay\b|\binformation_schema\b|\binto\s{1,9}(?:out|dump)file\b",
    ),
    (
        XSS,
        rb"<\s{0,9}/?script\b|\bjavascript\s{0,9}:\s{0,9}\w|<\s{0,9}(?:iframe|embed|object|applet)\b"
        rb"|<\s{0,9}\w[^<>\x00]*[\s/'\"]on[a-z]{3,20}\s{0,9}="
        rb"|['\"]\s{0,9}on(?:error|load|click|focus|mouse\w{2,6}|toggle)\s{0,9}="
        rb"|\bdocument\s{0,9}\.\s{0,9}(?:cookie|write|location)\b",
    ),
    (
        TRAVERSAL,
        rb"(?:\.\.[/\\]){2}|\.\.[/\\]{1,4}(?:etc|windows|winnt|boot\.ini|proc|var|web-inf)\b"
        rb"|/etc/(?:passwd|shadow|group|hosts)\b|\bwin\.ini\b|\bboot\.ini\b|/proc/self/"
        rb"|\.\.(?:\xc0\xaf|\xc1\x9c|%c0%af|%c1%9c)|\.\.\.\.//|\bphp://(?:filter|input)\b|\bfile:///",
    ),
    (
        COMMAND,
        rb"(?:[;|`&\n]|\$\()\s{0,9}(?:/(?:usr/)?s?bin/)?"
        + _COMMANDS
        + rb"(?:[\s/;|&)`'\"<>$]|\z)"
        rb"|/winnt/system32/|\bcmd\.exe\?|/system32/cmd\.exe|\$\{jndi:|\bexpect://"
        rb"|(?:\A|[=?\s])/bin/(?:ba|da|z|k|c)?sh\b",
    ),
)
_COMPARED = rb"[=\s(](?:or|and)\s{1,9}\d{1,9}\s{0,9}=\s{0,9}\d{1,9}\b"
_DIGITS = b"0123456789"


class AttackStrings:
    """Looks for them. Not thread-safe."""

    def __init__(self) -> None:
        self._patterns = PatternSet(*(pattern for _, pattern in _PATTERNS), _COMPARED)
        self._compared = PatternSet(_COMPARED)

    def look(self, texts: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """Of each request target or form: bits as in ``records.INDICATORS``, and the text as it is
        decoded once."""
        # Between parameters there is a NUL; an ampersand that is encoded is part of one.
        texts = [text.replace(b"&", b"\0") for text in texts]
        once = decoded(texts)
        found = [self._look(text) for text in once]
        again = [n for n, text in enumerate(once) if b"%" in text and text != texts[n]]
        for number, text in zip(again, decoded([once[n] for n in again]), strict=True):
            found[number] |= self._look(text)
        return list(zip(found, once, strict=True))

    def _look(self, text: bytes) -> int:
        indicators = 0
        if b"*/" in text:
            text, whole = without_comments(text)
            indicators |= SQL_INJECTION * (not whole)
        found = self._patterns.found(text)
        if found:
            for bit, (indicator, _) in enumerate(_PATTERNS):
                indicators |= indicator * (found >> bit & 1)
            if found >> len(_PATTERNS) and not indicators & SQL_INJECTION:
                indicators |= SQL_INJECTION * self._tautology(text)
        return indicators

    def _tautology(self, text: bytes) -> bool:
        """Whether a number is compared with itself, behind "or" or "and"."""
        ends = self._compared.ends(text, _MAX_COMPARED)
        return len(ends) >= _MAX_COMPARED or any(_same(text[max(e - 48, 0) : e]) for e in ends)


def _same(comparison: bytes) -> bool:
    left, _, right = comparison.rpartition(b"=")
    left = left.rstrip()
    return left[len(left.rstrip(_DIGITS)) :] == right.lstrip()


def without_comments(text: bytes) -> tuple[bytes, bool]:
    """(text with a blank for each ``/*…*/`` of at most 64 bytes between, whether that was all: the
    rest is left as it is)."""
    parts: list[bytes] = []
    at = begin = 0
    for _ in range(MAX_COMMENTS):
        begin = text.find(b"/*", begin)
        end = text.find(b"*/", begin + 2) if begin >= 0 else -1
        if end < 0:
            return b"".join((*parts, text[at:])), True
        if end - begin - 2 > _COMMENT:
            begin = end - _COMMENT - 2  # the first that is near enough
            continue
        parts += (text[at:begin], b" ")
        at = begin = end + 2
    return b"".join((*parts, text[at:])), False
