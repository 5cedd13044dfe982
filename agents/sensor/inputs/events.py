"""What parsers of logs share: the shape of what they give, and careful readers of single fields.

Everything in a log may have been written by an attacker: user names, URLs, even whole lines where a
tool does not escape them. A line is understood or refused with a reason; it never raises anything
but `LineRefused`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any, ClassVar, NamedTuple, Protocol

from ontology.records import CONNECTION, CONNECTION_STATES, INDICATORS, MAX_TIME_US, Address

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
"""TCP flag bits, RFC 9293 section 3.1."""
ICMP, TCP, UDP = 1, 6, 17
STATE = {name: index for index, name in enumerate(CONNECTION_STATES)}
SSH_BANNER = 1 << INDICATORS.index("SshBanner")

PROTOCOLS = {
    "icmp": ICMP,
    "igmp": 2,
    "tcp": TCP,
    "udp": UDP,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "ipv6-icmp": 58,
    "icmpv6": 58,
    "icmp6": 58,
    "sctp": 132,
    "udplite": 136,
}
"""Names as the tools write them, in lower case, to IANA protocol numbers."""

MAX_COUNT = (1 << 32) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ROW = struct.Struct("<qq16s16sHHBBBBBIIQQHHHHI7xB")
if _ROW.size != CONNECTION.itemsize:
    raise AssertionError("the packed row and ontology.records.CONNECTION disagree")
_decode = json.JSONDecoder(strict=False).decode  # a raw control character is no way to hide a line


class LineRefused(ValueError):
    """A line that can't be used; ``reason`` is one word for the counters."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"line refused: {reason}")
        self.reason = reason


class Host(NamedTuple):
    """An address in the forms that rows and alerts want."""

    packed: bytes
    """16 network-order bytes, IPv4 mapped."""
    version: int
    value: Address


class Claim(NamedTuple):
    """A finding that the log states itself; `intake.Intake` makes the alert."""

    classification: str
    source: Host
    target: Host | None
    """None for a sweep whose targets the log does not name."""
    target_port: int | None
    protocol: int
    at_us: int
    confidence: float
    verified: bool
    """The tool saw a completed handshake, so that the source can't be forged off-path."""
    explanation: str


Sighting = bytes | Claim
"""What a line gives: a packed `CONNECTION` row, or a claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a parser knows of the place that its log comes from."""

    address: Address | None = None
    """The honeypot's public address, where its log knows only a private one."""
    honeypots: frozenset[Address] = frozenset()
    timezone: tzinfo = UTC
    """Of time stamps that name none."""


class Parser(Protocol):
    """One kind of log. Made with `Options`; keeps only bounded state."""

    kind: ClassVar[str]
    now_us: int
    """The present, set before lines come; only good for the year of a time stamp without one."""

    def on_line(self, line: bytes) -> Iterable[Sighting]:
        """What one line (without its newline) says; empty if it says nothing to us.

        Raises: LineRefused.
        """
        ...

    def memory(self) -> str:
        """State that later lines need, at most 64 KiB; kept with the position in the file."""
        ...

    def remember(self, memory: str) -> None:
        """Take up what `memory` gave. Raises: ValueError."""
        ...


class Plain:
    """What parsers have that keep nothing between lines."""

    now_us = 0

    def memory(self) -> str:
        return ""

    def remember(self, memory: str) -> None:
        """There is nothing to take up."""


def text_of(line: bytes) -> str:
    """Invalid UTF-8 is replaced, not refused: one bad byte must not hide a line from us."""
    return line.decode("utf-8", "replace").lstrip("\ufeff")


def json_object(line: bytes) -> dict[str, Any]:
    """Raises: LineRefused."""
    try:
        value = _decode(text_of(line))
    except (ValueError, RecursionError):
        raise LineRefused("json") from None
    if not isinstance(value, dict):
        raise LineRefused("json")
    return value


@lru_cache(maxsize=32_768)
def _host(text: str) -> Host | None:
    try:
        value = ip_address(text)
    except ValueError:
        return None
    if isinstance(value, IPv6Address):
        if value.scope_id is not None:
            return None
        mapped = value.ipv4_mapped
        return Host(value.packed, 4 if mapped else 6, mapped or value)
    return Host(b"\0" * 10 + b"\xff\xff" + value.packed, 4, value)


