"""The payload tests of a rule, carried out on one packet.

A payload is hostile: every rule has a budget of steps for it, so that no crafted repetition of a
content makes the search for contents relative to it go through all combinations.
"""

from __future__ import annotations

import string

from agents.sensor.payloads.percent import decoded
from rules.signatures.payload_options import (
    PAYLOAD,
    ByteJump,
    ByteTest,
    Check,
    Content,
    DataAt,
    Expression,
    UriLength,
)

BUDGET = 500
"""Steps (tests, and places where a content was found) per rule and payload."""
PACKET_BUDGET = 20_000
"""Steps for one payload over all rules: some 20 ms."""
_EXPRESSION_BYTES = 8
"""An expression takes a step for 256 bytes."""
METHODS = (
    *(b"GET ", b"POST", b"HEAD", b"PUT ", b"DELE", b"OPTI", b"PATC", b"PROP", b"TRAC", b"CONN"),
    *(b"SEAR", b"MOVE", b"COPY", b"MKCO", b"LOCK", b"UNLO", b"DEBU"),
)
_UPPER = string.ascii_uppercase.encode()
_DIGITS = {8: b"01234567", 10: string.digits.encode(), 16: string.hexdigits.encode()}
_LONGEST = {8: 20, 10: 20, 16: 16}


class BudgetSpent(RuntimeError):
    """The search for one rule in one payload was given up."""


class Payload:
    """One packet's payload and the parts of the HTTP message in it, taken apart when asked for."""

    def __init__(self, data: bytes, pool: list[int] | None = None) -> None:
        self.data = data
        self._buffers: dict[str, bytes | None] = {PAYLOAD: data}
        self._lower: dict[str, bytes] = {}
        self._parsed = False
        self.steps = PACKET_BUDGET
        """Left for all rules together."""
        self.pool = pool
        """Steps left for all payloads of its source in a block, in a list of one; None: no end."""

    @property
    def is_http(self) -> bool:
        return self.data[:4] in METHODS or self.data[:5] == b"HTTP/"

    def buffer(self, name: str) -> bytes | None:
        """None if the payload has no such part."""
        if name != PAYLOAD and not self._parsed:
            self._parse()
        return self._buffers.get(name)

    def lower(self, name: str) -> bytes:
        """As `buffer`, in lower case (ASCII); the buffer must be there."""
        if name not in self._lower:
            self._lower[name] = (self.buffer(name) or b"").lower()
        return self._lower[name]

    def _parse(self) -> None:
        self._parsed = True
        if not self.is_http:
            return
        head, _, body = self.data.partition(b"\r\n\r\n")
        line, _, header = head.partition(b"\n")
        found = self._buffers
        request = _request(line) if self.data[:5] != b"HTTP/" else None
        if request:
            found["method"], target = request
            found["raw_uri"] = target
            found["uri"] = decoded((target,), plus=False)[0] if b"%" in target else target
            found["body"] = body
        found["header"] = header + b"\r\n"
        lower = b"\n" + header.lower()
        for name, fields in (
            ("cookie", (b"\ncookie:", b"\nset-cookie:")),
            ("agent", (b"\nuser-agent:",)),
            ("host", (b"\nhost:",)),
        ):
            places = [(lower.find(field), len(field) - 1) for field in fields]
            at, size = min((place for place in places if place[0] >= 0), default=(-1, 0))
            if at >= 0:
                value = header[at + size :].partition(b"\n")[0].partition(b"\r")[0].lstrip(b" ")
                found[name] = value.partition(b":")[0].lower() if name == "host" else value


def _request(line: bytes) -> tuple[bytes, bytes] | None:
    """Method and target of a request's line; None if it is none."""
    method, blank, target = line.removesuffix(b"\r").partition(b" ")
    if not blank or not 3 <= len(method) <= 20 or method.translate(None, _UPPER) or b"\r" in target:
        return None
    target = target.lstrip(b" ")
    before, blank, version = target.rpartition(b" ")
    shape = version[:5] + version[6:7]
    if (
        blank
        and len(version) == 8
        and shape == b"HTTP/."
        and (version[5:6] + version[7:]).isdigit()
    ):
        target = before.rstrip(b" ")
    return method, target


