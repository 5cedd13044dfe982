"""What is known of one attack scenario in progress, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agents.correlation.outcome import Edge, Graph
from ontology.records import Address, Alert
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
    d3fend: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of a measure → its techniques of MITRE D3FEND."""

    def named(self, measures: tuple[str, ...]) -> str:
        """``block-source (D3FEND D3-ITF), isolate-host (D3FEND D3-OTF)``."""
        return ", ".join(
            f"{name} (D3FEND {' '.join(self.d3fend[name])})" if self.d3fend.get(name) else name
            for name in measures
        )


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
    """In reach: a step that leads there was seen, with all that it needs."""
    expected: tuple[Expected, ...]
    share: float
    """Steps seen (a doubtful one is half a step), of those seen, missed and still to come."""
    possible: tuple[str, ...] = ()
    """Objectives that are in reach if doubtful and missed steps were taken."""
    doubts: Mapping[str, str] = field(default_factory=dict)
    """Name of a step → why it is doubtful."""
    missed: tuple[str, ...] = ()
    """Steps that must have been taken, as later ones need them, but were not seen: ``a or b``."""
    models: Mapping[str, Model] = field(default_factory=dict)
    """Of the steps, by name."""
    victims: frozenset[Address] = frozenset()
    """Who is attacked or used, by the models."""
    attackers: frozenset[Address] = frozenset()
    """Who attacks, by the models that bind it to an end of their alerts."""
    doubtful: frozenset[str] = frozenset()
    """Ids of alerts that are evidence of doubtful steps only."""
    edges: tuple[Edge, ...] = ()
    """What joined its alerts, in order of time."""
    confidence: float | None = None
    """Mean over the steps of the surest alert of each; None: of the surest alert of all."""

    @property
    def graph(self) -> Graph:
        """What joined its alerts, and its steps."""
        return Graph(self.edges, tuple(name for name, _ in self.steps))

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
    """The case in lines: scenario, steps in order, what was missed, objectives, what may come."""
    lines = [f"Scenario {case.label}: {len(case.steps)} steps, {case.share:.0%} of the way."]
    for number, (name, alert) in enumerate(case.steps, 1):
        line = f"Step {number}: {name}, evidenced by {alert.classification}"
        model = case.models.get(name)
        if model is not None and model.techniques:
            line += f"; ATT&CK {' '.join((*model.tactics, *model.techniques))}"
        doubt = case.doubts.get(name)
        lines.append(f"{line}; doubtful: {doubt}" if doubt else line)
    lines += [f"Not seen: {name}, which a later step needs" for name in case.missed]
    lines += [f"Objective in reach: {name}" for name in case.objectives]
    lines += [f"Objective perhaps in reach: {name}" for name in case.possible]
    for expected in case.expected:
        if expected.prevented_by:
            lines.append(
                f"No longer expected: {expected.step.name}, since "
                f"{expected.named(expected.prevented_by)} takes away what it needs"
            )
        else:
            measures = expected.named(expected.measures)
            measures = f"; prevented by {measures}" if measures else ""
            lines.append(f"Expected next: {expected.step.name}{measures}")
    if case.ended:
        lines.append("Nothing more is expected of this scenario.")
    return lines
