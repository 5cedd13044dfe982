"""What a rule option asks of a payload, as values: contents, expressions, lengths, numbers.

Only what `agents.sensor.signatures.payload_tests` carries out is read here. Everything else raises
`OptionError`, so that a rule is either carried out whole or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import re2

from rules.signatures.buffers import PAYLOAD, PCRE_FLAGS
from rules.signatures.option_errors import OptionError

MAX_CONTENT = 8_192
MAX_EXPRESSION = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A fixed string. ``offset`` and ``depth`` count from the buffer's begin, ``distance`` and
    ``within`` from the end of the match before."""

    pattern: bytes
    buffer: str = PAYLOAD
    negated: bool = False
    nocase: bool = False
    offset: int | None = None
    depth: int | None = None
    distance: int | None = None
    within: int | None = None
    at_end: bool = False
    fast: bool = False
    """The author asks for the multi-pattern search to look for this one."""

    @property
    def relative(self) -> bool:
        return self.distance is not None or self.within is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A regular expression in RE2's syntax, which is matched in linear time."""

    pattern: bytes
    caseless: bool = False
    dotall: bool = False
    multiline: bool = False
    anchored: bool = False
    buffer: str = PAYLOAD
    negated: bool = False
    relative: bool = False

    def compile(self) -> re2._Regexp[bytes]:
        """Raises: re2.error."""
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.log_errors = False
        options.case_sensitive = not self.caseless
        options.max_mem = 2 << 20
        letters = b"s" * self.dotall + b"m" * self.multiline
        prefix = b"(?" + letters + b")" if letters else b""
        return re2.compile(prefix + b"(?:" + self.pattern + b")", options)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataAt:
    """There is (or, negated, is not) a byte ``count`` bytes further on."""

    count: int
    relative: bool = False
    negated: bool = False
    buffer: str = PAYLOAD


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteTest:
    """A number in the payload, compared."""

    count: int
    operator: str
    """One of ``<``, ``>``, ``=``, ``<=``, ``>=``, ``&``, ``^``."""
    value: int
    offset: int
    negated: bool = False
    relative: bool = False
    little: bool = False
    base: int = 0
    """8, 10 or 16 for digits, 0 for bytes; `ANY_BASE` for digits as C writes them."""
    buffer: str = PAYLOAD


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteJump:
    """A number in the payload, skipped over."""

    count: int
    offset: int
    relative: bool = False
    little: bool = False
    base: int = 0
    multiplier: int = 1
    align: bool = False
    from_beginning: bool = False
    after: int = 0
    buffer: str = PAYLOAD


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferSize:
    """Length of a whole buffer, within ``least`` and ``most``."""

    least: int
    most: int
    buffer: str = PAYLOAD


Check = Content | Expression | DataAt | ByteTest | ByteJump | BufferSize

_ESCAPED = re.compile(r'\\([";:\\])')


def read_content(text: str | None, buffer: str = PAYLOAD) -> Content:
    r"""``[!]"text|0D 0A|text"``, with ``\``-escaped ``"``, ``;``, ``:``, ``\``."""
    match = re.fullmatch(r'(!?)\s*"(.*)"', (text or "").strip(), re.DOTALL)
    if match is None:
        raise OptionError("content (not a quoted string)")
    pattern = b""
    parts = match[2].split("|")
    if len(parts) % 2 == 0:
        raise OptionError("content (odd number of |)")
    for number, part in enumerate(parts):
        if number % 2:
            try:
                pattern += bytes.fromhex(part)
            except ValueError as e:
                raise OptionError("content (bad hexadecimal)") from e
        else:
            pattern += _ESCAPED.sub(r"\1", part).encode("latin-1", "replace")
    if not 0 < len(pattern) <= MAX_CONTENT:
        raise OptionError("content (empty or too long)")
    return Content(pattern=pattern, buffer=buffer, negated=bool(match[1]))


def read_expression(text: str | None) -> Expression:
    """``[!]"/expression/flags"``.

    Back-references, look-around and possessive repeats, which need backtracking and let a crafted
    payload stop the sensor, are refused by RE2.
    """
    match = re.fullmatch(r'(!?)\s*"\s*(?:m(?=[^\w\s])|/)(.*)/([A-Za-z]*)\s*"', (text or "").strip())
    if match is None:
        raise OptionError("pcre (not /…/)")
    pattern = match[2].replace("\\;", ";").replace('\\"', '"').encode("latin-1", "replace")
    if len(pattern) > MAX_EXPRESSION:
        raise OptionError("pcre (too long)")
    buffers = {PCRE_FLAGS[flag] for flag in match[3] if flag in PCRE_FLAGS}
    unknown = set(match[3]) - set(PCRE_FLAGS) - set("ismAERO")
    if unknown or len(buffers) > 1:
        raise OptionError(f"pcre (flag {''.join(sorted(unknown)) or match[3]})")
    flags = set(match[3])
    if "m" not in flags and "E" not in flags and re.search(rb"(?<!\\)(?:\\\\)*\$\Z", pattern):
        # PCRE's $ also matches before a last line feed; RE2's does not.
        pattern = pattern[:-1] + rb"\n?\z"
    expression = Expression(
        pattern=pattern,
        caseless="i" in flags,
        dotall="s" in flags,
        multiline="m" in flags,
        anchored="A" in flags,
        buffer=buffers.pop() if buffers else PAYLOAD,
        negated=bool(match[1]),
        relative="R" in flags,
    )
    try:
        expression.compile()
    except re2.error as e:
        raise OptionError("pcre (needs backtracking or is not RE2's syntax)") from e
    return expression


