"""The *lead* of a rule: what must stand in a payload for the rule to be tried on it at all.

Looked for in the raw payload, whatever buffer the rule means: so only what a buffer shares with the
bytes on the wire can lead. What is written otherwise there (percent-encoded targets, chunked or
compressed bodies) is looked through a second time by the matcher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hyperscan

from agents.sensor.signatures.http_buffers import FIELDS, METHODS
from rules.signatures.buffers import KEEPS_TEXT, PAYLOAD
from rules.signatures.parse import Signature
from rules.signatures.payload_options import BufferSize, Check, Content, DataAt, Expression

_FLAGS = hyperscan.HS_FLAG_SINGLEMATCH
_MAX_OFFSET = 65_535
_LONGEST = 64
"""Bytes of a content that the multi-pattern search compares; the rest is tested afterwards."""
_COMMON = frozenset(
    b"get |post|http|http/1.|http/1.1|host|user-agent|accept|referer|connection|cookie|mozilla|"
    b"mozilla/|mozilla/5.0|mozilla/4.0|content-type|content-length|content|text/html|200|404|html|"
    b"<html|.php|.html|.asp|.exe|.com|.net|.org|.ru|windows|windows nt|keep-alive|accept-encoding|"
    b"accept-language|cache-control|application/|gzip|www.|http://|https://|index.php|/index.php|"
    b"application/x-www-form-urlencoded|application/json|script|<script|name|body|=|/|?|id=|"
    b"user|form-data|content-disposition|multipart/form-data|close|chrome|safari|msie|server|"
    b"location|charset|utf-8|no-cache|https|image|<title>|</title>|title|function|password|"
    b"text/plain|application/octet-stream|octet-stream|nginx|apache|cgi-bin|/cgi-bin/".split(b"|")
)
"""Text of everyday traffic: a lead only where there is no other."""
_PARTED = {
    "http.header": (b"\r\n",),
    "http.header_names": (b"\r\n",),
    "tls.cert_subject": (b", ", b"=", b" + "),
    "tls.cert_issuer": (b", ", b"=", b" + "),
}
"""Where a buffer joins what stands otherwise on the wire."""
_BLANK = b"[ \\t\\r]*"
"""What the parts of a header line may have around them on the wire."""
_FIELD_OF = {buffer: name for name, buffer in FIELDS.items()}
_UNLIKE = frozenset(["ja3.hash", "ja3s.hash", "tls.cert_serial", "tls.cert_fingerprint"])
"""Buffers that hold nothing that stands on the wire."""
_REQUEST = b"^(?:" + b"|".join(METHODS) + b")"
_MESSAGES = {
    ("http", True): _REQUEST,
    ("http", False): b"^HTTP/",
    ("http", None): _REQUEST[:-1] + b"|HTTP/)",
    ("tls", True): b"^\\x16\\x03...\\x01",
    ("tls", False): b"^\\x16\\x03",
    ("tls", None): b"^\\x16\\x03",
    ("ssh", True): b"^SSH-",
    ("ssh", False): b"^SSH-",
    ("ssh", None): b"^SSH-",
}


@dataclass(frozen=True, slots=True)
class Lead:
    """What the multi-pattern search looks for."""

    expression: bytes
    flags: int
    first: int = 0
    """Not before this byte of the payload."""
    last: int = _MAX_OFFSET
    """Ends not behind this byte."""


def lead_of(signature: Signature) -> Lead | None:
    """The content that the author marked, or the longest; else an expression; else the begin of a
    message that has the rule's buffers; None: the headers choose."""
    best: tuple[tuple[bool, bool, int], Lead] | None = None
    for number, check in enumerate(signature.checks):
        if isinstance(check, Content) and not check.negated:
            text = _on_the_wire(check)
            if text:
                field = _field(check, text, signature.checks[number + 1 :])
                plain = text.lower() not in _COMMON and len(text) > 2
                whole = field is not None and field.endswith(b"\\n")
                worth = plain or whole, check.fast and len(text) > 3, len(text)
                if best is None or worth > best[0]:
                    caseless = _FLAGS | hyperscan.HS_FLAG_CASELESS
                    best = worth, Lead(field, caseless) if field else _literal(check, text)
    if best is not None:
        return best[1]
    for check in signature.checks:
        if not isinstance(check, Expression) or check.negated or check.relative:
            continue
        lead = _expression(check) if check.buffer == PAYLOAD else None
        if lead is not None:
            return lead
    if any(check.buffer != PAYLOAD for check in signature.checks):
        header = signature.header
        begin = _MESSAGES.get((header.application, header.to_server))
        if begin is not None:
            return Lead(begin, _FLAGS | hyperscan.HS_FLAG_DOTALL)
    return None


