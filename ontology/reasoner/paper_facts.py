"""What the rules of ``rules/paper.owl`` need besides a window's alerts: counts, ratings, states.

Asserted only where those rules are in force, and counts only of alerts that are rated: a count of
each host would make every alert matter to a rule, so that none were spared Pellet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ontology.reasoner.window import Window, alert_hosts, host_iri
from ontology.records import Address, Alert, HostProfile
from ontology.vocabulary import HOST_PREFIX, IDPS
from ontology.window_terms import CONCERNS
from ontology.window_terms import PAPER as PAPER

_STATE = "urn:ontoidps:state:"
_TYPE = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>"
_XSD = "http://www.w3.org/2001/XMLSchema#"


@dataclass(frozen=True, slots=True)
class Counts:
    """What is known when a window is made."""

    host_alerts: Callable[[Address], int]
    """|Ah|: alerts that name the host as source."""
    system_alerts: int
    """|A|."""
    added: int
    """Added to |A|; 0 in the paper's own formula."""
    support: int
    """Hosts with fewer alerts get no counts, and so no reliability."""
    sensor_priority: Callable[[str], int]
    """PS by the sensor's name, 0 to 5."""
    minimum_risk: float


def with_counts(
    window: Window,
    alerts: Iterable[Alert],
    rated: Iterable[Alert],
    hosts: Mapping[Address, HostProfile],
    counts: Counts,
) -> Window:
    """The window of these alerts with their states, and with what the risk of those that are rated
    follows from."""
    lines = {line for alert in alerts for line in _states(alert)}
    sources: set[Address] = set()
    targets: set[Address] = set()
    for alert in rated:
        lines.add(_value(alert.id, "sensorRating", counts.sensor_priority(alert.sensor)))
        of, on = alert_hosts(alert)
        sources |= of
        targets |= on
    for host in sources:
        count = counts.host_alerts(host)
        if count >= counts.support and counts.system_alerts > 0:
            iri = host_iri(host)
            lines |= {
                _value(iri, "hostAlertCount", count),
                _value(iri, "systemAlertCount", counts.system_alerts),
                _value(iri, "addedAlertCount", counts.added),
            }
    for host in targets:
        profile = hosts.get(host)
        if profile is not None:
            iri = host_iri(host)
            lines.add(_value(iri, "assetRating", profile.asset_value))
            # A decimal, as what Pellet divides is.
            lines.add(_value(iri, "minimumRisk", f"{counts.minimum_risk:.6f}", "decimal"))
    more = "".join(f"{line}\n" for line in sorted(lines))
    return Window(window.ntriples + more.encode("ascii"), window.alerts)


def _states(alert: Alert) -> set[str]:
    """The takeover of one host by one source: its state, and the two conditions of that."""
    if alert.source is None or alert.target is None:
        return set()
    pair = [host_iri(a).removeprefix(HOST_PREFIX) for a in (alert.source, alert.target)]
    state = _STATE + "/".join(pair)
    lines = {
        f"<{state}> {_TYPE} <{PAPER}Takeover> .",
        f"<{alert.id}> <{CONCERNS}> <{state}> .",
    }
    for name in ("Searched", "Exploited"):
        condition = f"{state}/{name}"
        lines |= {
            f"<{condition}> {_TYPE} <{PAPER}{name}> .",
            f"<{state}> <{IDPS.preconditionIntrusionState}> <{condition}> .",
        }
    return lines


def _value(subject: str, name: str, value: int | str, datatype: str = "integer") -> str:
    return f'<{subject}> <{PAPER}{name}> "{value}"^^<{_XSD}{datatype}> .'