class PayloadTest:
    """All payload tests of one signature, in order."""

    def __init__(self, checks: tuple[Check, ...], *, http: bool = False) -> None:
        self._checks = checks
        self._http = http
        self._expressions = {
            number: check.compile()
            for number, check in enumerate(checks)
            if isinstance(check, Expression)
        }
        self._buffers: list[str] = []
        last = PAYLOAD
        for check in checks:
            if isinstance(check, (Content, Expression)):
                last = check.buffer
            relative = not isinstance(check, UriLength) and check.relative
            self._buffers.append(last if relative else getattr(check, "buffer", PAYLOAD))
        self._retried = [self._has_dependent(number) for number in range(len(checks))]

    def _has_dependent(self, number: int) -> bool:
        """Whether another occurrence of this content could turn out better for a later test."""
        for later in range(number + 1, len(self._checks)):
            check = self._checks[later]
            if self._buffers[later] != self._buffers[number] or isinstance(check, UriLength):
                continue
            if check.relative:
                return True
            if isinstance(check, (Content, Expression)) and not check.negated:
                return False
        return False

    def __call__(self, payload: Payload) -> bool:
        """Raises: BudgetSpent."""
        if self._http and not payload.is_http:
            return False
        pool = payload.pool
        given = min(BUDGET, payload.steps)
        budget = [given]
        try:
            return self._from(0, payload, {}, budget)
        finally:
            spent = given - max(budget[0], 0)
            payload.steps -= spent
            if pool is not None:
                pool[0] -= spent

    def _from(self, number: int, payload: Payload, ends: dict[str, int], budget: list[int]) -> bool:
        """The tests from ``number`` on, with the ends of the matches so far."""
        while number < len(self._checks):
            check = self._checks[number]
            budget[0] -= 1
            if budget[0] < 0:
                raise BudgetSpent
            if isinstance(check, UriLength):
                uri = payload.buffer("raw_uri")
                agrees = uri is not None and check.least <= len(uri) <= check.most
            else:
                buffer = self._buffers[number]
                data = payload.buffer(buffer)
                if data is None:
                    # What is not there does not hold what must not be in it.
                    agrees = isinstance(check, (Content, Expression)) and check.negated
                elif isinstance(check, Content) and not check.negated:
                    if self._retried[number]:
                        return self._each(number, check, payload, ends, budget)
                    at = _find(check, data, payload, ends.get(buffer, 0), -1)
                    agrees = at >= 0
                    ends[buffer] = at + len(check.pattern)
                elif isinstance(check, Content):
                    agrees = _find(check, data, payload, ends.get(buffer, 0), -1) < 0
                elif isinstance(check, Expression):
                    budget[0] -= len(data) >> _EXPRESSION_BYTES
                    agrees = self._expression(number, check, data, ends)
                elif isinstance(check, DataAt):
                    begin = ends.get(buffer, 0) if check.relative else 0
                    agrees = (begin + check.count <= len(data)) != check.negated
                elif isinstance(check, ByteTest):
                    agrees = _byte_test(check, data, ends.get(buffer, 0))
                else:
                    end = _byte_jump(check, data, ends.get(buffer, 0))
                    agrees = end is not None
                    ends[buffer] = end or 0
            if not agrees:
                return False
            number += 1
        return True

    def _each(
        self,
        number: int,
        check: Content,
        payload: Payload,
        ends: dict[str, int],
        budget: list[int],
    ) -> bool:
        """Try the tests that follow behind each occurrence of a content."""
        buffer = self._buffers[number]
        data = payload.buffer(buffer) or b""
        base = ends.get(buffer, 0)
        at = -1
        while True:
            at = _find(check, data, payload, base, at + 1)
            if at < 0:
                return False
            budget[0] -= 1
            if budget[0] < 0:
                raise BudgetSpent
            found = ends | {buffer: at + len(check.pattern)}
            if self._from(number + 1, payload, found, budget):
                return True

    def _expression(
        self, number: int, check: Expression, data: bytes, ends: dict[str, int]
    ) -> bool:
        begin = min(ends.get(check.buffer, 0), len(data)) if check.relative else 0
        begin = max(begin, 0)
        pattern = self._expressions[number]
        rest = data[begin:] if begin else data
        match = pattern.match(rest) if check.anchored else pattern.search(rest)
        if match and not check.negated:
            ends[check.buffer] = begin + match.end()
        return (match is None) == check.negated


def _find(check: Content, data: bytes, payload: Payload, base: int, least: int) -> int:
    """Where the content begins, not before ``least``; -1 if nowhere in its window."""
    begin, end = 0, len(data)
    if check.offset is not None:
        begin = check.offset
    if check.depth is not None:
        end = min(end, begin + check.depth)
    if check.relative:
        start = base + (check.distance or 0)
        begin = max(begin, start)
        if check.within is not None:
            end = min(end, start + check.within)
    begin = max(begin, least, 0)
    if end < begin:
        return -1
    pattern = check.pattern
    if check.nocase:
        data, pattern = payload.lower(check.buffer), pattern.lower()
    if check.at_end:
        last = len(data) - len(pattern)
        return last if begin <= last and end >= len(data) and data.endswith(pattern) else -1
    return data.find(pattern, begin, end)


def _number(check: ByteTest | ByteJump, data: bytes, begin: int) -> int | None:
    if begin < 0 or begin >= len(data):
        return None
    if check.base:
        return _digits(data[begin : begin + check.count], check.base)
    if begin + check.count > len(data):
        return None
    raw = data[begin : begin + check.count]
    return int.from_bytes(raw, "little" if check.little else "big")


def _digits(text: bytes, base: int) -> int | None:
    text = text.lstrip()
    digits = _DIGITS[base]
    if base == 16 and text[:2].lower() == b"0x" and text[2:3] in digits and text[2:3]:
        text = text[2:]
    number = text[: len(text) - len(text.lstrip(digits))][: _LONGEST[base]]
    return int(number, base) if number else None


def _byte_test(check: ByteTest, data: bytes, base: int) -> bool:
    number = _number(check, data, (base if check.relative else 0) + check.offset)
    if number is None:
        return False
    value = check.value
    result = {
        "<": number < value,
        ">": number > value,
        "=": number == value,
        "<=": number <= value,
        ">=": number >= value,
        "&": bool(number & value),
        "^": bool(number ^ value),
    }[check.operator]
    return result != check.negated


def _byte_jump(check: ByteJump, data: bytes, base: int) -> int | None:
    """Where the next relative test begins; None outside of the payload."""
    begin = (base if check.relative else 0) + check.offset
    number = _number(check, data, begin)
    if number is None:
        return None
    jump = number * check.multiplier
    if check.align:
        jump = (jump + 3) & ~3
    end = jump + check.after + (0 if check.from_beginning else begin + check.count)
    return end if 0 <= end <= len(data) else None
