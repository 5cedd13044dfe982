"""Recent senior alerts, and which of them a new one can be joined with.

With a join table (`ontology.chainer.joins`) those are the ones that can draw a conclusion together
with it. Without one, those that share its source or target: rules join alerts that share a host.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from heapq import nlargest
from operator import attrgetter
from typing import NamedTuple

from agents.correlation.shares import Shares, owner_of
from ontology.chainer.joins import Company, Joins, Step
from ontology.chainer.patterns import Link
from ontology.chainer.states import SOURCE, TARGET
from ontology.reasoner.window import alert_hosts
from ontology.records import Address, Alert


class Allowance(NamedTuple):
    """How many alerts that a new one may be joined with in one way go along with it."""

    hosts: int
    """All of them if they name no more hosts than this, each the more of sources or targets."""
    newest: int
    """So many otherwise: the others would add the same conclusions again, but Pellet pairs them all
    with each other, with all their hosts, and chains the pairs."""


PAIRS = Allowance(hosts=16, newest=4)
CHAINS = Allowance(hosts=16, newest=2)
"""For conclusions that take three alerts or more."""
UNKNOWN = Allowance(hosts=16, newest=8)
"""Without a join table: most of them may be noise that can't meet anything."""
NAMING = 64
"""Alerts of one kind that a question about a host is answered with."""
_standing = attrgetter("standing")
_BOTH = frozenset((SOURCE, TARGET))
_PAIR = frozenset(((SOURCE, SOURCE), (TARGET, TARGET)))
_ELSEWHERE: tuple[Company, ...] = tuple(
    (Step(0, frozenset((0,)), frozenset(links), _BOTH, 0),)
    for links in (
        _PAIR,
        {(SOURCE, SOURCE)},
        {(TARGET, TARGET)},
        {(SOURCE, TARGET)},
        {(TARGET, SOURCE)},
    )
)
"""Without a join table: whatever shares a host, as one kind."""


class Member(NamedTuple):
    """An alert of a window."""

    alert: Alert
    kind: int
    """By the join table."""
    hosts: Mapping[str, frozenset[Address]]
    """By role."""
    free: frozenset[str]
    """Roles in which any host of it may matter, not only one that another alert shares."""
    ends: tuple[int, str]
    """(end_us, id)."""

    @property
    def standing(self) -> tuple[bool, tuple[int, str]]:
        """Of several that a new alert may be joined with, the highest go along: the newest, but
        none that may be forged before one that can't be."""
        return self.alert.verified_source, self.ends

    @property
    def weight(self) -> int:
        """How many hosts rules may choose from."""
        return max(map(len, self.hosts.values()))


@dataclass(slots=True)
class _Bucket:
    """Alerts of one kind that name one host in one role."""

    members: dict[str, Member]
    latest_us: int
    """None of them began later."""


