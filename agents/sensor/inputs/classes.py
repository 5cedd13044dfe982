"""The table of ``classes.tsv``: other tools' words to our attack classes."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

from ontology.taxonomy import ATTACK_CLASSES

_COLUMNS = 6


class ClassesError(ValueError):
    """classes.tsv can't be used; the message names line and word."""


class Meaning(NamedTuple):
    """One line of the table."""

    classification: str | None
    """None: the message alone speaks of no attack."""
    confidence: float
    at_honeypot: float
    swapped: bool
    """The alert's target is the attacker: the packet was the victim's answer."""


class Classes:
    """Look-up by category, message or notice."""

    def __init__(self, table: str) -> None:
        """Raises: ClassesError."""
        self._whole: dict[tuple[str, str], Meaning] = {}
        self._messages: list[tuple[str, Meaning]] = []
        for number, line in enumerate(table.splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                self._add(number, line.split("\t"))
        # The longest beginning is the most particular.
        self._messages.sort(key=lambda entry: -len(entry[0]))
        self.message = lru_cache(maxsize=4096)(self._message)
        self._alert = lru_cache(maxsize=4096)(self._of_alert)

    def _add(self, number: int, cells: list[str]) -> None:
        if len(cells) != _COLUMNS:
            raise ClassesError(f"line {number}: {len(cells)} columns, not {_COLUMNS}")
        match, text, name, *weights, attacker = cells
        if name != "-" and name not in ATTACK_CLASSES:
            raise ClassesError(f"line {number}: {name!r} is no attack class")
        if attacker not in ("source", "target"):
            raise ClassesError(f"line {number}: attacker is source or target, not {attacker!r}")
        try:
            usual, at_honeypot = (float(weight) for weight in weights)
        except ValueError as e:
            raise ClassesError(f"line {number}: {e}") from e
        if not 0 <= usual <= 1 or not 0 <= at_honeypot <= 1:
            raise ClassesError(f"line {number}: a confidence lies in [0, 1]")
        meaning = Meaning(None if name == "-" else name, usual, at_honeypot, attacker == "target")
        if match == "message":
            self._messages.append((text.lower(), meaning))
        elif match in ("category", "notice"):
            self._whole[match, text.lower()] = meaning
        else:
            raise ClassesError(f"line {number}: match is category, message or notice")

    def _message(self, text: str) -> Meaning | None:
        lowered = text.lower()
        return next((m for start, m in self._messages if lowered.startswith(start)), None)

    def alert(self, message: str, category: str) -> Meaning | None:
        """What a Suricata or Snort alert means; None if the table knows neither word."""
        return self._alert(message[:200], category[:100])

    def _of_alert(self, message: str, category: str) -> Meaning | None:
        found = self.message(message)
        return found or self._whole.get(("category", category.strip().lower()))

    def notice(self, name: str) -> Meaning | None:
        """What a Zeek notice means."""
        return self._whole.get(("notice", name.lower()))


@cache
def shipped() -> Classes:
    """The table that comes with the program. Raises: ClassesError."""
    path = files("agents.sensor.inputs").joinpath("classes.tsv")
    return Classes(path.read_text(encoding="utf-8"))
