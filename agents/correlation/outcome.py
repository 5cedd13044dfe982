"""What correlation says at once: an incident, the decisions that it leads to, and its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ontology.records import Alert, Decision, Incident


class Edge(NamedTuple):
    """One alert of an incident follows from, or goes with, another."""

    earlier: str
    """Ids of senior alerts."""
    later: str
    rule: str
    """Label of the SWRL rule that joined them."""


class Graph(NamedTuple):
    """How an incident holds together."""

    edges: tuple[Edge, ...]
    phases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One incident with everything that belongs to it."""

    incident: Incident
    decisions: tuple[Decision, ...] = ()
    """One for each source to block: a case may have several attackers."""
    alerts: tuple[Alert, ...] = ()
    """The senior alerts that the incident names, as far as they are still remembered."""
    edges: tuple[Edge, ...] = ()
    """The graph of the incident: what joined which of its alerts; () if it rests on single ones."""
    phases: tuple[str, ...] = ()
    """What happened, in order: steps of a scenario's models, else classes of alerts."""
