"""How what a rule asks of a buffer stands on the wire: as an expression that finds it there.

Each expression finds at least all payloads in which the rule's test holds, and may find others.
Percent-encoded targets and chunked or compressed bodies are found in what they mean, which the
matcher looks through besides.
"""

from __future__ import annotations

from collections.abc import Sequence

import re2

from agents.sensor.signatures.everyday import stands_in_everyday
from agents.sensor.signatures.http_buffers import FIELDS
from rules.signatures.buffers import KEEPS_TEXT, PAYLOAD
from rules.signatures.payload_options import BufferSize, Check, Content, DataAt, Expression

_LATIN = re2.Options()
_LATIN.encoding = re2.Options.Encoding.LATIN1
_LONGEST = 64
"""Bytes of a content that the multi-pattern search compares; the rest is tested afterwards."""
_BLANK = b"[ \\t\\r]*"
"""What the parts of a header line may have around them on the wire."""
_JOINS = re2.compile(rb", |=| \+ ", _LATIN)
_COLON = _BLANK + b":" + _BLANK
_FIELD_OF = {buffer: name for name, buffer in FIELDS.items()}
_UNLIKE = frozenset(["ja3.hash", "ja3s.hash", "tls.cert_serial", "tls.cert_fingerprint"])
"""Buffers that hold nothing that stands on the wire."""
_CONTINUOUS = frozenset(FIELDS.values()) | {
    *(PAYLOAD, "http.uri", "http.uri.raw", "http.cookie", "http.host", "http.host.raw"),
    *("http.request_body", "http.response_body", "file.data", "http.method", "tls.sni"),
    *("ssh.proto", "ssh.software"),
}
"""Buffers that stand on the wire in one piece, whatever is in them."""
_HOST = rb"(?:[hH][oO][sS][tT]" + _BLANK + rb":" + _BLANK + rb"|://|@)"
_TARGET = rb"^(?:[A-Z]{3,20} +(?:[hH][tT][tT][pP][sS]?://[^/]*)?)?"


def text_on_the_wire(check: Content) -> bytes:
    """The longest part of a content that stands in the raw payload as it is, but for case and for
    the blanks of a header line."""
    name, *transforms = check.buffer.split("|")
    if name in _UNLIKE or not KEEPS_TEXT.issuperset(transforms):
        return b""
    text = check.pattern
    if "dotprefix" in transforms or name == "dns.query":
        text = text.strip(b".")
    if name in ("http.header", "http.header_names"):
        return _row(text)
    if name in ("tls.cert_subject", "tls.cert_issuer"):
        parts: list[bytes] = _JOINS.split(text)
        return max(parts, key=_worth)[:_LONGEST]
    return text[:_LONGEST]


def _worth(part: bytes) -> tuple[bool, int]:
    return not stands_in_everyday(part.strip(b"\r\n")), len(part)


def _row(text: bytes) -> bytes:
    """The part of a text of several lines that tells most, with the ends of its line: the lines may
    be apart on the wire."""
    rows = text.split(b"\r\n")
    parts = []
    for number, row in enumerate(rows):
        end = b"\r\n" if number < len(rows) - 1 and len(row) <= _LONGEST else b""
        if row.strip(b" :"):
            parts.append(b"\r\n" * (number > 0) + row[:_LONGEST] + end)
    return max(parts, key=_worth, default=b"")


def placed(check: Content, text: bytes, later: Sequence[Check]) -> bytes | None:
    """The expression of a content at the begin of a field's value, of the host or of the target,
    or, of a field's value, at its begin and end; None if it may stand elsewhere."""
    if check.relative or text != check.pattern or b"\n" in text or "|" in check.buffer:
        return None
    begins = check.offset in (0, None) and check.depth == len(check.pattern)
    ends = check.at_end or any(
        isinstance(other, DataAt) and other.negated and other.relative and other.count == 1
        for other in later[:1]
    )
    for other in later:
        if isinstance(other, BufferSize) and other.buffer == check.buffer:
            if other.least == other.most == len(text):
                begins = ends = True
    if not begins:
        return None
    if check.buffer == "http.host":
        return _HOST + spelled(text)
    if check.buffer in ("http.uri", "http.uri.raw") and len(text) > 1:
        return _TARGET + spelled(text)
    name = _FIELD_OF.get(check.buffer)
    if name is None:
        return None
    tail = _BLANK + b"\\n" if ends else b""
    return b"".join((spelled(name), _BLANK, b":", _BLANK, spelled(text), tail))


