"""What is known of one attack scenario in progress, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass

from ontology.records import Alert
from rules.scenarios.attack_models import Model

_BASE, _SPAN, _REACHED = 0.6, 0.35, 0.98
_PREVENTED = 0.3
"""Share of the severity that goes when all that is expected next is prevented."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A step that has not been seen but has become possible (CRIM's virtual alert)."""

    step: Model
    after: str
    """Name of the step that made it possible."""
    prevented_by: tuple[str, ...]
    """Names of measures taken that contradict what it needs; () it is to be expected."""
    measures: tuple[str, ...]
    """Names of all measures that would."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of one scenario in progress."""

    id: str
    """Id of the alert that it began with; stays when the case grows."""
    scenario: str
    label: str
    alerts: tuple[Alert, ...]
    """In order of time."""
    steps: tuple[tuple[str, Alert], ...]
    """(name of the model, first alert that evidences it), in order of time."""
    rule: str
    """Label of the rule that joined the latest alert."""
    objectives: tuple[str, ...]
    """In reach: a step that leads there was seen."""
    expected: tuple[Expected, ...]
    share: float
    """Length of the chain seen, of the longest one that the scenario has."""

    @property
    def ended(self) -> bool:
        """Is everything that was expected next prevented, and no objective in reach?"""
        return (
            bool(self.expected)
            and not self.objectives
            and all(e.prevented_by for e in self.expected)
        )

    @property
    def weight(self) -> float:
        """Severity if the alerts are certain, in [0, 1]."""
        if self.objectives:
            return _REACHED
        weight = _BASE + _SPAN * self.share
        if self.expected:
            prevented = sum(bool(e.prevented_by) for e in self.expected)
            weight *= 1 - _PREVENTED * prevented / len(self.expected)
        return weight


def describe_case(case: Case) -> list[str]:
    """The case in lines: scenario, steps in order, objectives, what is expected."""
    lines = [f"Scenario {case.label}: {len(case.steps)} steps, {case.share:.0%} of the way."]
    for number, (name, alert) in enumerate(case.steps, 1):
        lines.append(f"Step {number}: {name}, evidenced by {alert.classification}")
    lines += [f"Objective in reach: {name}" for name in case.objectives]
    for expected in case.expected:
        if expected.prevented_by:
            lines.append(
                f"No longer expected: {expected.step.name}, since "
                f"{', '.join(expected.prevented_by)} takes away what it needs"
            )
        else:
            measures = f"; prevented by {', '.join(expected.measures)}" if expected.measures else ""
            lines.append(f"Expected next: {expected.step.name}{measures}")
    if case.ended:
        lines.append("Nothing more is expected of this scenario.")
    return lines
