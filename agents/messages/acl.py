"""FIPA-ACL messages and the one codec between them and what travels: stanzas and frames.

SPADE's own `fipa_message` is not used: its builder writes a dictionary that never travels and its
parser fails on every received message. Parameter names follow FIPA SC00061; five of ours (version
of the ontology, session and time of signing, how long it waited, signature) stand beside them.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape, quoteattr

from spade.message import SPADE_X_METADATA, Message

from ontology import frames
from ontology.vocabulary import ONTOLOGY_IRI, ONTOLOGY_VERSION

PERFORMATIVES = frozenset(
    "accept-proposal agree cancel cfp confirm disconfirm failure inform inform-if inform-ref "
    "not-understood propagate propose proxy query-if query-ref refuse reject-proposal request "
    "request-when request-whenever subscribe".split()
)
"""The communicative acts of FIPA SC00037."""

MAX_CONTENT_BYTES = 200_000
"""Below the servers' stanza limit of 256 KiB with room for XML escapes and metadata."""
_MAX_ESCAPED_BYTES = 240_000
DEFLATE = "x-deflate-base64"
"""Wire value of `encoding` for long contents; a server parses (in Lua) every byte it passes on."""
DEFLATE_FROM = 4_000
"""Bytes. Shorter contents stay readable on the wire."""
_MAX_VALUE = 1024
_MAX_RECEIVERS = 16