class AlertMemory:
    """Senior alerts of the last ``horizon_us``: at most ``capacity`` verified ones, and a share of
    others (`agents.correlation.shares`).

    The alert that changed least recently is forgotten first; `evicted` counts those forgotten
    before their time, verified or not, `left_out` the ones that had no room beside a new alert.

    Args:
        joins: which alerts can meet in a rule; None if that is not known.
    """

    def __init__(self, *, horizon_us: int, capacity: int, joins: Joins | None = None) -> None:
        self._horizon_us = horizon_us
        self._shares: Shares[str] = Shares(capacity)
        self._joins = joins
        self._entries: OrderedDict[str, Member] = OrderedDict()
        """In order of change."""
        self._come: dict[str, int] = {}
        """When each came or changed last, by the clock of `put`."""
        self._places: dict[tuple[str, Address], dict[int, _Bucket]] = {}
        """(role, host) → kind → alerts."""
        self.left_out = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def evicted(self) -> Counter[bool]:
        """Alerts forgotten before their time, by whether they were verified."""
        return self._shares.evicted

    def set_joins(self, joins: Joins | None) -> None:
        """From now on choose by this table."""
        self._joins = joins
        known = [(entry.alert, self._come[i]) for i, entry in self._entries.items()]
        for alert, _ in known:
            self._shares.drop(alert.id)
        self._entries.clear()
        self._come.clear()
        self._places.clear()
        for alert, come_us in known:
            self.put(alert, come_us=come_us)

    def get(self, alert_id: str) -> Alert | None:
        """The alert of that id, as it is now."""
        entry = self._entries.get(alert_id)
        return None if entry is None else entry.alert

    def matters(self, alert: Alert) -> bool:
        """Can it take part in any rule?"""
        return self._joins is None or self._joins.kind(alert.classification) >= 0

    def member(self, alert: Alert) -> Member:
        """The alert as part of a window that is made for it."""
        sources, targets = alert_hosts(alert)
        kind = 0 if self._joins is None else self._joins.kind(alert.classification)
        free = _BOTH if self._joins is None else self._joins.free(kind)
        hosts = {SOURCE: sources, TARGET: targets}
        return Member(alert, kind, hosts, free, (alert.end_us, alert.id))

    def count_from(self, source: Address) -> int:
        """How many remembered alerts name this source."""
        return sum(len(b.members) for b in self._places.get((SOURCE, source), {}).values())

    def verified_from(self, source: Address) -> list[Alert]:
        """The newest alerts of this source that could not be forged, at most `NAMING` of each
        kind."""
        return [
            member.alert
            for bucket in self._places.get((SOURCE, source), {}).values()
            for member in nlargest(NAMING, bucket.members.values(), key=_standing)
            if member.alert.verified_source
        ]

    def naming(self, host: Address) -> list[Alert]:
        """The newest alerts that name a host as source or target, at most `NAMING` of each kind."""
        return [
            member.alert
            for role in _BOTH
            for bucket in self._places.get((role, host), {}).values()
            for member in nlargest(NAMING, bucket.members.values(), key=_standing)
        ]

    def has_verified(self, source: Address) -> bool:
        """Does a remembered alert name this source, and could not be forged?"""
        return any(
            member.alert.verified_source
            for bucket in self._places.get((SOURCE, source), {}).values()
            for member in bucket.members.values()
        )

    def put(
        self, alert: Alert, replaces: Iterable[str] = (), *, come_us: int | None = None
    ) -> None:
        """Remember an alert in place of its earlier self and of ``replaces`` (ids).

        Args:
            come_us: when it came, by a clock that nobody sets; None: as it ended, by the clock of
                the host that saw it.
        """
        for old in (alert.id, *replaces):
            self._remove(old)
        entry = self._entries[alert.id] = self.member(alert)
        self._come[alert.id] = alert.end_us if come_us is None else come_us
        for role, hosts in entry.hosts.items():
            for host in hosts:
                kinds = self._places.setdefault((role, host), {})
                bucket = kinds.get(entry.kind)
                if bucket is None:
                    bucket = kinds[entry.kind] = _Bucket({}, alert.begin_us)
                bucket.members[alert.id] = entry
                bucket.latest_us = max(bucket.latest_us, alert.begin_us)
        self._shares.renew(alert.id, owner_of(alert))
        while (surplus := self._shares.excess()) is not None:
            self._shares.lighten(surplus)
            self._remove(surplus)

    def prune(self, now_us: int) -> None:
        """Forget what came more than the horizon ago, by the clock of `put`."""

        # In order of change: stop at the first one that stays.
        def gone() -> list[str]:
            return [
                one for one in self._shares.oldest() if self._come[one] < now_us - self._horizon_us
            ]

        while old := gone():
            for one in old:
                self._remove(one)

    def context(self, alert: Alert, fresh: Set[str] = frozenset()) -> dict[str, Member]:
        """Remembered alerts that rules may join with this one, by id; most telling first.

        Args:
            fresh: ids of alerts that are asked about as well. Of those only the earlier ones go
                along: what takes both is concluded where the later one is asked about.
        """
        me = self.member(alert)
        chosen: dict[str, Member] = {}
        surplus: set[str] = set()
        for company in _ELSEWHERE if self._joins is None else self._joins.companies(me.kind):
            allowance = (
                CHAINS if len(company) > 1 else PAIRS if self._joins is not None else UNKNOWN
            )
            found = [[me]]
            for step in company:
                newest, more = self._meet(found[step.after], step, me, allowance, fresh)
                # It may stand in that place itself, too.
                found.append([*newest, me] if me.kind in step.kinds else newest)
                # Also if the company fails: with one of these it might not have.
                surplus.update(more)
                if not found[-1]:
                    break
            else:
                for step, entries in zip(company, found[1:], strict=True):
                    for entry in entries:
                        known = chosen.get(entry.alert.id)
                        free = step.free if known is None else known.free | step.free
                        chosen[entry.alert.id] = entry._replace(free=free)
        chosen.pop(alert.id, None)
        self.left_out += len(surplus - chosen.keys())
        return chosen

    def _meet(
        self,
        origins: Iterable[Member],
        step: Step,
        me: Member,
        allowance: Allowance,
        fresh: Set[str],
    ) -> tuple[list[Member], list[str]]:
        """Those that a step leads to, newest first: all or a few; and ids of the others."""
        found: dict[str, Member] = {}
        links = tuple(step.links)
        begin_us = me.alert.begin_us
        for hosts in {tuple(e.hosts[here] for here, _ in links): None for e in origins}:
            found |= self._sharing(links, hosts, step, begin_us)
        for alert_id in found.keys() & fresh:
            if (found[alert_id].alert.begin_us, alert_id) >= (begin_us, me.alert.id):
                del found[alert_id]
        found.pop(me.alert.id, None)
        if len(found) <= allowance.newest or (
            len(found) <= allowance.hosts
            and sum(e.weight for e in found.values()) <= allowance.hosts
        ):
            return sorted(found.values(), key=_standing, reverse=True), []
        newest = nlargest(allowance.newest, found.values(), key=_standing)
        return newest, list(found.keys() - {e.alert.id for e in newest})

    def _sharing(
        self,
        links: tuple[Link, ...],
        hosts: tuple[frozenset[Address], ...],
        step: Step,
        begin_us: int,
    ) -> dict[str, Member]:
        """Alerts that share one of the hosts, for every link."""
        # Start where the fewest are.
        buckets, first = min(
            (
                (self._buckets(there, of, step, begin_us), n)
                for n, ((_, there), of) in enumerate(zip(links, hosts, strict=True))
            ),
            key=lambda choice: sum(len(bucket.members) for bucket in choice[0]),
        )
        found: dict[str, Member] = {}
        for bucket in buckets:
            found |= bucket.members
        if step.order:
            found = {
                i: e for i, e in found.items() if (e.alert.begin_us - begin_us) * step.order >= 0
            }
        for n, (_, there) in enumerate(links):
            if n != first:
                of = hosts[n]
                found = {i: e for i, e in found.items() if not of.isdisjoint(e.hosts[there])}
        return found

    def _buckets(
        self, role: str, hosts: Iterable[Address], step: Step, begin_us: int
    ) -> list[_Bucket]:
        return [
            bucket
            for host in hosts
            for kind, bucket in self._places.get((role, host), {}).items()
            if kind in step.kinds and (step.order <= 0 or bucket.latest_us >= begin_us)
        ]

    def _remove(self, alert_id: str) -> None:
        entry = self._entries.pop(alert_id, None)
        if entry is None:
            return
        self._shares.drop(alert_id)
        del self._come[alert_id]
        for role, hosts in entry.hosts.items():
            for host in hosts:
                kinds = self._places[role, host]
                del kinds[entry.kind].members[alert_id]
                if not kinds[entry.kind].members:
                    del kinds[entry.kind]
                    if not kinds:
                        del self._places[role, host]
