"""What parsers of logs share: the shape of what they give, and careful readers of single fields.

Everything in a log may have been written by an attacker: user names, URLs, even whole lines where a
tool does not escape them. A line is understood or refused with a reason; it never raises anything
but `LineRefused`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from importlib.resources import files
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

import msgspec

from agents.idmef.foreign_reports import Origin
from agents.sensor.inputs.sightings import Claim as Claim
from agents.sensor.inputs.sightings import Host as Host
from agents.sensor.inputs.sightings import Sighting as Sighting
from agents.sensor.inputs.sightings import Traces as Traces
from ontology.records import CONNECTION, CONNECTION_STATES, INDICATORS, MAX_TIME_US, Address

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
"""TCP flag bits, RFC 9293 section 3.1."""
ICMP, TCP, UDP = 1, 6, 17
STATE = {name: index for index, name in enumerate(CONNECTION_STATES)}
SSH_BANNER = 1 << INDICATORS.index("SshBanner")

LONGEST_ADDRESS = 62
"""45 characters (IPv4 mapped, in full), and a zone: "%" and an interface's name (IFNAMSIZ 16)."""
MAX_COUNT = (1 << 32) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ROW = struct.Struct("<qq16s16sHHBBBBBIIQQHHHHI7xB")
pack = _ROW.pack
"""The fields of `CONNECTION` in their order, nothing checked: where a call by names takes too long
(`pack_row`)."""
if _ROW.size != CONNECTION.itemsize:
    raise AssertionError("the packed row and ontology.records.CONNECTION disagree")
_decode_strictly = msgspec.json.Decoder().decode
"""Four times as fast as `json`; what it takes, `json` takes as well, and for the same."""
_decode = json.JSONDecoder(strict=False).decode  # a raw control character is no way to hide a line


class LineRefused(ValueError):
    """A line that can't be used; ``reason`` is one word for the counters."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"line refused: {reason}")
        self.reason = reason


class _Nothing(tuple[Sighting, ...]):
    """No sightings, and why: told apart by identity from the empty tuple of a quiet line."""


UNRELATED: Final = _Nothing()
"""The line is not of this kind of log: another program's, or in a form that is not known. (An empty
tuple: understood, and nothing to say.) If that is all there is in a log, it was the wrong one."""
HEADING: Final = _Nothing()
"""The line tells how to read others: a log of nothing else is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a parser knows of the place that its log comes from."""

    address: Address | tuple[Address, ...] | None = None
    """The honeypot's public address, where its log knows only a private one; several: one of each
    family."""
    own: tuple[Address, ...] = ()
    """Addresses of the host whose log this is."""
    honeypots: frozenset[Address] = frozenset()
    timezone: tzinfo = UTC
    """Of time stamps that name none."""
    table: Path | None = None
    """The file that describes the format (kind ``table``)."""
    manager: Origin | None = None
    """Whose alerts these are (kind ``idmef``)."""

    def public(self, version: int) -> Host | None:
        """The honeypot's public address of a family, if it is known."""
        given = self.address
        if given is None:
            return None
        several = given if isinstance(given, tuple) else (given,)
        return next((host(str(one)) for one in several if one.version == version), None)

    def decoy(self, local: Host, version: int) -> Host:
        """Whom a stranger of family ``version`` called, if the log says ``local``.

        Behind address translation the log knows a private address; the settings know better. They
        may name one family only, and the log the other one: then what is known counts, so that the
        visit does (`pack_row` with ``translated``).
        """
        found = self.public(version)
        if found is None and local.version != version:
            found = self.public(local.version)
        return found or local

    def this_host(self, version: int) -> Host:
        """The host that wrote the log, where its lines name it not: the unspecified address if
        nothing is known ("this host", RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.2)."""
        own = next((host(str(one)) for one in self.own if one.version == version), None)
        return self.public(version) or own or host("0.0.0.0" if version == 4 else "::")  # noqa: S104


