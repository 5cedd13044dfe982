"""The table of ``class_words.tsv``: our classes and the words of IDMEF, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from ontology.taxonomy import ATTACK_CLASSES, superclasses

_KINDS: Final = ("class", "category", "phrase", "guess")
_LOOKED_AT: Final = 400
"""Characters of a text in which phrases are looked for."""
UNKNOWN: Final = "UnknownAnomaly"
"""Class of what nobody here has a word for."""


class WordsError(ValueError):
    """class_words.tsv can't be used; the message names the line."""


@cache
def _table() -> Mapping[str, Mapping[str, str]]:
    found: dict[str, dict[str, str]] = {kind: {} for kind in _KINDS}
    text = files("agents.idmef").joinpath("class_words.tsv").read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) != 3 or cells[0] not in _KINDS:
            raise WordsError(f"class_words.tsv line {number}: not kind, word and meaning")
        kind, word, meaning = cells
        if kind != "class" and meaning != "-" and meaning not in ATTACK_CLASSES:
            raise WordsError(f"class_words.tsv line {number}: {meaning!r} is no attack class")
        found[kind][word] = meaning
    # The longest phrase is the most particular.
    found["phrase"] = dict(sorted(found["phrase"].items(), key=lambda one: -len(one[0])))
    return MappingProxyType(found)


def category_of(classification: str, *, root: str = "Attack") -> str:
    """Category of IDMEFv2 of one of our classes: its own, or that of the nearest class above."""
    table = _table()["class"]
    above = (classification, *superclasses(classification))
    return next((table[name] for name in above if name in table), table[root])


def class_of(texts: Iterable[str], categories: Iterable[str], port: int | None) -> str | None:
    """Our class of what others describe; None: what they say is no attack.

    The first text in which a phrase of the table stands counts, then the first category that is in
    the table; `UNKNOWN` where neither says anything.
    """
    table = _table()
    found: str | None = None
    for text in texts:
        lowered = text[:_LOOKED_AT].lower()
        found = next((name for word, name in table["phrase"].items() if word in lowered), None)
        if found is not None:
            break
    if found is None:
        meant = (table["category"].get(category) for category in categories)
        found = next((name for name in meant if name is not None), UNKNOWN)
    if found == "BruteForce" and port is not None:
        found = table["guess"].get(str(port), found)
    return None if found == "-" else found
