"""FIPA-ACL's string representation (SC00070, ``fipa.acl.rep.string.std``), for logs and foreign
agents.

It is bytes, not text: contents are byte-length strings (``#12"…"``), which need no escapes. Our own
parameters travel as user-defined ones (``:X-session``, SC00061 section 2). Read with small limits:
what is parsed here came from outside.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from agents.messages.acl import (
    EMPTY_CONTENT,
    PERFORMATIVES,
    AclMessage,
    MessageError,
    format_date_time,
    parse_count,
    parse_date_time,
)

MAX_MESSAGE_BYTES = 260_000
_MAX_DEPTH = 8
_MAX_ITEMS = 256

_WORD = re.compile(rb"[^\x00-\x20()#0-9\-@:\"\\][^\x00-\x20()\"\\]*")
_TOKEN = re.compile(rb"[^\x00-\x20()\"]+")
_LENGTH = re.compile(rb'#(\d{1,7})"')
_BLANK = re.compile(rb"[\x00-\x20]*")

_Tree = bytes | list["_Tree"]

_TEXT_FIELDS = (
    ("language", "language"),
    ("encoding", "encoding"),
    ("ontology", "ontology"),
    ("protocol", "protocol"),
    ("conversation-id", "conversation_id"),
    ("reply-with", "reply_with"),
    ("in-reply-to", "in_reply_to"),
    ("X-content-version", "content_version"),
    ("X-session", "session"),
    ("X-signature", "signature"),
)


def to_fipa(message: AclMessage) -> bytes:
    """The message as one parenthesised expression, UTF-8, parameters on lines of their own."""
    lines = [f"({message.performative}".encode()]

    def add(name: str, value: bytes) -> None:
        lines.append(b" :" + name.encode() + b" " + value)

    add("sender", _agent(message.sender))
    add("receiver", b"(set " + b" ".join(_agent(jid) for jid in message.receivers) + b")")
    if message.reply_to:
        add("reply-to", b"(set " + b" ".join(_agent(jid) for jid in message.reply_to) + b")")
    add("content", _counted(message.content))
    for name, field in _TEXT_FIELDS:
        value = getattr(message, field)
        if value:
            add(name, _expression(value))
    if message.reply_by_us is not None:
        add("reply-by", format_date_time(message.reply_by_us).encode())
    if message.sent_us:
        # A word may not begin with a digit.
        add("X-sent-us", f'"{message.sent_us}"'.encode())
    if message.waited_ms:
        add("X-waited-ms", f'"{message.waited_ms}"'.encode())
    return b"\n".join(lines) + b")\n"


def _agent(jid: str) -> bytes:
    return b"(agent-identifier :name " + _expression(jid) + b")"


def _expression(value: str) -> bytes:
    """A bare word where the grammar allows it; else quoted; else, where quoting is ambiguous,
    counted."""
    raw = value.encode()
    if _WORD.fullmatch(raw):
        return raw
    if b'"' in raw or b"\\" in raw:
        return _counted(value)
    return b'"' + raw + b'"'


def _counted(value: str) -> bytes:
    raw = value.encode()
    return b'#%d"%b"' % (len(raw), raw)


def from_fipa(data: bytes) -> AclMessage:
    """Read one message. Parameters FIPA leaves optional may be missing; sender and receiver may
    not.

    Raises: MessageError naming the parameter, or the byte where the text stops making sense.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise MessageError(f"message has {len(data)} bytes, the limit is {MAX_MESSAGE_BYTES}")
    reader = _Reader(data)
    tree = reader.read()
    reader.expect_end()
    if not isinstance(tree, list) or not tree or not isinstance(tree[0], bytes):
        raise MessageError("not a parenthesised message with a performative")
    found = _parameters(tree[1:])
    fields: dict[str, object] = {
        field: _text(name, found[name.lower()])
        for name, field in _TEXT_FIELDS
        if name.lower() in found
    }
    for name in ("sender", "receiver"):
        if name not in found:
            raise MessageError(f"parameter {name} is missing")
    performative = _text("performative", tree[0]).lower()
    if performative not in PERFORMATIVES:
        raise MessageError(f"unknown performative {performative[:40]!r}")
    fields["performative"] = performative
    fields["sender"] = _name("sender", found["sender"])
    fields["receivers"] = _names("receiver", found["receiver"])
    if "reply-to" in found:
        fields["reply_to"] = _names("reply-to", found["reply-to"])
    content = _text("content", found["content"]) if "content" in found else ""
    fields["content"] = content or EMPTY_CONTENT
    if "reply-by" in found:
        fields["reply_by_us"] = parse_date_time(_text("reply-by", found["reply-by"]))
    for name, field in (("X-sent-us", "sent_us"), ("X-waited-ms", "waited_ms")):
        if name.lower() in found:
            fields[field] = parse_count(name, _text(name, found[name.lower()]))
    defaults = {field: "" for _, field in _TEXT_FIELDS}
    make: Callable[..., AclMessage] = AclMessage
    return make(**(defaults | fields))


