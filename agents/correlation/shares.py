"""Whose entry goes when a table of evidence is full: unverified evidence has a share of its own.

Whoever forges addresses makes as many unverified alerts as packets. So verified entries are only
ever pushed out by verified ones, and unverified entries by those of their own class and gateway
first: a flood of one class leaves the others where they are.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from ontology.records import Alert

UNVERIFIED = 5
"""One part in so many, beside the room for verified entries: 10,000 beside 50,000."""
EACH = 5
"""And of that one part in so many for each class and gateway: 2,000."""

Owner = tuple[str, str]
"""(class, analyzer) of unverified evidence; each gateway has one analyzer."""
K = TypeVar("K")
V = TypeVar("V")


def owner_of(alert: Alert) -> Owner | None:
    """Whose share an alert needs; None: it is verified."""
    return None if alert.verified_source else (alert.classification, alert.analyzer)


def owner_of_all(alerts: Iterable[Alert]) -> Owner | None:
    """Whose share a conclusion needs that rests on these: no unverified one's if one of them is
    verified."""
    owners = [owner_of(alert) for alert in alerts]
    return None if None in owners or not owners else owners[0]


class Shares(Generic[K]):
    """The order in which the keys of a table go; the table itself is its user's.

    Args:
        capacity: room for verified entries.
    """

    def __init__(self, capacity: int) -> None:
        self.verified = capacity
        self.unverified = max(1, capacity // UNVERIFIED)
        self.each = max(1, self.unverified // EACH)
        self._orders: dict[Owner | None, OrderedDict[K, int]] = {}
        """Owner → keys, the one renewed longest ago first → weight."""
        self._totals: Counter[Owner | None] = Counter()
        self._owners: dict[K, Owner | None] = {}
        self._grown: dict[Owner | None, None] = {}
        """Whose share may be too small since the last look."""
        self._unverified = 0
        self.evicted: Counter[bool] = Counter()
        """Weight that had to go: True of verified entries, False of others."""

    def renew(self, key: K, owner: Owner | None, weight: int = 1) -> None:
        """An entry is new or changed: it goes last."""
        if key in self._owners:
            self.drop(key)
        self._owners[key] = owner
        self._orders.setdefault(owner, OrderedDict())[key] = weight
        self._add(owner, weight)

    def lighten(self, key: K) -> None:
        """An entry lost one of its parts to `excess`; it keeps its place, or goes with the last."""
        owner = self._owners[key]
        order = self._orders[owner]
        self.evicted[owner is None] += 1
        if order[key] <= 1:
            self.drop(key)
            return
        order[key] -= 1
        self._add(owner, -1)

    def drop(self, key: K) -> None:
        """An entry is gone, if it was there."""
        if key not in self._owners:
            return
        owner = self._owners.pop(key)
        order = self._orders[owner]
        self._add(owner, -order.pop(key))
        if not order:
            del self._orders[owner], self._totals[owner]
            self._grown.pop(owner, None)

    def excess(self) -> K | None:
        """The entry that has to lose a part next, or None if all are within their shares. Its user
        takes the part away and calls `lighten`."""
        while self._grown:
            owner = next(iter(self._grown))
            if self._totals[owner] > (self.verified if owner is None else self.each):
                return next(iter(self._orders[owner]))
            del self._grown[owner]
        if self._unverified <= self.unverified:
            return None
        largest = max((o for o in self._orders if o is not None), key=self._totals.__getitem__)
        return next(iter(self._orders[largest]))

    def oldest(self) -> list[K]:
        """Of each owner the entry renewed longest ago."""
        return [next(iter(order)) for order in self._orders.values()]

    def _add(self, owner: Owner | None, weight: int) -> None:
        self._totals[owner] += weight
        if weight > 0:
            self._grown[owner] = None
        if owner is not None:
            self._unverified += weight


class SharedTable(Generic[K, V]):
    """A dictionary that forgets what was put into it longest ago, each in its share.

    Args:
        capacity: room for verified entries.
    """

    def __init__(self, capacity: int) -> None:
        self._values: dict[K, V] = {}
        self._shares: Shares[K] = Shares(capacity)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K, default: V) -> V:
        """What was put there last, or the default."""
        return self._values.get(key, default)

    def change(self, changed: Callable[[V], V]) -> None:
        """Replace every value; shares and order stay."""
        self._values = {key: changed(value) for key, value in self._values.items()}

    def put(self, key: K, value: V, owner: Owner | None) -> None:
        """Remember it, at the cost of others of its share."""
        self._values[key] = value
        self._shares.renew(key, owner)
        while (forgotten := self._shares.excess()) is not None:
            self._shares.lighten(forgotten)
            del self._values[forgotten]