def spelled(text: bytes) -> bytes:
    """The expression of a text: each byte in hexadecimal."""
    return b"".join(b"\\x%02x" % byte for byte in text)


def anywhere(check: Content, text: bytes) -> bytes:
    """The expression of a content's text wherever its buffer is on the wire."""
    name = check.buffer.partition("|")[0]
    if name == "dns.query":
        # The dots of a name are lengths on the wire.
        return b"[\\x01-\\x3f]".join(map(spelled, text.split(b".")))
    if name in ("http.header", "http.header_names"):
        return _of_rows(text, b"(?::|\\n)" if name == "http.header_names" else b"\\n")
    field = _FIELD_OF.get(check.buffer)
    if field is not None and stands_in_everyday(text):
        # A short word tells nothing unless it stands in its own line.
        return spelled(field) + _BLANK + b":[^\\n]*" + spelled(text)
    return spelled(text)


def _of_rows(text: bytes, end: bytes) -> bytes:
    """Of a header's text within one line, with or without the ends of the line; a blank is not to
    be found where the wire has none."""
    parts = [
        spelled(part.strip(b" "))
        for part in text.removeprefix(b"\r\n").removesuffix(b"\r\n").split(b":")
    ]
    begins = b"\\n" + _BLANK if text.startswith(b"\r\n") else b""
    ends = _BLANK + end if text.endswith(b"\r\n") else b""
    return begins + _COLON.join(parts) + ends


_ASSERTIONS = frozenset(b"AzZbBG")
# To Hyperscan a vertical tab is white space, to RE2 it is none.
_SPACES = {b"S": b"[^ \\t\\n\\f\\r]"}
_NO_SPACE = rb"\S", rb"\S\x0b"
_SPECIAL = re2.compile(
    rb"\\Q|\\[0-9gkpPCRXKNLlUuvhHV]|\(\?[^:imsU)-]|\(\?[imsU-]*x|(?:\^|\$|\\[AzZbBG])\{"
    rb"|\[\^[^\]]*\\S",
    _LATIN,
)
_HIGH = re2.compile(rb"[\x80-\xff]|\\x[89a-fA-F{]", _LATIN)
"""What the dialects read differently, or what is no assertion any more without its begin."""


def without_assertions(check: Expression) -> bytes | None:
    """An expression that finds all that this one finds, wherever its buffer is on the wire: without
    what it says of begins and ends. None where that can't be said."""
    if check.negated or check.buffer not in _CONTINUOUS or _SPECIAL.search(check.pattern):
        return None
    if check.caseless and _HIGH.search(check.pattern):
        return None  # Hyperscan folds ASCII only
    plain, alone = _stripped(check.pattern)
    if check.buffer == "http.host" and alone and not (check.multiline or check.relative):
        return _HOST + b"(?:" + plain + b")"
    return plain


def _stripped(pattern: bytes) -> tuple[bytes, bool]:
    """The expression without assertions, and whether it is anchored as a whole at the begin."""
    out = bytearray()
    at, depth, alternatives = 0, 0, False
    while at < len(pattern):
        byte = pattern[at : at + 1]
        if byte == b"\\":
            if pattern[at + 1] not in _ASSERTIONS:
                out += _SPACES.get(pattern[at + 1 : at + 2], pattern[at : at + 2])
            at += 2
            continue
        if byte == b"[":
            end = _class_end(pattern, at)
            negated = pattern[at + 1 : at + 2] == b"^"
            out += pattern[at:end].replace(*((rb"\s", b" \\t\\n\\f\\r") if negated else _NO_SPACE))
            at = end
            continue
        depth += (byte == b"(") - (byte == b")")
        alternatives |= byte == b"|" and not depth
        if byte not in (b"^", b"$"):
            out += byte
        at += 1
    return bytes(out), pattern[:1] == b"^" and not alternatives


def _class_end(pattern: bytes, at: int) -> int:
    """Where the class of characters that begins at ``at`` is over."""
    at += 1 + (pattern[at + 1 : at + 2] == b"^")
    first = True
    while at < len(pattern) and (first or pattern[at : at + 1] != b"]"):
        if pattern[at : at + 2] == b"[:":
            closed = pattern.find(b":]", at + 2)
            at = closed + 2 if closed >= 0 else at + 1
        else:
            at += 2 if pattern[at : at + 1] == b"\\" else 1
        first = False
    return at + 1