def _parameters(items: list[_Tree]) -> dict[str, _Tree]:
    if len(items) % 2:
        raise MessageError("a parameter without a value")
    found: dict[str, _Tree] = {}
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, bytes) or not key.startswith(b":"):
            raise MessageError(f"parameter name expected, got {str(key)[:40]}")
        name = _text("parameter name", key[1:]).lower()
        if name in found:
            raise MessageError(f"parameter {name[:40]!r} comes twice")
        found[name] = value
    return found


def _text(name: str, value: _Tree) -> str:
    if not isinstance(value, bytes):
        raise MessageError(f"{name}: a word or string wanted, got an expression")
    try:
        return value.decode()
    except UnicodeDecodeError as e:
        raise MessageError(f"{name}: not UTF-8 at byte {e.start}") from e


def _name(parameter: str, value: _Tree) -> str:
    if not isinstance(value, list) or not value or value[0] != b"agent-identifier":
        raise MessageError(f"{parameter}: an agent-identifier wanted")
    found = _parameters(value[1:])
    if "name" not in found:
        raise MessageError(f"{parameter}: the agent-identifier has no name")
    return _text(parameter, found["name"])


def _names(parameter: str, value: _Tree) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or value[0] != b"set":
        raise MessageError(f"{parameter}: a set of agent-identifiers wanted")
    return tuple(_name(parameter, item) for item in value[1:])


class _Reader:
    """S-expressions of words and the two kinds of string; positions for the error messages."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._items = 0

    def read(self, depth: int = 0) -> _Tree:
        self._skip()
        self._items += 1
        if depth > _MAX_DEPTH or self._items > _MAX_ITEMS:
            raise MessageError(f"too deep or too long at byte {self._at}")
        data, at = self._data, self._at
        if data.startswith(b"(", at):
            return self._list(depth)
        if data.startswith(b'"', at):
            return self._quoted()
        counted = _LENGTH.match(data, at)
        if counted:
            begin = counted.end()
            end = begin + int(counted[1])
            if data[end : end + 1] != b'"':
                raise MessageError(f"byte-length string at byte {at} doesn't end where it says")
            self._at = end + 1
            return data[begin:end]
        token = _TOKEN.match(data, at)
        if token is None:
            raise MessageError(f"nothing readable at byte {at}")
        self._at = token.end()
        return token[0]

    def _list(self, depth: int) -> list[_Tree]:
        begin = self._at
        self._at += 1
        items: list[_Tree] = []
        while True:
            self._skip()
            if self._at >= len(self._data):
                raise MessageError(f"parenthesis at byte {begin} isn't closed")
            if self._data.startswith(b")", self._at):
                self._at += 1
                return items
            items.append(self.read(depth + 1))

    def _quoted(self) -> bytes:
        begin = self._at
        parts = []
        while True:
            end = self._data.find(b'"', self._at + 1)
            if end < 0:
                raise MessageError(f"string at byte {begin} isn't closed")
            part = self._data[self._at + 1 : end]
            self._at = end
            if not part.endswith(b"\\"):
                parts.append(part)
                self._at = end + 1
                return b'"'.join(parts)
            parts.append(part[:-1])

    def _skip(self) -> None:
        blank = _BLANK.match(self._data, self._at)
        if blank is not None:
            self._at = blank.end()

    def expect_end(self) -> None:
        self._skip()
        if self._at != len(self._data):
            raise MessageError(f"more after the message, at byte {self._at}")
