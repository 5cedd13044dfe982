"""Which alerts are reasoned about together: new ones of one source, each with its context."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from agents.correlation.memory import apart
from ontology.records import Address, Alert

WINDOW_ALERTS = 300
"""Alerts in one window: about 0.2 s in a warm worker. Most are context, which alerts of one source
share: windows of 150 held a third more alerts in all."""
SOURCE_ALERTS = 32
"""Alerts of one source in one window: rules pair them all, and chain the pairs. What
`AlertMemory.context` gives beside one alert fits."""

Packed = tuple[list[Alert], list[Alert]]
"""New alerts, and those that were reasoned about before."""


def pack(fresh: Sequence[Alert], context: Callable[[Alert], Iterable[Alert]]) -> list[Packed]:
    """Windows for new alerts, those of one source together.

    Args:
        context: what rules may join an alert with.
    """
    windows: list[Packed] = []
    part: dict[str, Alert] = {}
    beside: dict[str, Alert] = {}
    for alert in sorted(fresh, key=lambda a: (str(a.source), a.begin_us, a.id)):
        more = {a.id: a for a in context(alert)}
        if part and _too_many({**part, **beside, **more, alert.id: alert}, alert.source):
            windows.append(apart(part, beside))
            part, beside = {}, {}
        part[alert.id] = alert
        beside |= more
    if part:
        windows.append(apart(part, beside))
    return windows


def _too_many(alerts: dict[str, Alert], source: Address | None) -> bool:
    """For one window that an alert of this source shall join."""
    if len(alerts) > WINDOW_ALERTS:
        return True
    return sum(alert.source == source for alert in alerts.values()) > SOURCE_ALERTS
