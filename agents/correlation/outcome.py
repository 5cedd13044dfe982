"""What correlation says at once: an incident, the decisions that it leads to, and its evidence."""

from __future__ import annotations

from dataclasses import dataclass

from ontology.records import Alert, Decision, Incident


@dataclass(frozen=True, slots=True)
class Outcome:
    """One incident with everything that belongs to it."""

    incident: Incident
    decisions: tuple[Decision, ...] = ()
    """One for each source to block: a case may have several attackers."""
    alerts: tuple[Alert, ...] = ()
    """The senior alerts that the incident names, as far as they are still remembered."""
