"""SWRL built-ins that Pellet 2.3.1 executes (measured), with their arguments (SWRL, section 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_ANY = 99
Kind = Literal["number", "string", "any"]


@dataclass(frozen=True, slots=True)
class Builtin:
    """Arguments of a built-in: how many, of what kind, and whether the first may be computed."""

    fewest: int
    most: int
    computes: bool
    """True if an unbound first argument gets the result."""
    kind: Kind
    """Of the arguments that are compared or computed with."""


def _table() -> dict[str, Builtin]:
    table: dict[str, Builtin] = {}

    def fill(names: str, fewest: int, most: int, kind: Kind, *, computes: bool) -> None:
        for name in names.split():
            table[name] = Builtin(fewest, most, computes, kind)

    fill("equal notEqual", 2, 2, "any", computes=False)
    fill("lessThan lessThanOrEqual greaterThan greaterThanOrEqual", 2, 2, "number", computes=False)
    fill("add multiply", 3, _ANY, "number", computes=True)
    fill("subtract divide integerDivide mod pow", 3, 3, "number", computes=True)
    fill("unaryPlus unaryMinus abs ceiling floor round", 2, 2, "number", computes=True)
    fill("sin cos tan", 2, 2, "number", computes=True)
    fill("roundHalfToEven", 2, 3, "number", computes=True)
    fill("booleanNot", 2, 2, "any", computes=True)
    fill("stringConcat", 2, _ANY, "string", computes=True)
    fill("substring", 3, 4, "any", computes=True)
    fill("stringLength", 2, 2, "any", computes=True)
    fill("normalizeSpace upperCase lowerCase", 2, 2, "string", computes=True)
    fill("translate replace", 4, 4, "string", computes=True)
    fill("substringBefore substringAfter", 3, 3, "string", computes=True)
    fill("stringEqualIgnoreCase contains containsIgnoreCase", 2, 2, "string", computes=False)
    fill("startsWith endsWith matches", 2, 2, "string", computes=False)
    return table


BUILTINS = _table()
"""By local name. All others are dropped by Pellet together with their rule, without a word."""