def read_number(text: str | None, name: str) -> int:
    """A plain number, also hexadecimal; variables of byte_extract are refused."""
    try:
        number = int((text or "").strip(), 0) if not _decimal(text) else int(text or "")
    except ValueError as e:
        raise OptionError(f"{name} (not a number)") from e
    if abs(number) > 1 << 32:
        raise OptionError(f"{name} (out of range)")
    return number


def _decimal(text: str | None) -> bool:
    return re.fullmatch(r"\s*[+-]?\d{1,12}\s*", text or "") is not None


def read_range(text: str | None, name: str, most: int) -> tuple[int, int]:
    """``n``, ``<n``, ``>n``, ``n<>m`` (and ``n-m``): the least and the most that agree.

    Neither end of ``n<>m`` agrees, as Suricata has it: where the dialects differ, the narrower.
    """
    plain = re.sub(r"\s", "", text or "")
    between = re.fullmatch(r"(\d{1,9})(?:<>|-)(\d{1,9})", plain)
    if between:
        least, most = int(between[1]) + 1, int(between[2]) - 1
        if least > most:
            raise OptionError(f"{name} (no number is between)")
        return least, most
    match = re.fullmatch(r"(<=|>=|<|>|=|)(\d{1,9})", plain)
    if match is None:
        raise OptionError(f"{name} (unreadable)")
    number = int(match[2])
    return {
        "<": (0, number - 1),
        ">": (number + 1, most),
        "<=": (0, number),
        ">=": (number, most),
    }.get(match[1], (number, number))


def _data_at(text: str | None) -> DataAt:
    words = [word.strip() for word in (text or "").split(",")]
    if set(words[1:]) - {"relative", "rawbytes"}:
        raise OptionError("isdataat (unknown word)")
    negated = words[0].startswith("!")
    return DataAt(
        count=read_number(words[0].lstrip("! "), "isdataat"),
        relative="relative" in words,
        negated=negated,
    )


ANY_BASE = 36
_ENDS = {"hex": 16, "dec": 10, "oct": 8}


def _number_words(words: list[str], name: str, allowed: set[str]) -> tuple[bool, bool, int]:
    """(relative, little-endian, base of digits)."""
    plain = {word for word in words if " " not in word}
    if plain - allowed - {"relative", "little", "big", "string", *_ENDS}:
        raise OptionError(f"{name} ({', '.join(sorted(plain - allowed))[:40]})")
    bases = [_ENDS[word] for word in words if word in _ENDS]
    base = (bases[0] if bases else ANY_BASE) if "string" in plain else 0
    if base and plain & {"little", "big"}:
        raise OptionError(f"{name} (order of bytes of a string)")
    if bases and not base:
        raise OptionError(f"{name} (base without string)")
    return "relative" in plain, "little" in plain, base


def _count(text: str, name: str, *, digits: bool) -> int:
    count = read_number(text, name)
    # Nothing is all that is left, of digits.
    if not (0 if digits else 1) <= count <= (23 if digits else 8):
        raise OptionError(f"{name} (number of bytes)")
    return count


def _byte_test(text: str | None) -> ByteTest:
    words = [word.strip() for word in (text or "").split(",")]
    match = re.fullmatch(r"(!?)\s*(<=|>=|==|<|>|=|&|\^|)", words[1]) if len(words) > 3 else None
    if match is None:
        raise OptionError("byte_test (unreadable)")
    if any(" " in word for word in words[4:]):
        raise OptionError("byte_test (bitmask)")
    relative, little, base = _number_words(words[4:], "byte_test", set())
    return ByteTest(
        count=_count(words[0], "byte_test", digits=bool(base)),
        operator="=" if match[2] in ("", "==") else match[2],
        value=read_number(words[2], "byte_test"),
        offset=read_number(words[3], "byte_test"),
        negated=bool(match[1]),
        relative=relative,
        little=little,
        base=base,
    )


def _byte_jump(text: str | None) -> ByteJump:
    words = [word.strip() for word in (text or "").split(",")]
    if len(words) < 2:
        raise OptionError("byte_jump (unreadable)")
    named = {}
    for word in words[2:]:
        name, space, value = word.partition(" ")
        if space:
            if name not in ("multiplier", "post_offset"):
                raise OptionError(f"byte_jump ({name[:20]})")
            named[name] = read_number(value, "byte_jump")
    relative, little, base = _number_words(words[2:], "byte_jump", {"align", "from_beginning"})
    return ByteJump(
        count=_count(words[0], "byte_jump", digits=bool(base)),
        offset=read_number(words[1], "byte_jump"),
        relative=relative,
        little=little,
        base=base,
        multiplier=named.get("multiplier", 1),
        align="align" in words,
        from_beginning="from_beginning" in words,
        after=named.get("post_offset", 0),
    )


def _size(text: str | None) -> BufferSize:
    least, most = read_range(text, "bsize", 1 << 20)
    return BufferSize(least=least, most=most)


def _uri_length(text: str | None) -> BufferSize:
    """Of the decoded target, unless it ends in ``,raw``."""
    plain, comma, kind = (text or "").partition(",")
    kind = kind.strip()
    if comma and kind not in ("raw", "norm"):
        raise OptionError("urilen (unreadable)")
    least, most = read_range(plain, "urilen", 1 << 20)
    return BufferSize(
        least=least, most=most, buffer="http.uri.raw" if kind == "raw" else "http.uri"
    )


CHECKS: dict[str, Callable[[str | None], Check]] = {
    "content": read_content,
    "uricontent": lambda text: read_content(text, "http.uri"),
    "pcre": read_expression,
    "isdataat": _data_at,
    "byte_test": _byte_test,
    "byte_jump": _byte_jump,
    "urilen": _uri_length,
    "bsize": _size,
}
"""Options that test the payload, and who reads them."""
