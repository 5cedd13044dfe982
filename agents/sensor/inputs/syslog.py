"""Syslog lines of iptables or nftables ``LOG`` rules, of Snort and Suricata, of sshd and PAM.

Formats: the kernel's ``nf_log_syslog`` (``SRC=… DST=… PROTO=…``), Snort's ``alert_syslog`` and
``alert_fast``, which Suricata's ``fast.log`` follows; time stamps in any form that `stamps` knows,
lines wrapped in JSON (`wrappers`). A firewall line is one packet: a row without answer, from which
the analyzer's scan detectors count ports and hosts. What sshd says: `logins_log`; what
systemd-logind says: `logind_log`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
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
    UNRELATED,
    URG,
    Claim,
    LineRefused,
    Options,
    Sighting,
    address_port,
    clean,
    digits,
    host,
    pack_row,
    protocol,
    tcp_state,
)
from agents.sensor.inputs.logind_log import LOGIND, LogindLog
from agents.sensor.inputs.logins_log import LoginsLog, program_of
from agents.sensor.inputs.stamps import stamp
from agents.sensor.inputs.wrappers import plain_line

_FLAGS = {"FIN": FIN, "SYN": SYN, "RST": RST, "PSH": PSH, "ACK": ACK, "URG": URG}
_SNORT = re2.compile(
    r"\[(\d{1,10}):(\d{1,10}):\d{1,10}\] (.*?)(?: \[Classification: ([^\]]*)\])?"
    r"(?: \[Priority: \d+\])?:? \{([\w-]+)\} (\S+) -> (\S+)\s*$"
)
_LEADING_MARKS = re2.compile(r"^\[\*\*\] | \[\*\*\]$")
_LONGEST = 4096
"""No tool writes longer lines; patterns are only tried on what is short."""
_WRAPPED = 65_536
"""The same for a line in a JSON object, with all that journald knows beside it."""
_LOGGERS = ("ulogd", "ulogd2", "kernel")
"""Programs that write what the kernel's own LOG would."""


class SyslogParser:
    """The year must be guessed; kept between lines is what `LoginsLog` and `LogindLog` keep."""

    kind: ClassVar[str] = "syslog"

    def __init__(self, options: Options) -> None:
        self._options = options
        self._zone = options.timezone
        self._classes = shipped()
        self._logins = LoginsLog(options)
        self.now_us = 0
        self._logind = LogindLog(options)

    def memory(self) -> str:
        sessions = self._logind.memory()
        logins = self._logins.memory()
        return json.dumps({"logins": logins, "sessions": sessions}) if sessions else logins

    def remember(self, memory: str) -> None:
        """Raises: ValueError."""
        if memory.startswith("{"):
            kept = json.loads(memory)
            self._logind.remember(kept.get("sessions", []))
            memory = str(kept.get("logins", ""))
        self._logins.remember(memory)

    def on_line(self, line: bytes) -> Iterable[Sighting]:
        if len(line) > _LONGEST and (len(line) > _WRAPPED or line[:1] != b"{"):
            raise LineRefused("overlong")
        text, at_us = plain_line(line)
        if len(text) > _LONGEST:
            raise LineRefused("overlong")
        # The kernel writes IN= before anything that a stranger chose; what is before it is time,
        # host and the rule's own prefix.
        begin = text.find("IN=")
        if begin >= 0 and " SRC=" in text and " PROTO=" in text:
            program, _ = program_of(text, begin)
            if program is None or program in _LOGGERS:
                return (self._packet(text[begin:], self._at(text, at_us)),)
        if "-> " in text or "snort" in text[:120]:
            alert = _SNORT.search(text)
            if alert is not None:
                return self._alert(alert, text, at_us)
            if "snort" in text[:120] and "} " in text:
                raise LineRefused("shape")
        program, message = program_of(text, len(text))
        if program == LOGIND:
            return self._logind.on_message(text[message:], lambda: self._at(text, at_us))
        if program is None or not self._logins.knows(program):
            return UNRELATED
        return self._logins.on_message(program, text[message:], lambda: self._at(text, at_us))

    def _at(self, text: str, at_us: int | None) -> int:
        if at_us is None:
            return stamp(text, self._zone, self.now_us)[0]
        # The line's own time is nearer to what happened than that of who wrapped it.
        try:
            return stamp(text, self._zone, self.now_us)[0]
        except LineRefused:
            return at_us

    def _packet(self, fields: str, at_us: int) -> bytes:
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
            at_us=at_us,
            source=source,
            target=target,
            protocol=number,
            state=tcp_state(flags, 0) if is_tcp else STATE["OTH"],
            ports=ports,
            flags=(flags if is_tcp else 0, 0),
        )

    def _alert(self, found: re2._Match[str], text: str, at_us: int | None) -> Iterable[Sighting]:
        gid, sid, message, category, name, left, right = found.groups()
        message = _LEADING_MARKS.sub("", message)
        number = protocol(name)
        # With TCP and UDP both tools write the port, behind IPv6 addresses as well.
        ported = number in (TCP, UDP)
        source, source_port = address_port(left, ported=ported)
        target, target_port = address_port(right, ported=ported)
        meaning = self._classes.alert(message, category or "")
        if meaning is not None and meaning.swapped:
            source, target, target_port = target, source, source_port
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
                self._at(text, at_us),
                confidence,
                False,
                f"Snort {gid}:{sid} {clean(message)!r} ({clean(category or 'unclassified', 60)})",
            ),
        )