class Parser(Protocol):
    """One kind of log. Made with `Options`; keeps only bounded state."""

    kind: ClassVar[str]
    now_us: int
    """The present, set before lines come; only good for the year of a time stamp without one."""

    def on_line(self, line: bytes) -> Iterable[Sighting]:
        """What one line (without its newline) says; empty if it says nothing to us; `UNRELATED`
        if it is none of this kind.

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
        value = _decode_strictly(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        # Bytes that are no UTF-8, half of a surrogate pair, NaN: strangers' text may hold them.
        try:
            value = _decode(text_of(line))
        except (ValueError, RecursionError):
            raise LineRefused("json") from None
    if type(value) is not dict:
        raise LineRefused("json")
    return value


@lru_cache(maxsize=32_768)
def _host(text: str) -> Host | None:
    try:
        # A zone ("%eth0", RFC 4007) says where, not who.
        value = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(value, IPv6Address):
        mapped = value.ipv4_mapped
        return Host(value.packed, 4 if mapped else 6, mapped or value)
    return Host(b"\0" * 10 + b"\xff\xff" + value.packed, 4, value)


def host(value: object) -> Host:
    """Raises: LineRefused."""
    # The length is checked first: the cache must not keep what an attacker makes long.
    if isinstance(value, str) and len(value) <= LONGEST_ADDRESS:
        found = _host(value)
        if found is not None:
            return found
    raise LineRefused("address")


def whole(value: object, maximum: int, reason: str = "number") -> int:
    """A JSON integer in [0, maximum]. Raises: LineRefused."""
    if type(value) is not int or not 0 <= value <= maximum:
        raise LineRefused(reason)
    return value


def port(value: object) -> int:
    """0 where the log has none. Raises: LineRefused."""
    return 0 if value is None else whole(value, 65535, "port")


def address_port(text: str, *, ported: bool) -> tuple[Host, int | None]:
    """``1.2.3.4:80``, ``[2001:db8::1]:80``, ``2001:db8:0:0:0:0:0:1:80``, or an address alone.

    ``ported``: the tool writes a port whenever it writes such a text (TCP and UDP), so the last
    group of an IPv6 address without brackets is one; a text that is right without as well is told
    apart by that alone.

    Raises: LineRefused: ``address``, ``port``, or ``ambiguous`` where one text has two readings.
    """
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise LineRefused("address")
        return host(address), digits(rest[1:], 65535, "port") if rest else None
    colons = text.count(":")
    if colons == 0:
        return host(text), None
    address, _, last = text.rpartition(":")
    if colons == 1:
        return host(address), digits(last, 65535, "port")
    if not ported:
        return host(text), None
    if _host(address) is None and _host(text) is not None and not address.endswith(":"):
        return host(text), None  # eight groups, or a form that has no place for a port
    if address.endswith(":"):
        # "2001:db8::22": a port behind "2001:db8:", which is no address, or the address of ::22.
        raise LineRefused("ambiguous")
    if not last.isdecimal():
        # "2001:db8::66" of "fe80::a:66"? A group with letters is no port: an address alone.
        return host(text), None
    return host(address), digits(last, 65535, "port")


def digits(text: str, maximum: int, reason: str = "number") -> int:
    """A decimal number in [0, maximum]. Raises: LineRefused."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20) or int(text) > maximum:
        raise LineRefused(reason)
    return int(text)


@cache
def protocol_numbers() -> Mapping[str, int]:
    """Names as the tools write them, in lower case, to IANA protocol numbers."""
    table = files("agents.sensor.inputs").joinpath("protocols.tsv").read_text(encoding="ascii")
    out = {}
    for line in table.splitlines():
        if not line.startswith("#"):
            number, *names = line.split("\t")
            out.update(dict.fromkeys(names, int(number)))
    return out


def protocol(value: object) -> int:
    """An IANA number from a name or digits. Raises: LineRefused."""
    if isinstance(value, str):
        number = _PROTOCOLS.get(value)
        if number is None:
            number = _PROTOCOLS.get(value.lower())
        if number is not None:
            return number
        if value.isascii() and value.isdigit() and len(value) <= 3 and int(value) <= 255:
            return int(value)
    elif type(value) is int and 0 <= value <= 255:
        return value
    raise LineRefused("protocol")


_PROTOCOLS = protocol_numbers()


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
    # As nearly all are: "2026-11-01T12:00:00.250000", and a zone or none. The minute is known.
    if value[16] == ":" and value[19:20] == "." and value[26:27] in _ZONE_BEGINS:
        part = value[17:19] + value[20:26]
        if len(part) == 8 and part.isdigit() and part.isascii() and part < "6":
            at = _minute_us(value[:16], value[26:], zone) + int(part)
            if at <= MAX_TIME_US:
                return at
    return _iso_us(value, zone)


_ZONE_BEGINS = ("", "Z", "+", "-")


@lru_cache(maxsize=1024)
def _minute_us(minute: str, rest: str, zone: tzinfo) -> int:
    return _iso_us(f"{minute}:00{rest}", zone)


def _iso_us(value: str, zone: tzinfo) -> int:
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
    shown = text if type(text) is str else str(text)
    if len(shown) > most:
        shown = shown[: most - 1] + "…"
    if shown.isprintable():
        return shown
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
    translated: bool = False,
    conversation: bool = False,
) -> bytes:
    """One `CONNECTION`; pairs are (originator, responder), ``logins`` (failed, attempts).

    ``translated``: source and target may be of different IP versions, the row is of the source's.
    ``conversation``: the kernel of the host that wrote the log had accepted the connection, so
    that its source can't be forged off-path (decision 5).

    Raises: LineRefused if source and target are of different IP versions.
    """
    if source.version != target.version and not translated:
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
