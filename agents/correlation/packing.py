"""Which alerts are reasoned about together: new ones, each with its context, and of their hosts
those that can matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import groupby

from agents.correlation.memory import AlertMemory, Member
from ontology.chainer.joins import Joins
from ontology.chainer.states import SOURCE, TARGET
from ontology.reasoner.window import Window
from ontology.records import Address, Alert

WINDOW_ALERTS = 300
"""Alerts in one window: about 0.2 s in a warm worker."""
SOURCE_ALERTS = 32
"""New alerts of one source in one window, with their context: rules pair them all, and chain the
pairs. Of one alert with more context than that, the least telling ones are left out."""
PAIRED_HOSTS = 24
"""Hosts of all scans (say) of one source in one window: Pellet keeps each pair of them, with its
reasons, 0.2 ms each."""
ANY_HOSTS = 2
"""Hosts of each class that stand for all where rules speak of any: two, as they may have to
differ."""

Hosts = dict[str, set[Address]]
"""By role."""


@dataclass(slots=True)
class Packed:
    """One window."""

    fresh: dict[str, Member] = field(default_factory=dict)
    """By id, as below."""
    context: dict[str, Member] = field(default_factory=dict)
    """Those that were reasoned about before."""
    needed: dict[str, Hosts] = field(default_factory=dict)
    """Of those with several, the hosts that can matter."""
    written: Window | None = None
    """What the reasoner gets, as soon as it is made."""

    def __len__(self) -> int:
        return len(self.fresh) + len(self.context)


class Packer:
    """Makes windows.

    Args:
        memory: where the context of new alerts comes from.
        joins: which alerts can meet in a rule; None if that is not known.
        classes_of: what is said of a host: those of `Joins.host_classes` that it belongs to.
        riskiest: source and target that make an alert risky; None if nothing does.
    """

    def __init__(
        self,
        memory: AlertMemory,
        joins: Joins | None,
        classes_of: Callable[[Address], frozenset[str]],
        riskiest: Callable[[Alert], tuple[Address, Address] | None] = lambda alert: None,
    ) -> None:
        self._memory = memory
        self._joins = joins
        self._classes_of = classes_of
        self._riskiest = riskiest
        self.left_out = 0
        """Alerts of a context for which even a window of its own had no room."""

    def pack(self, fresh: Iterable[Alert]) -> list[Packed]:
        """Windows for new alerts, each with its context; those of verified alerts first."""
        fresh = list(fresh)
        ids = {alert.id for alert in fresh}
        # Those that may be forged have windows of their own, after the others: they delay none,
        # and what the reasoner can't digest of them takes nothing along.
        return [
            window
            for verified in (True, False)
            for window in self._windows([a for a in fresh if a.verified_source == verified], ids)
        ]

    def _windows(self, fresh: Iterable[Alert], ids: Set[str]) -> list[Packed]:
        windows: list[Packed] = []
        # Of one source, those with one target together: they share their context.
        ordered = sorted(fresh, key=lambda a: (str(a.source), str(a.target), a.begin_us, a.id))
        for source, group in groupby(ordered, key=lambda alert: alert.source):
            place = 0
            for part in self._split(group, source, ids):
                # Sources apart from each other share windows; parts of one source don't.
                while place < len(windows) and len(windows[place]) + len(part) > WINDOW_ALERTS:
                    place += 1
                if place == len(windows):
                    windows.append(part)
                else:
                    windows[place] = _joined(windows[place], part)
                place += 1
        return windows

    def alerts(self, window: Packed) -> list[Alert]:
        """All of a window, each with the hosts that can matter in it."""
        return [
            _with_hosts(member.alert, window.needed[alert_id])
            if alert_id in window.needed
            else member.alert
            for alert_id, member in (*window.fresh.items(), *window.context.items())
        ]

    def _split(
        self, group: Iterable[Alert], source: Address | None, fresh: Set[str]
    ) -> Iterator[Packed]:
        """Alerts of one source in parts that Pellet has room for."""
        part = Packed()
        for alert in group:
            one = Packed({alert.id: self._memory.member(alert)}, self._memory.context(alert, fresh))
            more = self._with_needs(_joined(part, one))
            if part.fresh and self._too_many(more, source):
                yield part
                more = self._with_needs(one)
            while more.context and self._too_many(more, source):
                # The least telling ones.
                for alert_id in list(more.context)[len(more.context) // 2 :]:
                    del more.context[alert_id]
                    self.left_out += 1
                more = self._with_needs(more)
            part = more
        yield part

    def _too_many(self, part: Packed, source: Address | None) -> bool:
        """Of one source, for one window."""
        members = (*part.fresh.items(), *part.context.items())
        if self._joins is None:
            return sum(member.alert.source == source for _, member in members) > SOURCE_ALERTS
        if len(members) > SOURCE_ALERTS:
            return True
        paired = (
            max(map(len, part.needed.get(alert_id, member.hosts).values()))
            for alert_id, member in members
            if member.kind in self._joins.multiplied
        )
        return sum(paired) > PAIRED_HOSTS

    def _with_needs(self, part: Packed) -> Packed:
        if self._joins is None:
            return part
        members = [*part.fresh.values(), *part.context.values()]
        index: dict[tuple[str, Address], list[Member]] = {}
        for member in members:
            for role, hosts in member.hosts.items():
                for host in hosts:
                    index.setdefault((role, host), []).append(member)
        needed = {
            member.alert.id: self._needed(member, index, self._joins)
            for member in members
            if member.weight > 1
        }
        return Packed(part.fresh, part.context, needed)

    def _needed(
        self, member: Member, index: Mapping[tuple[str, Address], list[Member]], joins: Joins
    ) -> Hosts:
        """Those that a rule may tie another alert of the window to, and a few where
        any will do."""
        needed = _shared(member, index, joins)
        for role in joins.whole(member.kind):
            needed[role] |= member.hosts[role]
        for role, host in zip((SOURCE, TARGET), self._riskiest(member.alert) or (), strict=False):
            needed[role].add(host)
        for role in member.free:
            missing = dict.fromkeys((*joins.host_classes, ""), ANY_HOSTS)
            # Shared ones count: which host a rule speaks of is open.
            chief = member.alert.source if role == SOURCE else member.alert.target
            for host in sorted(
                member.hosts[role], key=lambda h: (h not in needed[role], h != chief, int(h))
            ):
                classes = {*self._classes_of(host), ""}
                if any(missing.get(name, 0) > 0 for name in classes):
                    needed[role].add(host)
                    for name in classes & missing.keys():
                        missing[name] -= 1
        return needed


def _shared(
    member: Member, index: Mapping[tuple[str, Address], list[Member]], joins: Joins
) -> Hosts:
    present = {other.kind for others in index.values() for other in others}
    shared: Hosts = {SOURCE: set(), TARGET: set()}
    for links, kinds, more in joins.edges(member.kind):
        if any(present.isdisjoint(one) for one in more):
            continue
        # Look where the fewest are.
        first, there = min(links, key=lambda link: len(member.hosts[link[0]]))
        for host in member.hosts[first]:
            for other in index.get((there, host), ()):
                if other is member or other.kind not in kinds:
                    continue
                common = [(a, member.hosts[a] & other.hosts[b]) for a, b in links]
                if all(hosts for _, hosts in common):
                    for role, hosts in common:
                        shared[role] |= hosts
    return shared


def _with_hosts(alert: Alert, needed: Hosts) -> Alert:
    """With these alone in its lists."""
    return replace(
        alert,
        sources=tuple(host for host in alert.sources if host in needed[SOURCE]),
        targets=tuple(host for host in alert.targets if host in needed[TARGET]),
    )


def _joined(one: Packed, other: Packed) -> Packed:
    fresh = one.fresh | other.fresh
    context: dict[str, Member] = {}
    for alert_id, member in (*one.context.items(), *other.context.items()):
        known = context.get(alert_id)
        if alert_id not in fresh:
            free = member.free if known is None else known.free | member.free
            context[alert_id] = member._replace(free=free)
    needed = dict(one.needed)
    for alert_id, hosts in other.needed.items():
        mine = needed.get(alert_id, {SOURCE: set(), TARGET: set()})
        needed[alert_id] = {role: mine[role] | hosts[role] for role in hosts}
    return Packed(fresh, context, needed)
