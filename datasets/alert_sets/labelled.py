"""One alert of a set, with what the set's truth says of it, and tables that name classes."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from importlib.resources import files

from ontology.records import Alert
from ontology.taxonomy import ATTACK_CLASSES

UNNAMED = "UnknownAnomaly"
"""Class of what a sensor reports without calling it an attack; no rule asks for it."""
_COLUMNS = 4


class SetError(ValueError):
    """A set can't be read; the message names file and line."""


@dataclass(frozen=True, slots=True)
class LabelledAlert:
    """An alert as a sensor would have sent it, and its truth."""

    alert: Alert
    name: str
    """What the set calls it: its id there, or ``file:line``."""
    related: bool | None = None
    """Whether it belongs to an attack; None where the truth says neither."""
    phase: str = ""
    """Which part of the attack, as the truth calls it."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a sensor's word means here."""

    classification: str
    confidence: float
    verified: bool
    """Only seen of whoever completed a handshake."""


class Names:
    """A table of a sensor's words: the longest beginning that fits counts.

    Columns: beginning of the name, class (``-``: nothing of an attack), confidence, ``yes`` or
    ``no`` (is the source proven?), separated by one tab.
    """

    def __init__(self, table: str, where: str) -> None:
        """Raises: SetError."""
        rows: list[tuple[str, Meaning]] = []
        for number, line in enumerate(table.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            cells = line.split("\t")
            place = f"{where}:{number}"
            if len(cells) != _COLUMNS:
                raise SetError(f"{place}: {len(cells)} columns, not {_COLUMNS}")
            name, class_, weight, proven = cells
            if class_ != "-" and class_ not in ATTACK_CLASSES:
                raise SetError(f"{place}: {class_!r} is no attack class")
            if proven not in ("yes", "no"):
                raise SetError(f"{place}: {proven!r} is neither yes nor no")
            try:
                confidence = float(weight)
            except ValueError:
                confidence = -1.0
            if not 0 <= confidence <= 1:
                raise SetError(f"{place}: {weight!r} is no confidence in [0, 1]")
            class_ = UNNAMED if class_ == "-" else class_
            rows.append((name, Meaning(class_, confidence, proven == "yes")))
        self._rows = sorted(rows, key=lambda row: -len(row[0]))
        self._known: dict[str, Meaning] = {}

    def of(self, name: str) -> Meaning:
        """What a name means; nothing of an attack if no row fits."""
        found = self._known.get(name)
        if found is None:
            fitting = (meaning for start, meaning in self._rows if name.startswith(start))
            found = self._known[name] = next(fitting, Meaning(UNNAMED, 0.2, False))
        return found


def shipped_names(file: str) -> Names:
    """A table of this folder. Raises: SetError."""
    return Names(files("datasets.alert_sets").joinpath(file).read_text(encoding="utf-8"), file)


def alert_id(set_name: str, name: str) -> str:
    """The same alert gets the same id in every run."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, f'{set_name}/{name}')}"
