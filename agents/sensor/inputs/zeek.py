"""Zeek's ``conn.log`` and ``notice.log``, tab-separated or JSON.

Format: Zeek documentation, "Log formats", ``base/protocols/conn`` (states and history) and
``base/frameworks/notice``. The header of a tab-separated log names the columns; it is kept with
the position, so that reading may go on in the middle of a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, ClassVar

import re2

from agents.sensor.inputs.classes import shipped
from agents.sensor.inputs.events import (
    ACK,
    FIN,
    HEADING,
    ICMP,
    MAX_COUNT,
    PSH,
    RST,
    STATE,
    SYN,
    TCP,
    UDP,
    UNRELATED,
    Claim,
    LineRefused,
    Options,
    Sighting,
    clean,
    digits,
    host,
    iso_us,
    pack_row,
    protocol,
    seconds_us,
    text_of,
)
from agents.sensor.inputs.wrappers import event_object

_STATES = {
    "S0": "S0",
    "S1": "S1",
    "SF": "SF",
    "REJ": "REJ",
    "S2": "S1",  # only the originator has closed
    "S3": "S1",  # only the responder has closed
    "RSTO": "RSTO",
    "RSTR": "RSTR",
    "RSTOS0": "S0",  # SYN, then a reset by the originator, no answer
    "RSTRH": "OTH",  # the originator's SYN was not seen
    "SH": "SH",
    "SHR": "OTH",
    "OTH": "OTH",
}
_HISTORY = {
    "S": SYN,
    "H": SYN | ACK,
    "A": ACK,
    "D": ACK | PSH,
    "F": FIN | ACK,
    "R": RST,
    "I": FIN | RST,
    "Q": SYN | FIN,
}
"""Letter to flags; capital for the originator, small for the responder. The others (retransmission,
gap, checksum, flipped direction) say nothing of flags."""
_MILLISECONDS = 100_000_000_000
"""The year 5138 in seconds, 1973 in milliseconds."""
_MAX_COLUMNS = 200
_ESCAPE = re2.compile(r"\\x([0-9a-fA-F]{2})")
_ENDS = frozenset({"orig_h", "orig_p", "resp_h", "resp_p"})
_PROTOCOLS = {"icmp": ICMP, "tcp": TCP, "udp": UDP}
_CONN = ("ts", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "conn_state")


class ZeekParser:
    """Tells connections from notices by the fields they have."""

    kind: ClassVar[str] = "zeek"
    now_us = 0

    def __init__(self, options: Options) -> None:
        self._options = options
        self._classes = shipped()
        self._separator = "\t"
        self._fields: tuple[str, ...] = ()
        self._unset = "-"
        self._empty = "(empty)"

    def memory(self) -> str:
        return json.dumps([self._separator, self._unset, self._empty, *self._fields])

    def remember(self, memory: str) -> None:
        if not memory:
            return
        parts = json.loads(memory)
        if not isinstance(parts, list) or len(parts) < 3 or not all(type(p) is str for p in parts):
            raise ValueError("not a Zeek header")
        self._separator, self._unset, self._empty, *fields = parts
        self._fields = tuple(fields)

    def on_line(self, line: bytes) -> Iterable[Sighting]:
        if line.startswith(b"#"):
            self._header(text_of(line))
            return HEADING
        if line.startswith((b"{", b"\xef\xbb\xbf{")):
            return self._record(_named(event_object(line, "ts")))
        if not self._fields:
            raise LineRefused("header")
        cells = text_of(line).split(self._separator)
        if len(cells) != len(self._fields):
            raise LineRefused("shape")
        # An unset field is like one that isn't there; what JSON types, a table leaves as text.
        unset = self._unset
        return self._record({k: v for k, v in zip(self._fields, cells, strict=True) if v != unset})

    def _header(self, line: str) -> None:
        word, _, rest = line.partition(self._separator)
        if line.startswith("#separator "):
            # The separator itself is written escaped: \x09
            self._separator = _ESCAPE.sub(lambda m: chr(int(m[1], 16)), line[11:19])[:1] or "\t"
        elif word == "#fields":
            fields = tuple(rest.split(self._separator))
            if len(fields) > _MAX_COLUMNS or len(rest) > 8192:
                raise LineRefused("header")
            self._fields = tuple(map(_field_name, fields))
        elif word == "#unset_field":
            self._unset = rest[:40]
        elif word == "#empty_field":
            self._empty = rest[:40]

    def _record(self, record: dict[str, Any]) -> Iterable[Sighting]:
        if "conn_state" in record:
            return (self._connection(record),)
        if "note" in record:
            return self._notice(record)
        return () if "ts" in record else UNRELATED

    def _connection(self, record: dict[str, Any]) -> bytes:
        for name in _CONN:
            if name not in record:
                raise LineRefused("shape")
        number = _protocol(record)
        source, target = host(record["id.orig_h"]), host(record["id.resp_h"])
        if number == ICMP and source.version == 6:
            number = 58  # Zeek calls both "icmp"
        state = _STATES.get(str(record["conn_state"]))
        if state is None:
            raise LineRefused("state")
        packets = _count(record, "orig_pkts", MAX_COUNT), _count(record, "resp_pkts", MAX_COUNT)
        flags = (0, 0)
        if number == TCP:
            flags = _history(str(record.get("history") or "")[:64])
        else:
            state = "SF" if packets[1] else "OTH"
        return pack_row(
            at_us=_time(record["ts"]),
            duration_us=_duration(record.get("duration")),
            source=source,
            target=target,
            protocol=number,
            state=STATE[state],
            ports=(_count(record, "id.orig_p", 65535), _count(record, "id.resp_p", 65535)),
            flags=flags,
            packets=packets,
            size=(_count(record, "orig_bytes", 1 << 62), _count(record, "resp_bytes", 1 << 62)),
        )

    def _notice(self, record: dict[str, Any]) -> Iterable[Sighting]:
        meaning = self._classes.notice(str(record["note"]))
        source, target = _either(record, "src", "id.orig_h"), _either(record, "dst", "id.resp_h")
        if meaning is None or source is None:
            return ()
        # The notice of a sweep names no target.
        at_us = _time(record.get("ts"))
        victim = host(target) if target is not None else None
        at_honeypot = victim is not None and victim.value in self._options.honeypots
        confidence = meaning.at_honeypot if at_honeypot else meaning.confidence
        name = meaning.classification or ("HoneypotContact" if at_honeypot else None)
        if name is None or not confidence:
            return ()
        has_port = record.get("p") is not None
        return (
            Claim(
                name,
                host(source),
                victim,
                _count(record, "p", 65535) if has_port else None,
                protocol(record.get("proto", "tcp")),
                at_us,
                confidence,
                False,
                f"Zeek notice {clean(record['note'], 60)}: {clean(record.get('msg', ''))!r}",
            ),
        )


def _field_name(name: str) -> str:
    """``id.orig_h``, whatever ``Log::default_scope_sep`` puts between."""
    return "id." + name[-6:] if name.startswith("id") and name[-6:] in _ENDS else name


def _named(record: dict[str, Any]) -> dict[str, Any]:
    """A JSON record with Zeek's own names of its ends."""
    if "id.orig_h" in record or not any(name.startswith("id") for name in record):
        return record
    ends = record.get("id")
    if isinstance(ends, dict):
        record = record | {f"id.{name}": value for name, value in ends.items()}
    return {_field_name(name): value for name, value in record.items()}


