"""What the reasoner concluded about steps of scenarios: the facts that cases are made of.

Bounded, oldest first. What is new goes out as rows for a store (`ScenarioMemory.changes`) and comes
back after a restart (`ScenarioMemory.restore`), so that a case goes on where it stood.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from agents.correlation.shares import Shares, owner_of
from ontology.records import Address, Alert

logger = logging.getLogger(__name__)

V = TypeVar("V")
Find = Callable[[str], Alert | None]
"""The remembered alert of an id."""


class Row(NamedTuple):
    """One conclusion, as it is stored."""

    kind: str
    """``pair``, ``objective``, ``candidate`` or ``case``."""
    subject: str
    """Id of an alert; of a pair the earlier one."""
    object: str
    """Id of the later alert of a pair, else empty."""
    value: str
    """JSON: of a pair {property: label of its rule}, of an alert the names of objectives in reach,
    the label and comment of the rule that calls for a block, or the name of its case."""


class ScenarioMemory:
    """About at most ``capacity`` pairs of verified alerts, a share of others (a pair is as
    unverified as its alerts), and as many alerts."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self.pairs: dict[tuple[str, str], dict[str, str]] = {}
        """(earlier, later) → property → label of the rule."""
        self._objectives: OrderedDict[str, set[str]] = OrderedDict()
        self._candidates: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._cases: OrderedDict[str, str] = OrderedDict()
        self._linked: dict[str, dict[str, None]] = {}
        """Alert → alerts that it is in a pair with."""
        self._source: dict[str, Address] = {}
        self._of_source: dict[Address, dict[str, None]] = {}
        self._changed: dict[tuple[str, str, str], None] = {}
        self._shares: Shares[tuple[str, str]] = Shares(capacity)
        """Of pairs."""

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def forgotten(self) -> int:
        """Pairs forgotten for want of room."""
        return self._shares.evicted.total()

    # ---- taking in

    def add_pair(self, earlier: str, later: str, property_: str, rule: str, find: Find) -> bool:
        """A step made another possible; True if that is new."""
        key = (earlier, later)
        known = self.pairs.setdefault(key, {})
        # One that may be forged is enough, or forged alerts beside a real one made any number.
        alerts = [alert for one in (later, earlier) if (alert := find(one)) is not None]
        unverified = [owner for alert in alerts if (owner := owner_of(alert)) is not None]
        self._shares.renew(key, unverified[0] if unverified else None)
        self._changed["pair", earlier, later] = None
        if property_ in known:
            return False
        known[property_] = rule
        for a, b in (key, key[::-1]):
            self._linked.setdefault(a, {})[b] = None
        self._forget()
        return True

    def add_objective(self, alert_id: str, name: str) -> bool:
        """An alert leads to an objective; True if that is new."""
        reached = self._objectives.get(alert_id, set())
        new = name not in reached
        self._put("objective", self._objectives, alert_id, reached | {name})
        return new

    def add_candidate(self, alert_id: str, rule: str, comment: str) -> bool:
        """A rule calls for a block of the alert's source; True if that is new."""
        new = alert_id not in self._candidates
        if new:
            self._put("candidate", self._candidates, alert_id, (rule, comment))
        else:
            self._candidates.move_to_end(alert_id)
        return new

    def add_source(self, alert: Alert) -> None:
        """Remember who an alert of some pair came from."""
        if alert.source is not None and alert.id in self._linked:
            self._source[alert.id] = alert.source
            self._of_source.setdefault(alert.source, {})[alert.id] = None

    def name_case(self, alert_ids: Iterable[str], default: str) -> str:
        """Give these alerts' case one name: the first that one of them had, so that it stays."""
        ids = list(alert_ids)
        name = next((self._cases[i] for i in ids if i in self._cases), default)
        for alert_id in ids:
            if self._cases.get(alert_id) != name:
                self._put("case", self._cases, alert_id, name)
            else:
                self._cases.move_to_end(alert_id)
        return name

    # ---- asking

    def linked(self, alert_id: str) -> Iterable[str]:
        """Alerts that this one is in a pair with."""
        return self._linked.get(alert_id, ())

    def objectives(self, alert_id: str) -> Iterable[str]:
        """Names of the objectives that this alert leads to."""
        return self._objectives.get(alert_id, ())

    def candidate(self, alert_id: str) -> tuple[str, str] | None:
        """(label, comment) of the rule that calls for a block of this alert's source, if one
        does."""
        return self._candidates.get(alert_id)

    def source_of(self, alert_id: str) -> Address | None:
        """Where an alert of a pair came from, as far as that was asked before."""
        return self._source.get(alert_id)

    def of_source(self, source: Address) -> Iterable[str]:
        """Alerts of pairs that came from there."""
        return self._of_source.get(source, ())

    # ---- to and from a store

    def changes(self) -> list[Row]:
        """Rows that are new or changed since the last call, each once."""
        rows = [row for key in self._changed if (row := self._row(*key)) is not None]
        self._changed.clear()
        return rows

    def restore(self, rows: Iterable[Row], find: Find) -> None:
        """Take rows back in, oldest first; a row that makes no sense is skipped."""
        for row in rows:
            try:
                self._restore(row, find)
            except (ValueError, TypeError, AttributeError) as e:
                logger.warning("a stored conclusion is unreadable: %s: %r", e, row)
        self._changed.clear()
        for alert_id in self._linked:
            alert = find(alert_id)
            if alert is not None:
                self.add_source(alert)

    def _restore(self, row: Row, find: Find) -> None:
        value: Any = json.loads(row.value)
        if row.kind == "pair":
            for property_, rule in value.items():
                self.add_pair(row.subject, row.object, str(property_), str(rule), find)
        elif row.kind == "objective":
            for name in value:
                self.add_objective(row.subject, str(name))
        elif row.kind == "candidate":
            rule, comment = value
            self.add_candidate(row.subject, str(rule), str(comment))
        elif row.kind == "case":
            self._put("case", self._cases, row.subject, str(value))
        else:
            raise ValueError("of no known kind")

    def _row(self, kind: str, subject: str, object_: str) -> Row | None:
        value: object
        if kind == "pair":
            value = self.pairs.get((subject, object_))
        elif kind == "objective":
            value = sorted(self._objectives.get(subject, ())) or None
        elif kind == "candidate":
            value = self._candidates.get(subject)
        else:
            value = self._cases.get(subject)
        return None if value is None else Row(kind, subject, object_, json.dumps(value))

    # ---- bounds

    def _put(self, kind: str, store: OrderedDict[str, V], alert_id: str, value: V) -> None:
        store[alert_id] = value
        store.move_to_end(alert_id)
        self._changed[kind, alert_id, ""] = None
        while len(store) > self._capacity:
            gone, _ = store.popitem(last=False)
            self._changed.pop((kind, gone, ""), None)

    def _forget(self) -> None:
        while (surplus := self._shares.excess()) is not None:
            self._shares.lighten(surplus)
            del self.pairs[surplus]
            a, b = surplus
            self._changed.pop(("pair", a, b), None)
            if (b, a) in self.pairs:
                continue  # they are still linked
            for one, other in ((a, b), (b, a)):
                linked = self._linked.get(one)
                if linked is not None:
                    linked.pop(other, None)
                    if not linked:
                        del self._linked[one]
                        self._forget_source(one)

    def _forget_source(self, alert_id: str) -> None:
        source = self._source.pop(alert_id, None)
        if source is not None:
            ids = self._of_source[source]
            ids.pop(alert_id, None)
            if not ids:
                del self._of_source[source]
