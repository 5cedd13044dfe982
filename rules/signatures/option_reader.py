"""The options of one rule, in order: tests, the buffers they look into, and effects.

A sticky buffer (``http.uri;``) holds for what follows it, a modifier (``http_uri;``) moves the
content before it. Whatever can't be carried out as Suricata does is named, and then the rule is not
executable.
"""

from __future__ import annotations

from dataclasses import replace

from suricataparser.rule import Rule

from rules.signatures.buffers import BUFFERS, MODIFIERS, PAYLOAD, STICKY, TRANSFORMS, base
from rules.signatures.header_options import HEADER_READERS, HeaderTest
from rules.signatures.option_errors import OptionError, printable
from rules.signatures.payload_options import (
    CHECKS,
    BufferSize,
    Check,
    Content,
    Expression,
    read_number,
)
from rules.signatures.state_options import NAMES, Effects, EffectsReader

APPLICATIONS = {"http": 6, "tls": 6, "ssh": 6, "ftp": 6, "smtp": 6, "smb": 6, "dns": -1}
"""Protocols of conversations that are recognised, and the transport of those that have one."""
# Say what a rule is, how it is looked for or what else to do with a match, not what matches.
_SILENT = frozenset(
    "msg sid gid rev classtype reference metadata priority target tag logto prefilter".split()
)
_MODIFIERS = frozenset(
    ["nocase", "offset", "depth", "distance", "within", "startswith", "endswith", "fast_pattern"]
)
_CARRIERS = {"http": ("tcp",), "tls": ("tcp",), "ssh": ("tcp",), "dns": ("tcp", "udp")}
"""Rules of these protocols may name buffers of those."""


class OptionReader:
    """Reads the options of one rule; what is not carried out goes into ``unsupported``."""

    def __init__(self, rule: Rule, protocol: str, unsupported: set[str]) -> None:
        self.header = HeaderTest(application=protocol if protocol in APPLICATIONS else "")
        self._checks: list[Check] = []
        self._protocol = protocol
        self._sticky: str | None = None
        self._fresh = False
        """Nothing stands behind the sticky buffer yet, so that a transform may."""
        self._named: set[str] = set()
        effects = EffectsReader()
        for option in rule.options:
            name = str(option.name)
            value = None if option.value is None else str(option.value)
            try:
                if name in NAMES:
                    effects.read(name, value or "")
                else:
                    self._read(name, value)
            except OptionError as e:
                unsupported.add(str(e))
        try:
            self._agree()
        except OptionError as e:
            unsupported.add(str(e))
        self._effects = effects.effects

    @property
    def checks(self) -> tuple[Check, ...]:
        return tuple(self._checks)

    @property
    def effects(self) -> Effects:
        return self._effects

    def _read(self, name: str, value: str | None) -> None:
        if name in STICKY:
            self._sticky, self._fresh = STICKY[name], True
            self._named.add(self._sticky)
        elif name in TRANSFORMS:
            if self._sticky in (None, PAYLOAD) or not self._fresh:
                raise OptionError(f"{name} (without a buffer before it)")
            self._sticky = f"{self._sticky}|{name}"
        elif name in CHECKS:
            self._add(name, CHECKS[name](value))
            self._fresh = False
        elif name in MODIFIERS:
            self._move(name)
        elif name in _MODIFIERS:
            self._modify(name, value)
        elif name in HEADER_READERS:
            self.header = HEADER_READERS[name](self.header, value or "")
        elif name not in _SILENT:
            raise OptionError(printable(name)[:40])

    def _add(self, name: str, check: Check) -> None:
        """The check with the buffer it looks into."""
        sticky = self._sticky
        if name in ("urilen", "uricontent"):
            pass  # they bring their own
        elif isinstance(check, BufferSize):
            if sticky in (None, PAYLOAD):
                raise OptionError("bsize (without a buffer before it)")
            check = replace(check, buffer=sticky)
        elif isinstance(check, Expression) and check.buffer != PAYLOAD:
            if sticky not in (None, PAYLOAD, check.buffer):
                raise OptionError("pcre (buffer within another)")
        elif sticky is not None:
            check = replace(check, buffer=sticky)
        elif not isinstance(check, (Content, Expression)) and check.relative and self._checks:
            check = replace(check, buffer=self._checks[-1].buffer)
        if isinstance(check, Expression) and check.relative and sticky is None:
            before = [
                c
                for c in self._checks
                if c.buffer == check.buffer and not isinstance(c, BufferSize)
            ]
            if not before:
                raise OptionError("pcre (relative to nothing in its buffer)")
        self._checks.append(check)

    def _last(self, name: str) -> tuple[int, Content]:
        """The content that a modifier belongs to: the last one, whatever test stands between."""
        for number in range(len(self._checks) - 1, -1, -1):
            check = self._checks[number]
            if isinstance(check, Content):
                return number, check
            if isinstance(check, Expression):
                break
        raise OptionError(f"{name} (without a content before it)")

    def _move(self, name: str) -> None:
        number, last = self._last(name)
        if name == "rawbytes":
            return
        if self._sticky not in (None, PAYLOAD, MODIFIERS[name]):
            raise OptionError(f"{name} (within another buffer)")
        if last.buffer not in (PAYLOAD, MODIFIERS[name]):
            raise OptionError(f"{name} (of a content in {last.buffer[:40]})")
        self._checks[number] = replace(last, buffer=MODIFIERS[name])

    def _modify(self, name: str, value: str | None) -> None:
        """A modifier changes the content before it."""
        number, last = self._last(name)
        if name == "nocase":
            last = replace(last, nocase=True)
        elif name == "fast_pattern":
            last = replace(last, fast=True)
        elif name == "startswith":
            last = replace(last, offset=0, depth=len(last.pattern))
        elif name == "endswith":
            last = replace(last, at_end=True)
        else:
            change: dict[str, int] = {name: read_number(value, name)}
            last = replace(last, **change)  # type: ignore[arg-type]
        self._checks[number] = last

    def _agree(self) -> None:
        """Protocol and direction that the buffers bring with them."""
        names = {base(name) for name in self._named | {c.buffer for c in self._checks}}
        names.discard(PAYLOAD)
        if not names:
            return
        used = [BUFFERS[name] for name in sorted(names)]
        applications = {buffer.application for buffer in used}
        application = used[0].application
        if len(applications) > 1:
            raise OptionError("buffers of two protocols")
        if self._protocol not in (application, *_CARRIERS[application]):
            raise OptionError(f"{min(names)} (protocol {printable(self._protocol)[:20]})")
        ways = {buffer.to_server for buffer in used} - {None}
        if self.header.to_server is not None:
            ways.add(self.header.to_server)
        if len(ways) > 1:
            if self.header.to_server and "file.data" in names:
                raise OptionError("file.data (to_server)")
            raise OptionError("buffers of both directions")
        to_server = next(iter(ways), None)
        self.header = replace(self.header, application=application, to_server=to_server)
