"""What a rule remembers, asks of what was remembered, and how often it wants to match.

Carried out after all else agrees, in the order of the packets: see
`agents.sensor.signatures.rule_effects`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from rules.signatures.option_errors import OptionError, printable

_BITS = frozenset(["set", "unset", "isset", "isnotset", "toggle"])
_XBITS = _BITS - {"toggle"}
_TRACKS = {"ip_src": "src", "ip_dst": "dst", "ip_pair": "pair"}
_COUNTED = {"by_src": "src", "by_dst": "dst", "by_both": "pair", "by_rule": "rule"}
_MAX_SECONDS = 366 * 86_400
_MAX_COUNT = 1 << 32


@dataclass(frozen=True, slots=True)
class Bit:
    """A named bit that is asked for or changed."""

    command: str
    """``set``, ``unset``, ``toggle``, ``isset`` or ``isnotset``."""
    names: tuple[str, ...]
    """With ``isset`` one of them, with ``isnotset`` none of them may be set; else one name."""
    track: str = "flow"
    """``flow``, or whose address remembers: ``src``, ``dst`` or ``pair``."""
    expire_us: int = 30_000_000
    """How long an address remembers; a flow does as long as it lasts."""

    @property
    def asks(self) -> bool:
        return self.command in ("isset", "isnotset")


@dataclass(frozen=True, slots=True)
class Rate:
    """Enough matches in a time."""

    kind: str
    """``limit``, ``threshold``, ``both`` or ``detection_filter``."""
    count: int
    within_us: int
    track: str


@dataclass(frozen=True, slots=True)
class Effects:
    """Of one rule; empty for most."""

    bits: tuple[Bit, ...] = ()
    rates: tuple[Rate, ...] = ()
    silent: bool = False
    """``noalert``: matches only to remember."""

    def __bool__(self) -> bool:
        return bool(self.bits or self.rates or self.silent)


@dataclass(slots=True)
class EffectsReader:
    """Collects the options of one rule."""

    effects: Effects = field(default_factory=Effects)

    def read(self, name: str, value: str) -> None:
        """Raises: OptionError."""
        words = [" ".join(word.split()) for word in value.split(",")]
        first = words[0].lower()
        if name == "noalert" or (name == "flowbits" and first == "noalert"):
            self.effects = replace(self.effects, silent=True)
        elif name in ("flowbits", "xbits"):
            bit = _flow_bit(words) if name == "flowbits" else _address_bit(words)
            self.effects = replace(self.effects, bits=(*self.effects.bits, bit))
        else:
            self.effects = replace(self.effects, rates=(*self.effects.rates, _rate(name, words)))


NAMES = frozenset(["flowbits", "xbits", "noalert", "threshold", "detection_filter"])
"""Options that `EffectsReader` reads."""


def _flow_bit(words: list[str]) -> Bit:
    command = words[0].lower()
    if command not in _BITS or len(words) != 2:
        raise OptionError(f"flowbits ({printable(words[0])[:20]})")
    return Bit(command, _names(words[1], command, "flowbits"))


def _names(text: str, command: str, option: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split("|"))
    several = len(names) > 1 and command not in ("isset", "isnotset")
    if several or any(not re.fullmatch(r"[\w.&\- ]{1,120}", name, re.ASCII) for name in names):
        raise OptionError(f"{option} (name)")
    return names


def _address_bit(words: list[str]) -> Bit:
    command, track, expire = words[0].lower(), "", 30
    if command not in _XBITS or len(words) < 3:
        raise OptionError(f"xbits ({printable(words[0])[:20]})")
    for word in words[2:]:
        name, _, value = word.partition(" ")
        if name == "track" and value in _TRACKS:
            track = _TRACKS[value]
        elif name == "expire" and value.isdecimal() and 0 < int(value) <= _MAX_SECONDS:
            expire = int(value)
        else:
            raise OptionError(f"xbits ({printable(word)[:20]})")
    if not track:
        raise OptionError("xbits (no track)")
    return Bit(command, _names(words[1], command, "xbits"), track, expire * 1_000_000)


def _rate(option: str, words: list[str]) -> Rate:
    found: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition(" ")
        if name in found or name not in ("type", "track", "count", "seconds"):
            raise OptionError(f"{option} ({printable(word)[:20]})")
        found[name] = value.strip()
    kind = found.get("type", "") if option == "threshold" else option
    if kind not in ("limit", "threshold", "both", "detection_filter"):
        raise OptionError(f"{option} (type {printable(kind)[:20]})")
    if found.get("track") not in _COUNTED:
        raise OptionError(f"{option} (track {printable(found.get('track', ''))[:20]})")
    numbers = [found.get(name, "") for name in ("count", "seconds")]
    if not all(re.fullmatch(r"\d{1,10}", number, re.ASCII) for number in numbers):
        raise OptionError(f"{option} (not a number)")
    count, seconds = map(int, numbers)
    if not (0 < count <= _MAX_COUNT and 0 < seconds <= _MAX_SECONDS):
        raise OptionError(f"{option} (out of range)")
    return Rate(kind, count, seconds * 1_000_000, _COUNTED[found["track"]])
