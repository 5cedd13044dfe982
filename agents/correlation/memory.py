"""Recent senior alerts, and which of them a new one can be joined with.

Every rule joins alerts that share a host, so it is enough to reason about a new alert together
with the remembered ones that share its source or target: the result equals reasoning about all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

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
        pair = [i for i in same_source if i in same_target]
        rest = [i for i in same_source if i not in same_target]
        apart = [i for i in others if i not in same_source]
        chosen: list[Alert] = []
        for ids, limit in ((pair, SAME_PAIR), (rest, SAME_SOURCE), (apart, OTHERS)):
            found = [self._alerts[i] for i in ids if i != alert.id]
            found.sort(key=lambda a: (a.end_us, a.id), reverse=True)
            chosen += found[:limit]
            self.left_out += max(0, len(found) - limit)
        return chosen

    def _ids(
        self, index: dict[Address, dict[str, None]], hosts: frozenset[Address]
    ) -> dict[str, None]:
        return {i: None for host in hosts for i in index.get(host, ())}

    def _remove(self, alert_id: str) -> None:
        alert = self._alerts.pop(alert_id, None)
        if alert is None:
            return
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
