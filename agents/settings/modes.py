"""Modes: whether a block that agents decide is carried out, waits for a person, or is only told.

A gateway has one, and so may a class of incidents and a rule. The strictest of those that concern
a block counts. What a person orders (or approves) waits for nobody, but no gateway in ``shadow``
drops anything, whoever orders it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

Mode = Literal["enforce", "approve", "shadow"]
"""From the laxest to the strictest. ``enforce``: blocked at once. ``approve``: blocked once a
person has approved. ``shadow``: never blocked, only told that it would have been."""
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
Held = Literal["waiting", "shadow"]
HELD: Final[Mapping[Mode, Held]] = {"approve": "waiting", "shadow": "shadow"}
"""The state of a block that a mode holds back."""


def strictest(*modes: Mode) -> Mode:
    """The one that counts; ``enforce`` of none."""
    return max(modes, key=MODES.index, default="enforce")


@dataclass(frozen=True, slots=True)
class Modes:
    """The modes of a honeynet."""

    gateways: Mapping[str, Mode] = field(default_factory=dict)
    """By node; ``enforce`` where a gateway is not named."""
    named: Mapping[str, Mode] = field(default_factory=dict)
    """By class of incidents, or label of a rule."""

    def of_reason(self, classification: str, rule: str = "") -> Mode:
        """Of what a block is made for, on any gateway."""
        return strictest(*(self.named[n] for n in (classification, rule) if n in self.named))

    def of(
        self, gateway: str, classification: str, rule: str = "", *, by_person: bool = False
    ) -> Mode:
        """Of one block on one gateway."""
        own = self.gateways.get(gateway, "enforce")
        if by_person:
            return "shadow" if own == "shadow" else "enforce"
        return strictest(own, self.of_reason(classification, rule))