def _protocol(record: dict[str, Any]) -> int:
    """By name; since 7.1 the number stands beside it, also if there is no name
    ("unknown_transport")."""
    name = record["proto"]
    found = _PROTOCOLS.get(name) if isinstance(name, str) else None
    if found is None:
        given = record.get("ip_proto")
        return protocol(name if given is None else given)
    return found


def _either(record: dict[str, Any], *names: str) -> object:
    return next((record[name] for name in names if name in record), None)


def _time(value: object) -> int:
    """Seconds since the epoch (as number or text), or ISO 8601 (``json_timestamps``)."""
    if isinstance(value, str):
        if "T" in value:
            return iso_us(value)
        return seconds_us(_number(value))
    if type(value) is int and value >= _MILLISECONDS:
        return seconds_us(value / 1000)  # JSON::TS_MILLIS
    return seconds_us(value)


def _number(value: object) -> object:
    """A table's cell as a float; anything else as it is."""
    if isinstance(value, str):
        if len(value) > 40:
            raise LineRefused("number")
        try:
            return float(value)
        except ValueError:
            raise LineRefused("number") from None
    return value


def _duration(value: object) -> int:
    return 0 if value is None else seconds_us(_number(value))


def _count(record: dict[str, Any], name: str, maximum: int) -> int:
    """A number, 0 where unset."""
    value = record.get(name)
    if value is None:
        return 0
    if isinstance(value, str):
        return digits(value, maximum)
    if type(value) is not int or not 0 <= value <= maximum:
        raise LineRefused("number")
    return value


@lru_cache(maxsize=4096)
def _history(letters: str) -> tuple[int, int]:
    orig = resp = 0
    for letter in letters:
        bits = _HISTORY.get(letter.upper(), 0)
        if letter.isupper():
            orig |= bits
        else:
            resp |= bits
    return orig, resp