EMPTY_CONTENT = "# no records\n"
"""The content of a message without records: a stanza with an empty body is never dispatched."""

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML 1.0 can't carry: the server would cut the stream (XML 1.0, 2.2)."""
_NOT_VALUE = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_JID = re.compile(r"[^\s@/<>\"'&:]{1,255}@[^\s@/<>\"'&:]{1,255}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE_TIME = re.compile(r"(\d{8}T\d{6})(\d{3})Z?")


class MessageError(ValueError):
    """Not a message of ours; the text names the parameter and what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AclMessage:
    """One FIPA-ACL message. Absent optional parameters are empty strings or None.

    Raises:
        MessageError: a parameter is outside its range, or can't travel in XML.
    """

    performative: str
    sender: str
    """Bare JID."""
    receivers: tuple[str, ...]
    """Bare JIDs."""
    reply_to: tuple[str, ...] = ()
    content: str = EMPTY_CONTENT
    """Line ends are normalised to LF, as XML parsers do on the way."""
    language: str = "text/turtle"
    encoding: str = "UTF-8"
    ontology: str = ONTOLOGY_IRI
    protocol: str = ""
    conversation_id: str = ""
    reply_with: str = ""
    """Set on durable messages: the key under which they are acknowledged."""
    in_reply_to: str = ""
    reply_by_us: int | None = None
    """On the clock of ``sent_us``, whole milliseconds (FIPA's DateTime has no more)."""
    content_version: str = ONTOLOGY_VERSION
    """Version of the ontology the sender speaks."""
    sent_us: int = 0
    """When this copy was signed, on the clock of the sender's session: microseconds that began as
    its wall clock had it and that no setting of a clock moves. No two copies of a session have
    the same."""
    session: str = ""
    """Which process signed: a random word, new at every start."""
    waited_ms: int = 0
    """How long the message had waited at the sender when this copy was signed."""
    signature: str = ""
    """Ed25519 over `canonical_form`, base64."""

    def __post_init__(self) -> None:
        if self.performative not in PERFORMATIVES:
            raise MessageError(f"unknown performative {self.performative[:40]!r}")
        if not 1 <= len(self.receivers) <= _MAX_RECEIVERS:
            raise MessageError(f"receiver: 1 to {_MAX_RECEIVERS} wanted, got {len(self.receivers)}")
        for name, addresses in (
            ("sender", (self.sender,)),
            ("receiver", self.receivers),
            ("reply-to", self.reply_to),
        ):
            for address in addresses:
                if not _JID.fullmatch(address):
                    raise MessageError(f"{name}: not a bare JID: {address[:80]!r}")
        if self.reply_by_us is not None:
            if not 0 <= self.reply_by_us < 253_402_300_800_000_000:
                raise MessageError(f"reply-by out of range: {self.reply_by_us}")
            object.__setattr__(self, "reply_by_us", self.reply_by_us // 1000 * 1000)
        if "\r" in self.content:
            normal = self.content.replace("\r\n", "\n").replace("\r", "\n")
            object.__setattr__(self, "content", normal)
        self._check_content()
        for key, value in to_metadata(self).items():
            if len(value) > _MAX_VALUE:
                raise MessageError(f"{key} is longer than {_MAX_VALUE} characters")
            if _NOT_VALUE.search(value) or value != value.strip():
                raise MessageError(f"{key} holds a control character or an outer blank")

    def _check_content(self) -> None:
        if not self.content:
            raise MessageError("content is empty")
        found = _NOT_XML.search(self.content)
        if found:
            raise MessageError(f"content holds U+{ord(found[0]):04X}, which XML can't carry")
        size = len(self.content.encode())
        if size >= MAX_CONTENT_BYTES:
            raise MessageError(f"content has {size} bytes, the limit is {MAX_CONTENT_BYTES - 1}")
        if size <= _MAX_ESCAPED_BYTES // 5:
            return  # `&` grows most, to five bytes
        escaped = size + 4 * self.content.count("&")
        escaped += 3 * (self.content.count("<") + self.content.count(">"))
        if escaped > _MAX_ESCAPED_BYTES:
            raise MessageError(
                f"content has {escaped} bytes once escaped, the limit is {_MAX_ESCAPED_BYTES}"
            )

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes this message the same one when it is sent again."""
        return self.sender, self.conversation_id, self.reply_with


# Wire name, field; in the order in which they are written.
_PLAIN = (
    ("performative", "performative"),
    ("sender", "sender"),
    ("language", "language"),
    ("encoding", "encoding"),
    ("ontology", "ontology"),
    ("protocol", "protocol"),
    ("conversation-id", "conversation_id"),
    ("reply-with", "reply_with"),
    ("in-reply-to", "in_reply_to"),
    ("content-version", "content_version"),
    ("session", "session"),
    ("signature", "signature"),
)
_LISTS = (("receiver", "receivers"), ("reply-to", "reply_to"))
REQUIRED = (
    "performative",
    "sender",
    "receiver",
    "language",
    "encoding",
    "ontology",
    "protocol",
    "conversation-id",
    "content-version",
    "sent-us",
    "session",
    "signature",
)
"""What a message on our bus must carry; FIPA alone asks only for the performative."""
_KNOWN = frozenset(n for n, _ in (*_PLAIN, *_LISTS)) | {
    "reply-by",
    "sent-us",
    "waited-ms",
}


def format_date_time(time_us: int) -> str:
    """FIPA DateTime (SC00070 section 2.3), UTC, milliseconds: ``20261121T203000123Z``."""
    moment = _EPOCH + timedelta(microseconds=time_us)
    return f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03d}Z".rjust(19, "0")


def parse_date_time(text: str) -> int:
    """Epoch microseconds of an absolute FIPA DateTime; without a Z it is taken as UTC.

    Raises: MessageError.
    """
    match = _DATE_TIME.fullmatch(text)
    if match is None or not text.isascii():
        raise MessageError(f"not a FIPA DateTime: {text[:40]!r}")
    try:
        moment = datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError as e:
        raise MessageError(f"not a FIPA DateTime: {text[:40]!r}") from e
    return (moment - _EPOCH) // timedelta(microseconds=1) + int(match[2]) * 1000


def parse_count(name: str, text: str) -> int:
    """A parameter of ours that is a number of micro- or milliseconds. Raises: MessageError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise MessageError(f"{name} is not a whole number below 10^18: {text[:40]!r}")
    return int(text)


def to_metadata(message: AclMessage) -> dict[str, str]:
    """The message without its content, as SPADE metadata; absent parameters are left out."""
    found = {name: str(getattr(message, field)) for name, field in _PLAIN}
    found |= {name: " ".join(getattr(message, field)) for name, field in _LISTS}
    if message.reply_by_us is not None:
        found["reply-by"] = format_date_time(message.reply_by_us)
    if message.sent_us:
        found["sent-us"] = str(message.sent_us)
    if message.waited_ms:
        found["waited-ms"] = str(message.waited_ms)
    return {name: value for name, value in found.items() if value}


def from_metadata(metadata: Mapping[str, str], content: str) -> AclMessage:
    """The inverse of `to_metadata`, for messages from the bus.

    Raises: MessageError naming the unknown, missing or broken parameter.
    """
    unknown = metadata.keys() - _KNOWN
    if unknown:
        raise MessageError(f"unknown parameter {min(unknown)[:40]!r}")
    for name in REQUIRED:
        if not metadata.get(name):
            raise MessageError(f"parameter {name} is missing")
    reply_by = metadata.get("reply-by")
    return AclMessage(
        content=content,
        receivers=tuple(metadata["receiver"].split(" ")),
        reply_to=tuple(metadata["reply-to"].split(" ")) if metadata.get("reply-to") else (),
        reply_by_us=None if reply_by is None else parse_date_time(reply_by),
        sent_us=parse_count("sent-us", metadata["sent-us"]),
        waited_ms=parse_count("waited-ms", metadata.get("waited-ms", "0")),
        **{field: metadata.get(name, "") for name, field in _PLAIN},
    )


def canonical_form(message: AclMessage, stamps: Mapping[str, str] | None = None) -> bytes:
    """What is signed: every parameter but the signature, sorted, and the SHA-256 of the content.

    ``stamps`` (wire names) stand in for the message's own parameters, for signing.

    No value holds a line feed (`AclMessage` refuses it), so the lines can't be read in two ways.
    """
    metadata = to_metadata(message)
    metadata.pop("signature", None)
    metadata |= stamps or {}
    lines = [f"{name}:{metadata[name]}\n" for name in sorted(metadata)]
    digest = hashlib.sha256(message.content.encode()).hexdigest()
    return "".join(["ontoidps-acl 1\n", *lines, f"sha256:{digest}\n"]).encode()


def _to_wire(message: AclMessage) -> tuple[dict[str, str], str]:
    """(metadata, body). A batch of 50 alerts shrinks to an eighth; signed is what was in it."""
    metadata, content = to_metadata(message), message.content
    if len(content) < DEFLATE_FROM:
        return metadata, content
    metadata["encoding"] = DEFLATE
    return metadata, base64.b64encode(zlib.compress(content.encode(), 1)).decode()


def _from_wire(metadata: Mapping[str, str], body: str) -> tuple[Mapping[str, str], str]:
    """The inverse. Raises: MessageError, before more than the limit is unpacked."""
    if metadata.get("encoding") != DEFLATE:
        return metadata, body
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(body, validate=True), MAX_CONTENT_BYTES)
        if not unpacker.eof or unpacker.unused_data:
            raise MessageError(f"content: more than {MAX_CONTENT_BYTES - 1} bytes, or cut off")
        return {**metadata, "encoding": "UTF-8"}, data.decode()
    except (ValueError, zlib.error) as e:
        raise MessageError(f"content is not {DEFLATE}: {e}") from e


def to_spade(message: AclMessage, to: str) -> Message:
    """One copy for ``to``, which is one of the receivers."""
    metadata, body = _to_wire(message)
    return Message(to=to, sender=message.sender, body=body, metadata=metadata)


def to_stanza(message: AclMessage, to: str) -> str:
    """The XML of the stanza that `to_spade(message, to).prepare(client)` would make.

    slixmpp escapes character by character in Python: 1.9 ms for a message of 50 alerts, the larger
    part of what sending costs. A test compares the two.
    """
    metadata, body = _to_wire(message)
    fields = "".join(
        f'<field var="{name}" type="text-single"><value>{escape(value)}</value></field>'
        for name, value in metadata.items()
    )
    return (
        f"<message to={quoteattr(to)} from={quoteattr(message.sender)} type='chat'>"
        f"<body>{escape(body)}</body>"
        f"<x xmlns='jabber:x:data' type='form'>{fields}"
        f"<title>{SPADE_X_METADATA}</title></x></message>"
    )


def from_spade(message: Message) -> AclMessage:
    """Raises: MessageError, also when the parameter `sender` isn't who the server says it is."""
    # The server overwrites (or checks) the stanza's `from`; the parameter is what was signed.
    found = from_metadata(*_from_wire(message._metadata, message.body or ""))
    if found.sender != str(message.sender.bare):
        raise MessageError(f"sender {found.sender!r} came from {message.sender.bare!r}")
    return found


def to_frame(message: AclMessage) -> bytes:
    """The message on a link within a node: its parameters as the head, its content as it is."""
    return frames.encode(dict(to_metadata(message)), message.content.encode())


def from_frame(head: Mapping[str, object], body: bytes) -> AclMessage:
    """The inverse, of a frame that `ontology.frames` has taken apart. Raises: MessageError."""
    metadata = {name: value for name, value in head.items() if isinstance(value, str)}
    if len(metadata) != len(head):
        raise MessageError("a parameter is not a string")
    try:
        return from_metadata(metadata, body.decode())
    except UnicodeDecodeError as e:
        raise MessageError(f"content is not UTF-8: {e}") from e
