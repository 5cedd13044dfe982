"""Attack strings in what a web request asks for and sends: SQL, script, paths, commands.

Texts are looked at as they are decoded once and twice, many at a time: decoding compares whole
columns, searching is one pass of one automaton (`PatternSet`) over each text.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.sensor.payloads.content import ACCESS_FILES
from agents.sensor.payloads.pattern_sets import PatternSet
from agents.sensor.payloads.percent import decoded
from ontology.records import INDICATORS

SQL_INJECTION, XSS, TRAVERSAL, COMMAND = (
    1 << INDICATORS.index(name)
    for name in ("SqlInjection", "CrossSiteScripting", "PathTraversal", "CommandInjection")
)

MAX_COMMENTS = 16
"""Looked for in a text. More of them in so few bytes are no request of an honest client: they are
what blanks are written as to get past a filter."""
_COMMENT = 64
_MAX_COMPARED = 32
"""Comparisons looked at in one text; more, with numbers among them, are an injection anyway."""

JNDI = rb"\$\{jndi:|\$\{\w*\$\{\w*:"
"""A look-up by name that a logging library carries out (CVE-2021-44228), plain or with look-ups in
its letters, as ``${${lower:j}ndi:``."""

# The patterns see decoded text, with NUL for "&" between parameters: no \s matches it.
_COMMANDS = (
    rb"(?:cat|ls|id|whoami|uname|wget|curl|nc|ncat|bash|sh|ping|nslookup|cmd|powershell|rm|echo|"
    rb"python\d?|perl|chmod|ifconfig|netstat|dir|type|sleep|touch)"
)
_PATTERNS: tuple[tuple[int, bytes], ...] = (
    (
        SQL_INJECTION,
        rb"\bunion\b[\s(]+(?:all\b|distinct\b)?[\s(]*select\b"
        rb"|['\")]\s*(?:or\b|and\b|\|\||&&)\s*\(?['\"]?\w+['\"]?\s*(?:=|<|>|\blike\b)"
        rb"|['\"]\s*(?:;|\))?\s*(?:--(?:[\s+-]|$|\x00)|#|/\*)"
        rb"|;\s*(?:drop|insert|update|delete|alter|create|exec|declare|truncate)\s+\w"
        rb"|\b(?:sleep|benchmark|pg_sleep|extractvalue|updatexml|load_file|xp_cmdshell|dbms_\w+)\s*\("
        rb"|\bwaitfor\s+delay\b|\binformation_schema\b|\binto\s+(?:out|dump)file\b",
    ),
    (
        XSS,
        rb"<\s*/?script\b|\bjavascript\s*:\s*\w|<\s*(?:iframe|embed|object|applet)\b"
        rb"|<\s*\w[^<>\x00]*[\s/'\"]on[a-z]{3,}\s*="
        rb"|['\"]\s*on(?:error|load|click|focus|mouse\w{2,}|toggle)\s*="
        rb"|\bdocument\s*\.\s*(?:cookie|write|location)\b",
    ),
    (
        TRAVERSAL,
        rb"(?:\.\.[/\\]){2}|\.\.[/\\]+(?:etc|windows|winnt|boot\.ini|proc|var|web-inf)\b"
        rb"|/etc/(?:passwd|shadow|group|hosts)\b|\bwin\.ini\b|\bboot\.ini\b|/proc/self/"
        rb"|\.\.(?:\xc0\xaf|\xc1\x9c|%c0%af|%c1%9c)|\.\.\.\.//|\bphp://(?:filter|input)\b|\bfile:///",
    ),
    (
        COMMAND,
        rb"(?:[;|`&\n]|\$\()\s*(?:/(?:usr/)?s?bin/)?" + _COMMANDS + rb"(?:[\s/;|&)`'\"<>$]|$)"
        rb"|/winnt/system32/|\bcmd\.exe\?|/system32/cmd\.exe|\bexpect://"
        rb"|" + JNDI + rb"|(?:^|[=?\s])/bin/(?:ba|da|z|k|c)?sh\b",
    ),
)
_COMPARED = rb"[=\s(](?:or|and)\s+\d+\s*=\s*\d+\b"
_DIGITS = b"0123456789"


class AttackStrings:
    """Looks for them. Not thread-safe."""

    def __init__(self) -> None:
        self._patterns = PatternSet(*(pattern for _, pattern in _PATTERNS), _COMPARED, ACCESS_FILES)

    def look(self, texts: Sequence[bytes]) -> list[tuple[int, bool]]:
        """Of each request target or form: bits as in ``records.INDICATORS``, and whether it names
        an access control file."""
        # Between parameters there is a NUL; an ampersand that is encoded is part of one.
        texts = [text.replace(b"&", b"\0") for text in texts]
        once = decoded(texts)
        found = list(map(self._look, once))
        again = [n for n, text in enumerate(once) if b"%" in text and text != texts[n]]
        for number, text in zip(again, decoded([once[n] for n in again]), strict=True):
            if text == once[number]:
                continue
            (one, some), (other, more) = found[number], self._look(text)
            found[number] = one | other, some or more
        return found

    def _look(self, text: bytes) -> tuple[int, bool]:
        indicators = 0
        if b"*/" in text:
            text, whole = without_comments(text)
            indicators |= SQL_INJECTION * (not whole)
        found = self._patterns.found(text)
        if found:
            for bit, (indicator, _) in enumerate(_PATTERNS):
                indicators |= indicator * (found >> bit & 1)
            if found >> len(_PATTERNS) & 1 and not indicators & SQL_INJECTION:
                indicators |= SQL_INJECTION * _tautology(text)
        return indicators, found >> len(_PATTERNS) + 1 > 0


def _tautology(text: bytes) -> bool:
    """Whether a number is compared with itself, behind "or" or "and"."""
    sides = text.split(b"=", _MAX_COMPARED)
    return len(sides) > _MAX_COMPARED or any(map(_same, sides, sides[1:]))


def _same(left: bytes, right: bytes) -> bool:
    left = left[-48:].rstrip()
    words = left.rstrip(_DIGITS)
    number = left[len(words) :]
    right = right.lstrip()
    if not number or not right.startswith(number):
        return False
    behind = right[len(number) : len(number) + 1]
    word = words.rstrip().lower()
    return (
        not behind.isalnum()
        and behind != b"_"
        and len(word) < len(words)
        and word.endswith((b"or", b"and"))
    )


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