def _on_the_wire(check: Content) -> bytes:
    """The longest part of a content that stands in the raw payload as it is, but for case."""
    name, *transforms = check.buffer.split("|")
    if name in _UNLIKE or not KEEPS_TEXT.issuperset(transforms):
        return b""
    text = check.pattern
    if "dotprefix" in transforms or name == "dns.query":
        text = text.strip(b".")
    for separator in _PARTED.get(name, ()):
        parts = text.split(separator)
        text = max(parts, key=lambda part: (part.lower() not in _COMMON, len(part)))
    if name == "http.header":
        # A blank is not to be found where the wire has none.
        text = text.strip(b" ")
    return text[:_LONGEST]


def _field(check: Content, text: bytes, later: Sequence[Check]) -> bytes | None:
    """The expression of a header line that is, or begins with, a content of a field's buffer."""
    name = _FIELD_OF.get(check.buffer)
    begins = check.offset in (0, None) and check.depth == len(check.pattern)
    if name is None or check.relative or text != check.pattern or b"\n" in text:
        return None
    ends = check.at_end or any(
        isinstance(other, DataAt) and other.negated and other.relative and other.count == 1
        for other in later[:1]
    )
    for other in later:
        if isinstance(other, BufferSize) and other.buffer == check.buffer:
            if other.least == other.most == len(text):
                begins = ends = True
    if not begins or not (ends or len(text) > 3):
        return None
    return b"".join(
        (_spelled(name), _BLANK, b":", _BLANK, _spelled(text), _BLANK + b"\\n" if ends else b"")
    )


def _spelled(text: bytes) -> bytes:
    return b"".join(b"\\x%02x" % byte for byte in text)


def _literal(check: Content, text: bytes) -> Lead:
    first, last = 0, _MAX_OFFSET
    if check.buffer == PAYLOAD and not check.relative:
        first = max(check.offset or 0, 0)
        if check.depth is not None:
            last = min(first + check.depth, _MAX_OFFSET)
    if last < first + len(text):
        # The window is too small for the content: it never matches, and is no expression.
        first, last = 0, _MAX_OFFSET
    name = check.buffer.partition("|")[0]
    if name == "dns.query":
        # The dots of a name are lengths on the wire.
        escaped = b"[\\x01-\\x3f]".join(map(_spelled, text.split(b".")))
    elif name == "http.header":
        escaped = (_BLANK + b":" + _BLANK).join(map(_spelled, text.split(b": ")))
    else:
        escaped = _spelled(text)
    return Lead(escaped, _FLAGS | hyperscan.HS_FLAG_CASELESS, first, last)


def _expression(check: Expression) -> Lead | None:
    lead = Lead(
        check.pattern,
        _FLAGS
        | hyperscan.HS_FLAG_PREFILTER
        | hyperscan.HS_FLAG_ALLOWEMPTY
        | hyperscan.HS_FLAG_CASELESS * check.caseless
        | hyperscan.HS_FLAG_DOTALL * check.dotall
        | hyperscan.HS_FLAG_MULTILINE * check.multiline,
    )
    try:
        compile_leads([lead])
    except hyperscan.error:
        # RE2 knows it and Hyperscan does not: the headers choose.
        return None
    return lead


def compile_leads(leads: list[Lead], ids: Sequence[int] = (0,)) -> hyperscan.Database:
    """``ids``: what is reported for each. Raises: hyperscan.error for an unknown expression."""
    untyped: Any = hyperscan  # its stubs leave ExpressionExt out
    extended = []
    for lead in leads:
        bits = 0
        if lead.first:
            bits |= hyperscan.HS_EXT_FLAG_MIN_OFFSET
        if lead.last < _MAX_OFFSET:
            bits |= hyperscan.HS_EXT_FLAG_MAX_OFFSET
        extended.append(untyped.ExpressionExt(bits, lead.first, lead.last, 0, 0, 0))
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[lead.expression for lead in leads],
        ids=list(ids),
        elements=len(leads),
        flags=[lead.flags for lead in leads],
        ext=extended,
    )
    return database
