"""Recent senior alerts, and which of them a new one can be joined with.

Every rule joins alerts that share a host, so it is enough to reason about a new alert together
with the remembered ones that share its source or target: the result equals reasoning about all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from heapq import nlargest

from ontology.reasoner.window import alert_hosts
from ontology.records import Address, Alert

SAME_PAIR = 8
"""Alerts of the same source on the same target that go along with a new one: newest first."""
SAME_SOURCE = 12
OTHERS = 8
"""Alerts that share a host in another way (same target, or one's target is the other's source)."""


class AlertMemory:
    """Senior alerts of the last ``horizon_us``, at most ``capacity``.

    The alert that changed least recently is forgotten first; `evicted` counts those forgotten
    before their time, `left_out` the ones that had no room beside a new alert.
    """

    def __init__(self, *, horizon_us: int, capacity: int) -> None:
        self._horizon_us = horizon_us
        self._capacity = capacity
        self._alerts: OrderedDict[str, Alert] = OrderedDict()
        self._ends: dict[str, tuple[int, str]] = {}
        """Id → (end_us, id)."""
        self._by_source: dict[Address, dict[str, None]] = {}
        self._by_target: dict[Address, dict[str, None]] = {}
        self.evicted = 0
        self.left_out = 0

    def __len__(self) -> int:
        return len(self._alerts)

    def get(self, alert_id: str) -> Alert | None:
        """The alert of that id, as it is now."""
        return self._alerts.get(alert_id)

    def count_from(self, source: Address) -> int:
        """How many remembered alerts name this source."""
        return len(self._by_source.get(source, ()))

    def put(self, alert: Alert, replaces: Iterable[str] = ()) -> None:
        """Remember an alert in place of its earlier self and of ``replaces`` (ids)."""
        for old in (alert.id, *replaces):
            self._remove(old)
        self._alerts[alert.id] = alert
        self._ends[alert.id] = (alert.end_us, alert.id)
        sources, targets = alert_hosts(alert)
        for index, hosts in ((self._by_source, sources), (self._by_target, targets)):
            for host in hosts:
                index.setdefault(host, {})[alert.id] = None
        while len(self._alerts) > self._capacity:
            self._remove(next(iter(self._alerts)))
            self.evicted += 1

    def prune(self, now_us: int) -> None:
        """Forget what ended more than the horizon ago."""
        # In order of change, and what changed late ends late: stop at the first one that stays.
        while self._alerts:
            oldest = next(iter(self._alerts.values()))
            if oldest.end_us >= now_us - self._horizon_us:
                break
            self._remove(oldest.id)

    def context(self, alert: Alert) -> list[Alert]:
        """Remembered alerts that rules may join with this one, most telling first; bounded."""
        sources, targets = alert_hosts(alert)
        same_source = self._ids(self._by_source, sources)
        same_target = self._ids(self._by_target, targets)
        others = {
            **same_target,
            **self._ids(self._by_target, sources),
            **self._ids(self._by_source, targets),
        }
        for ids in (same_source, same_target, others):
            ids.pop(alert.id, None)
        chosen: list[Alert] = []
        # A busy host has thousands: sets and a heap of what was made ready in `put`.
        for found, limit in (
            (same_source.keys() & same_target.keys(), SAME_PAIR),
            (same_source.keys() - same_target.keys(), SAME_SOURCE),
            (others.keys() - same_source.keys(), OTHERS),
        ):
            newest = nlargest(limit, map(self._ends.__getitem__, found))
            chosen += [self._alerts[i] for _, i in newest]
            self.left_out += len(found) - len(newest)
        return chosen

    def _ids(
        self, index: dict[Address, dict[str, None]], hosts: frozenset[Address]
    ) -> dict[str, None]:
        found: dict[str, None] = {}
        for host in hosts:
            found |= index.get(host, {})
        return found

    def _remove(self, alert_id: str) -> None:
        alert = self._alerts.pop(alert_id, None)
        if alert is None:
            return
        del self._ends[alert_id]
        sources, targets = alert_hosts(alert)
        for index, hosts in ((self._by_source, sources), (self._by_target, targets)):
            for host in hosts:
                ids = index.get(host)
                if ids is not None:
                    ids.pop(alert_id, None)
                    if not ids:
                        del index[host]


def apart(part: dict[str, Alert], context: dict[str, Alert]) -> tuple[list[Alert], list[Alert]]:
    """Alerts of a window, and those beside them that are not among them; both by id."""
    return list(part.values()), [a for a in context.values() if a.id not in part]
