"""The paper's reliability and risk as plain arithmetic; ``paper.owl`` says the same as rules."""

from __future__ import annotations

from dataclasses import dataclass

ADDED_ALERTS = 10
"""Windowed mode: added to the alerts of the system, so that the first alerts do not rate 10."""
MINIMUM_SUPPORT = 3
"""Windowed mode: a host with fewer alerts has no reliability to speak of: 0."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How reliability is counted."""

    added: int
    support: int


MODES = {"paper": Mode(0, 1), "windowed": Mode(ADDED_ALERTS, MINIMUM_SUPPORT)}
"""``paper``: R = 10 |Ah| / |A| (Isaza et al.). ``windowed``: R = 10 |Ah| / (|A| + 10), from three
alerts on: not 10 for the first alert ever. Both count the alerts that correlation remembers."""


@dataclass(frozen=True, slots=True)
class Rating:
    """What an incident is rated at."""

    reliability: float
    """R, in [0, 10]."""
    risk: float
    """In [0, 10]."""
    asset_value: int
    """VA of the attacked host, 0 to 5."""
    sensor_priority: int
    """PS, 0 to 5."""

    def __str__(self) -> str:
        return (
            f"reliability {self.reliability:.1f}, risk {self.risk:.1f} "
            f"(VA {self.asset_value}, PS {self.sensor_priority})"
        )


def reliability(host_alerts: int, system_alerts: int, mode: Mode) -> float:
    """R of a host, in [0, 10]; 0 below the minimum support.

    Args:
        host_alerts: |Ah|, alerts that name the host as source.
        system_alerts: |A|, of all hosts.
    """
    if host_alerts < mode.support or system_alerts <= 0:
        return 0.0
    return 10.0 * host_alerts / (system_alerts + mode.added)


def risk(asset_value: int, sensor_priority: int, reliability: float) -> float:
    """``VA * PS * R / 25``, in [0, 10]."""
    return asset_value * sensor_priority * reliability / 25.0
