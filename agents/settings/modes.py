"""Modes: whether a block that agents decide is carried out, waits for a person, or is only told.

A gateway has one, and so may a class of incidents and a rule. The strictest of those that concern
a block counts. A class has its own mode, or that of the nearest class above it which has one. What
a person orders (or approves) waits for nobody, but no gateway in ``shadow`` drops anything, whoever
orders it. Pure, but for the taxonomy in force.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, get_args

from ontology import taxonomy

Mode = Literal["enforce", "approve", "shadow"]
"""From the laxest to the strictest. ``enforce``: blocked at once. ``approve``: blocked once a
person has approved. ``shadow``: never blocked, only told that it would have been."""
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
Held = Literal["waiting", "shadow"]
HELD: Final[Mapping[Mode, Held]] = {"approve": "waiting", "shadow": "shadow"}
"""The state of a block that a mode holds back."""


class Counts(NamedTuple):
    """The mode that counts, and whose it is."""

    mode: Mode = "enforce"
    whose: str = ""
    """``gateway gw2``, ``class Incident``, ``rule X``; empty where nothing says otherwise."""

    @property
    def words(self) -> str:
        """For a person: ``mode approve of class Incident``."""
        return f"mode {self.mode} of {self.whose}" if self.whose else f"mode {self.mode}"


def strictest(*counts: Counts) -> Counts:
    """The one that counts, the first of equals; ``enforce`` of none."""
    return max(counts, key=lambda c: MODES.index(c.mode), default=Counts())


@dataclass(frozen=True, slots=True)
class Modes:
    """The modes of a honeynet."""

    gateways: Mapping[str, Mode] = field(default_factory=dict)
    """By node; ``enforce`` where a gateway is not named."""
    named: Mapping[str, Mode] = field(default_factory=dict)
    """By class of incidents, or label of a rule."""

    def of_reason(self, classification: str, rule: str = "") -> Counts:
        """Of what a block is made for, on any gateway."""
        if not self.named:
            return Counts()
        by_rule = [Counts(self.named[rule], f"rule {rule}")] if rule in self.named else []
        return strictest(self._of_class(classification), *by_rule)

    def of(
        self, gateway: str, classification: str, rule: str = "", *, by_person: bool = False
    ) -> Counts:
        """Of one block on one gateway."""
        own = Counts(self.gateways.get(gateway, "enforce"), f"gateway {gateway}")
        if by_person:
            return own if own.mode == "shadow" else Counts()
        of_reason = self.of_reason(classification, rule)
        return of_reason if own.mode == "enforce" else strictest(own, of_reason)

    def _of_class(self, name: str) -> Counts:
        """The class's own, or of those equally near above it that have one the strictest."""
        for near in _levels(name):
            found = [Counts(self.named[n], f"class {n}") for n in near if n in self.named]
            if found:
                return strictest(*found)
        return Counts()


def _levels(name: str) -> Iterator[tuple[str, ...]]:
    """The class, those directly above it, those above these …, as the taxonomy in force has it."""
    parents = taxonomy.in_force().parents
    seen: set[str] = set()
    level: tuple[str, ...] = (name,)
    while level:
        yield level
        seen.update(level)
        above = (p for n in level for p in parents.get(n, ()) if p not in seen)
        level = tuple(dict.fromkeys(above))