def host(value: object) -> Host:
    """Raises: LineRefused."""
    # The length is checked first: the cache must not keep what an attacker makes long.
    found = _host(value) if isinstance(value, str) and len(value) <= 45 else None
    if found is None:
        raise LineRefused("address")
    return found


def whole(value: object, maximum: int, reason: str = "number") -> int:
    """A JSON integer in [0, maximum]. Raises: LineRefused."""
    if type(value) is not int or not 0 <= value <= maximum:
        raise LineRefused(reason)
    return value


def port(value: object) -> int:
    """0 where the log has none. Raises: LineRefused."""
    return 0 if value is None else whole(value, 65535, "port")


def digits(text: str, maximum: int, reason: str = "number") -> int:
    """A decimal number in [0, maximum]. Raises: LineRefused."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20) or int(text) > maximum:
        raise LineRefused(reason)
    return int(text)


def protocol(value: object) -> int:
    """An IANA number from a name or digits. Raises: LineRefused."""
    if isinstance(value, str):
        number = PROTOCOLS.get(value.lower())
        if number is not None:
            return number
        if value.isascii() and value.isdigit() and len(value) <= 3 and int(value) < 254:
            return int(value)
    raise LineRefused("protocol")


def moment(when: datetime, zone: tzinfo = UTC) -> int:
    """Epoch microseconds of a time stamp; one without a zone is in ``zone``."""
    if when.tzinfo is None:
        when = when.replace(tzinfo=zone)
    try:
        at = (when - _EPOCH) // _MICROSECOND
    except OverflowError:
        raise LineRefused("time") from None
    if not 0 <= at <= MAX_TIME_US:
        raise LineRefused("time")
    return at


def iso_us(value: object, zone: tzinfo = UTC) -> int:
    """Epoch microseconds of an ISO 8601 time stamp. Raises: LineRefused."""
    if not isinstance(value, str) or not 19 <= len(value) <= 40:
        raise LineRefused("time")
    try:
        return moment(datetime.fromisoformat(value), zone)
    except ValueError as e:
        if isinstance(e, LineRefused):
            raise
        raise LineRefused("time") from None


def seconds_us(value: object) -> int:
    """Epoch microseconds of seconds since the epoch. Raises: LineRefused."""
    if type(value) not in (int, float):
        raise LineRefused("time")
    # Also false for NaN.
    if not 0 <= value <= MAX_TIME_US / 1e6 - 1:  # type: ignore[operator]
        raise LineRefused("time")
    return round(value * 1_000_000)  # type: ignore[operator]


def clean(text: object, most: int = 120) -> str:
    """Strangers' text as it may stand in an explanation: printable, on one line, short."""
    shown = str(text)[: most + 1]
    if len(shown) > most:
        shown = shown[: most - 1] + "…"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)


def tcp_state(orig: int, resp: int) -> int:
    """Connection state from the flags that each side sent over the whole connection."""
    if not orig & SYN:
        return STATE["OTH"]
    if resp & SYN and resp & ACK and orig & ACK:
        if orig & RST:
            return STATE["RSTO"]
        if resp & RST:
            return STATE["RSTR"]
        return STATE["SF"] if orig & FIN and resp & FIN else STATE["S1"]
    if resp & RST:
        return STATE["REJ"]
    return STATE["SH"] if orig & FIN else STATE["S0"]


def pack_row(
    *,
    at_us: int,
    source: Host,
    target: Host,
    protocol: int,
    state: int,
    duration_us: int = 0,
    ports: tuple[int, int] = (0, 0),
    flags: tuple[int, int] = (0, 0),
    packets: tuple[int, int] = (1, 0),
    size: tuple[int, int] = (0, 0),
    logins: tuple[int, int] = (0, 0),
    indicators: int = 0,
    conversation: bool = False,
) -> bytes:
    """One `CONNECTION`; pairs are (originator, responder), ``logins`` (failed, attempts).

    ``conversation``: the kernel of the host that wrote the log had accepted the connection, so
    that its source can't be forged off-path (decision 5).

    Raises: LineRefused if source and target are of different IP versions.
    """
    if source.version != target.version:
        raise LineRefused("address")
    return _ROW.pack(
        at_us,
        duration_us,
        source.packed,
        target.packed,
        *ports,
        protocol,
        source.version,
        state,
        *flags,
        *packets,
        *size,
        0,
        0,
        *logins,
        indicators,
        conversation,
    )
