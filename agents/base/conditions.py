"""What an agent can't do just now, and what it loses: named conditions, from their begin to their
end.

One way for all faults: whoever meets one calls `Conditions.fault`, again at each look if it likes,
and `Conditions.clear` when a look finds all well. The agent's answers to the launcher carry them to
``ontoidps status``, its directory entry carries them to the console.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args

logger = logging.getLogger(__name__)

Level = Literal["degraded", "warning"]
"""``degraded``: a part of its work is not done. ``warning``: something was lost or held back."""

FIREWALL: Final = "firewall"
PACKET_PATH: Final = "packet-path"
UNSURE: Final = frozenset({FIREWALL, PACKET_PATH})
"""Names of the conditions of a gateway that can't look at its rules, and of one whose kernel does
not do what they say: what it said of blocks before is no longer known to be so."""
MAX_CONDITIONS: Final = 32
"""Of one agent at once; the last one says how many more there are."""
MAX_REASON: Final = 300
"""Characters of a reason; a longer one is cut."""
MAX_TEXT: Final = 8_000
"""Characters of `as_text`: what doesn't fit into a directory entry is left out, the last first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that is not as it should be."""

    name: str
    """What it is about, e.g. ``capture.wan0``; one condition a name."""
    level: Level
    reason: str
    """For people: one line, which names thing and value."""
    since_us: int
    numbers: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "level": self.level,
            "reason": self.reason,
            "since_us": self.since_us,
            "numbers": self.numbers,
        }


class Conditions:
    """The conditions of one agent. Stores and captures report from threads: each step here is one
    operation on a dict, and one name is one reporter's.

    Args:
        clock: epoch microseconds.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._held: dict[str, Condition] = {}
        self.on_change: Callable[[], object] | None = None
        """Called, from any thread, when one begins, ends or gets another reason or level."""

    def fault(self, name: str, reason: str, *, level: Level = "degraded", **numbers: int) -> None:
        """It holds from now on, or still holds. Logged once as long as reason and level stay.

        Args:
            reason: without numbers that grow; those go into ``numbers`` and are shown beside it.
        """
        line = _one_line(reason)
        before = self._held.get(name)
        since = self._clock() if before is None else before.since_us
        now = Condition(name=name, level=level, reason=line, since_us=since, numbers=numbers)
        self._held[name] = now
        if before is None or (before.reason, before.level) != (line, level):
            logger.warning("%s: %s%s", level, line, _bracketed(now))
            self._tell()

    def clear(self, name: str) -> None:
        """It is over, if it was there at all."""
        before = self._held.pop(name, None)
        if before is not None:
            lasted = max(0, self._clock() - before.since_us) / 1e6
            logger.info("over after %.0f s: %s%s", lasted, before.reason, _bracketed(before))
            self._tell()

    def hold(self, name: str, reason: str, *, level: Level = "degraded", **numbers: int) -> None:
        """What a look has found: `fault`, or `clear` if ``reason`` is empty."""
        if reason:
            self.fault(name, reason, level=level, **numbers)
        else:
            self.clear(name)

    def keep(self, prefix: str, names: Iterable[str]) -> None:
        """Clear every condition whose name begins with ``prefix`` and isn't among ``names``."""
        still = set(names)
        for name in list(self._held):
            if name.startswith(prefix) and name not in still:
                self.clear(name)

    def of(self, name: str) -> Condition | None:
        """The one of this name, while it holds."""
        return self._held.get(name)

    def current(self) -> tuple[Condition, ...]:
        """Degraded ones first, then by begin."""
        held = sorted(list(self._held.values()), key=lambda c: (c.level, c.since_us, c.name))
        if len(held) > MAX_CONDITIONS:
            more = len(held) - MAX_CONDITIONS + 1
            last = replace(held[MAX_CONDITIONS - 1], name="more", numbers={})
            held[MAX_CONDITIONS - 1 :] = [replace(last, reason=f"and {more} more conditions")]
        return tuple(held)

    def _tell(self) -> None:
        if self.on_change is not None:
            self.on_change()


def is_degraded(conditions: Iterable[Condition]) -> bool:
    """Whether a part of the work is not done."""
    return any(condition.level == "degraded" for condition in conditions)


def described(condition: Condition) -> str:
    """For people: the reason with its numbers in brackets."""
    return f"{condition.reason}{_bracketed(condition)}"


def as_text(conditions: Iterable[Condition]) -> str:
    """For a directory entry: a JSON array, at most `MAX_TEXT` characters; empty if there are none.
    `from_text` is the counterpart."""
    parts: list[str] = []
    size = 2
    for condition in conditions:
        part = json.dumps(condition.as_json(), separators=(",", ":"))
        size += len(part) + 1
        if size > MAX_TEXT:
            break
        parts.append(part)
    return f"[{','.join(parts)}]" if parts else ""


def from_json(entries: object) -> tuple[Condition, ...]:
    """What another process says of its conditions. Raises: ValueError if it says something else."""
    if not isinstance(entries, list) or len(entries) > MAX_CONDITIONS:
        raise ValueError(f"conditions: a list of at most {MAX_CONDITIONS} is needed")
    return tuple(_condition(entry) for entry in entries)


def from_text(text: str) -> tuple[Condition, ...]:
    """The conditions that `as_text` wrote. Raises: ValueError."""
    if not text:
        return ()
    try:
        return from_json(json.loads(text))
    except RecursionError as e:
        raise ValueError("conditions: nested too deeply") from e


def _condition(entry: object) -> Condition:
    if not isinstance(entry, dict):
        raise ValueError(f"a condition is an object, got {type(entry).__name__}")
    try:
        name, level, reason = entry["name"], entry["level"], entry["reason"]
        since_us, numbers = entry["since_us"], entry["numbers"]
    except KeyError as e:
        raise ValueError(f"a condition lacks {e}") from e
    if not (isinstance(name, str) and isinstance(reason, str) and level in get_args(Level)):
        raise ValueError(f"not a condition: {str(entry)[:100]!r}")
    if type(since_us) is not int or not isinstance(numbers, dict):
        raise ValueError(f"not a condition: {str(entry)[:100]!r}")
    counts = {str(k)[:64]: v for k, v in numbers.items() if type(v) is int}
    return Condition(
        name=_one_line(name)[:100],
        level=level,
        reason=_one_line(reason),
        since_us=since_us,
        numbers=dict(list(counts.items())[:16]),
    )


def _one_line(text: str) -> str:
    """File names and messages of libraries can hold anything."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[:2000]).split())
    return line if len(line) <= MAX_REASON else f"{line[: MAX_REASON - 1]}…"


def _bracketed(condition: Condition) -> str:
    if not condition.numbers:
        return ""
    parts = (f"{count:,} {name.replace('_', ' ')}" for name, count in condition.numbers.items())
    return f" ({', '.join(parts)})"
