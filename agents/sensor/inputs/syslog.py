"""Syslog lines of iptables or nftables ``LOG`` rules and of Snort.

Formats: the kernel's ``nf_log_syslog`` (``SRC=… DST=… PROTO=…``, RFC 3164 or RFC 5424 time before
it), Snort's ``alert_syslog``. A firewall line is one packet: a row without answer, from which the
analyzer's scan detectors count ports and hosts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import re2

from agents.sensor.inputs.classes import shipped
from agents.sensor.inputs.events import (
    ACK,
    FIN,
    ICMP,
    PSH,
    RST,
    STATE,
    SYN,
    TCP,
    UDP,
    URG,
    Claim,
    Host,
    LineRefused,
    Options,
    Plain,
    Sighting,
    clean,
    digits,
    host,
    iso_us,
    moment,
    pack_row,
    protocol,
    tcp_state,
    text_of,
)

_FLAGS = {"FIN": FIN, "SYN": SYN, "RST": RST, "PSH": PSH, "ACK": ACK, "URG": URG}
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}
_PRIORITY = re2.compile(r"<\d{1,3}>(?:1 )?")
_OLD = re2.compile(r"([A-Z][a-z]{2}) ([ 0-3]?\d) (\d{2}):(\d{2}):(\d{2})(?: |$)")
_NEW = re2.compile(r"(\d{4}-\d{2}-\d{2}[T ][0-9:.]{8,15}(?:Z|[+-]\d{2}:?\d{2})?) ")
_SNORT = re2.compile(
    r"\[(\d{1,10}):(\d{1,10}):\d{1,10}\] (.*?)(?: \[Classification: ([^\]]*)\])?"
    r"(?: \[Priority: \d+\])?:? \{([\w-]+)\} (\S+) -> (\S+)\s*$"
)
_LEADING_MARKS = re2.compile(r"^\[\*\*\] | \[\*\*\]$")
_DAY = timedelta(days=1)
_LONGEST = 4096
"""Neither tool writes longer lines; patterns are only tried on what is short."""


class SyslogParser(Plain):
    """Only the year must be guessed; nothing is kept between lines."""

    kind: ClassVar[str] = "syslog"

    def __init__(self, options: Options) -> None:
        self._options = options
        self._classes = shipped()

    def on_line(self, line: bytes) -> Iterable[Sighting]:
        if len(line) > _LONGEST:
            raise LineRefused("overlong")
        text = text_of(line).rstrip()
        # The kernel writes IN= before anything that a stranger chose; what is before it is time,
        # host and the rule's own prefix.
        begin = text.find("IN=")
        if begin >= 0 and " SRC=" in text:
            return (self._packet(text, text[begin:]),)
        if "snort" in text[:120] or "-> " in text:
            alert = _SNORT.search(text)
            if alert is not None:
                return self._alert(text, alert)
            if "snort" in text[:120] and "} " in text:
                raise LineRefused("shape")
        return ()

    def _at(self, text: str) -> int:
        text = text[:80]
        priority = _PRIORITY.match(text)
        if priority:
            text = text[priority.end() :]
        old = _OLD.match(text)
        if old is None:
            new = _NEW.match(text)
            if new is None:
                raise LineRefused("time")
            return iso_us(new[1], self._options.timezone)
        month = _MONTHS.get(old[1])
        if month is None:
            raise LineRefused("time")
        day, hour, minute, second = (int(part) for part in old.groups()[1:])
        # RFC 3164 has no year: the latest one that does not lie in the future (a day is left for
        # clocks and zones), so that December's lines still count as last year's in January.
        zone = self._options.timezone
        now = datetime.fromtimestamp(self.now_us // 1_000_000, zone)
        for year in range(now.year + 1, now.year - 8, -1):
            try:
                when = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=zone)
            except ValueError:
                continue  # 29 February: not in this year
            if when <= now + _DAY:
                return moment(when.astimezone(UTC))
        raise LineRefused("time")

    def _packet(self, text: str, fields: str) -> bytes:
        # An ICMP error cites the packet that it is about in brackets; that isn't this packet.
        words = fields.partition("[")[0].split()
        values: dict[str, str] = {}
        flags = 0
        for word in words:
            key, equals, value = word.partition("=")
            if equals:
                values.setdefault(key, value)
            else:
                flags |= _FLAGS.get(key, 0)
        source, target = host(values.get("SRC")), host(values.get("DST"))
        number = protocol(values.get("PROTO"))
        if number in (TCP, UDP):
            # Later fragments have no ports.
            ports = digits(values.get("SPT", "0"), 65535), digits(values.get("DPT", "0"), 65535)
        elif number in (ICMP, 58):
            ports = digits(values.get("TYPE", "0"), 255), digits(values.get("CODE", "0"), 255)
        else:
            ports = (0, 0)
        is_tcp = number == TCP
        return pack_row(
            at_us=self._at(text),
            source=source,
            target=target,
            protocol=number,
            state=tcp_state(flags, 0) if is_tcp else STATE["OTH"],
            ports=ports,
            flags=(flags if is_tcp else 0, 0),
        )

    def _alert(self, text: str, found: re2._Match[str]) -> Iterable[Sighting]:
        gid, sid, message, category, name, left, right = found.groups()
        message = _LEADING_MARKS.sub("", message)
        number = protocol(name)
        source, _ = _end(left, number)
        target, target_port = _end(right, number)
        meaning = self._classes.alert(message, category or "")
        if meaning is not None and meaning.swapped:
            source, target = target, source
            target_port = _end(left, number)[1]
        at_honeypot = target.value in self._options.honeypots
        if meaning is None:
            usual, confidence = None, 0.4 if at_honeypot else 0.0
        else:
            usual = meaning.classification
            confidence = meaning.at_honeypot if at_honeypot else meaning.confidence
        if usual is None and not confidence:
            return ()
        return (
            Claim(
                usual or "HoneypotContact",
                source,
                target,
                target_port,
                number,
                self._at(text),
                confidence,
                False,
                f"Snort {gid}:{sid} {clean(message)!r} ({clean(category or 'unclassified', 60)})",
            ),
        )


def _end(text: str, number: int) -> tuple[Host, int | None]:
    """``address`` or ``address:port``; Snort writes IPv6 addresses in full and without brackets."""
    if number in (TCP, UDP) and (text.count(":") == 1 or text.count(":") == 8):
        address, _, port = text.rpartition(":")
        return host(address), digits(port, 65535, "port")
    return host(text), None
