"""The payload tests of a rule, carried out on one packet.

A payload is hostile: every rule has a budget of steps for it, so that no crafted repetition of a
content makes the search for contents relative to it go through all combinations.
"""

from __future__ import annotations

import string

from agents.sensor.signatures.message_buffers import SEVERAL, Payload
from rules.signatures.buffers import base
from rules.signatures.payload_options import (
    ANY_BASE,
    BufferSize,
    ByteJump,
    ByteTest,
    Check,
    Content,
    DataAt,
    Expression,
)

BUDGET = 500
"""Steps (tests, and places where a content was found) per rule and payload."""
_EXPRESSION_BYTES = 8
"""An expression takes a step for 256 bytes."""
_DIGITS = {8: b"01234567", 10: string.digits.encode(), 16: string.hexdigits.encode()}
_LONGEST = {8: 20, 10: 20, 16: 16}


class BudgetSpent(RuntimeError):
    """The search for one rule in one payload was given up."""


class PayloadTest:
    """All payload tests of one signature, in order."""

    def __init__(self, checks: tuple[Check, ...], *, application: str = "") -> None:
        self._checks = checks
        self._http = application == "http"
        self._expressions = {
            number: check.compile()
            for number, check in enumerate(checks)
            if isinstance(check, Expression)
        }
        self._ended = {
            number
            for number, check in enumerate(checks)
            if isinstance(check, Expression) and (b"$" in check.pattern or b"\\z" in check.pattern)
        }
        """Expressions that ask where the buffer ends."""
        several = {check.buffer for check in checks if base(check.buffer) in SEVERAL}
        self._several = min(several) if several else None
        self._retried = [self._has_dependent(number) for number in range(len(checks))]

    def _has_dependent(self, number: int) -> bool:
        """Whether another occurrence of this content could turn out better for a later test."""
        for later in range(number + 1, len(self._checks)):
            check = self._checks[later]
            if check.buffer != self._checks[number].buffer or isinstance(check, BufferSize):
                continue
            if check.relative:
                return True
            if isinstance(check, (Content, Expression)) and not check.negated:
                return False
        return False

    def __call__(self, payload: Payload) -> bool:
        """Raises: BudgetSpent."""
        if self._http and payload.application != "http" and not payload.is_http:
            return False
        pool = payload.pool
        given = min(BUDGET, payload.steps)
        budget = [given]
        try:
            if self._several is None:
                return self._from(0, payload, {}, budget)
            # All that is asked of such a buffer must hold of one of them.
            for instance in range(payload.instances(self._several)):
                payload.instance = instance
                if self._from(0, payload, {}, budget):
                    return True
            return False
        finally:
            payload.instance = 0
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
            buffer = check.buffer
            data = payload.buffer(buffer)
            if data is None:
                # Nothing can be said of what is not there, not even what it lacks.
                return False
            if isinstance(check, Content) and not check.negated:
                if check.at_end and payload.cut(buffer):
                    return False
                if self._retried[number]:
                    return self._each(number, check, payload, ends, budget)
                at = _find(check, data, payload, ends.get(buffer, 0), -1)
                agrees = at >= 0
                ends[buffer] = at + len(check.pattern)
            elif isinstance(check, Content):
                agrees = not payload.cut(buffer) and (
                    _find(check, data, payload, ends.get(buffer, 0), -1) < 0
                )
            elif isinstance(check, BufferSize):
                agrees = not payload.cut(buffer) and check.least <= len(data) <= check.most
            elif isinstance(check, Expression):
                budget[0] -= len(data) >> _EXPRESSION_BYTES
                unsure = check.negated or number in self._ended
                agrees = not (unsure and payload.cut(buffer)) and (
                    self._expression(number, check, data, ends)
                )
            elif isinstance(check, DataAt):
                # Relative: so many bytes follow. From the begin: there is a byte of that number.
                end = ends.get(buffer, 0) + check.count if check.relative else check.count + 1
                there = end <= len(data)
                agrees = there != check.negated and not (check.negated and payload.cut(buffer))
            elif isinstance(check, ByteTest):
                agrees = _byte_test(check, data, ends.get(buffer, 0))
            else:
                landed = _byte_jump(check, data, ends.get(buffer, 0))
                agrees = landed is not None
                ends[buffer] = landed or 0
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
        buffer = check.buffer
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
    if begin + check.count > len(data):
        return None
    if check.base:
        end = begin + (check.count or _LONGEST[8])
        return _digits(data[begin:end], check.base)
    raw = data[begin : begin + check.count]
    return int.from_bytes(raw, "little" if check.little else "big")


def _digits(text: bytes, base: int) -> int | None:
    text = text.lstrip()
    if base == ANY_BASE:
        prefixed = text[:2].lower() == b"0x" and text[2:3] in _DIGITS[16] and text[2:3]
        base = 16 if prefixed else 8 if text[:1] == b"0" else 10
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
    """Where the next relative test begins; None outside of the buffer."""
    begin = (base if check.relative else 0) + check.offset
    number = _number(check, data, begin)
    if number is None:
        return None
    jump = number * check.multiplier
    if check.align:
        jump = (jump + 3) & ~3
    end = jump + check.after + (0 if check.from_beginning else begin + check.count)
    return end if 0 <= end <= len(data) else None
