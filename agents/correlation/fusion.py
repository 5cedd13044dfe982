"""Fusion: repeats of one finding become one "senior" alert (AFF's prose; its C code loses alerts).

Two alerts repeat each other if source, target, protocol, class (and, where the service matters,
the port) agree and less than a gap of time lies between them. What is fused depends on the alerts
alone, not on the order they come in.

Verified alerts and unverified ones are never fused: what was forged in a host's name must not add
to what that host did, nor borrow its proof. A finding that is verified only now takes the place of
its unverified self.
"""

from __future__ import annotations

import math
import uuid
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from agents.correlation.shares import Shares, owner_of
from ontology.host_event import MAX_EVENTS_OF_ALERT, account_names
from ontology.records import Address, Alert
from ontology.taxonomy import superclasses
from ontology.unchecked_copy import unchecked_copy

DEFAULT_GAP_S = 60
DEFAULT_CAPACITY = 20_000
MAX_SAMPLE = 16
"""Addresses that an alert lists when there are several (`Alert.sources`)."""
_BEYOND_V4 = 1 << 32
_STEPS = 10
_FAR = 1000.0
_NAMESPACE = uuid.UUID("5b0f1f0a-2f0e-5d8e-9a53-7c3f8a1f6f11")

Key = tuple[int, int, int, str, int | None, bool]
"""Hosts as numbers, see `_number`."""


@dataclass(frozen=True, slots=True)
class Fused:
    """One senior alert after something was fused into it."""

    alert: Alert
    replaces: tuple[str, ...]
    """Ids of senior alerts that it takes the place of (a late alert closed the gap, or is now the
    first one)."""
    changed: bool
    """False if it differs from before in nothing but ``end_us``, ``count``, ``explanation``,
    ``host_events``, ``users``, ``severity`` and less than a tenth of ``cluster_distance``."""


@dataclass(slots=True)
class _Group:
    alert: Alert
    originals: int
    """How many alerts went into it."""
    first: tuple[int, str]
    """(begin_us, id) of the earliest original: gives the senior alert its id."""
    spoken: tuple[float, int, str]
    """(confidence, end_us, id) of the original whose explanation is kept."""
    only: str | None
    """Id of the original if it is all one finding, grown; None if several went into it."""


@dataclass(slots=True)
class _Row:
    """Groups of one key, apart from each other by the gap or more; in order of time."""

    groups: list[_Group] = field(default_factory=list)


def fusion_key(alert: Alert) -> Key:
    """What must agree for two alerts to be repeats."""
    ancestry = (alert.classification, *superclasses(alert.classification))
    # A scan or flood touches many ports, and which one its alert names is chance.
    ported = "Scan" not in ancestry and "Flood" not in ancestry
    port = alert.target_port if ported else None
    verified = alert.verified_source
    hosts = _number(alert.source), _number(alert.target)
    return *hosts, alert.protocol, alert.classification, port, verified


def _number(address: Address | None) -> int:
    """Another one for every address: numbers are hashed twenty times as fast."""
    if address is None:
        return -1
    return int(address) if address.version == 4 else int(address) + _BEYOND_V4


def senior_id(first: Alert) -> str:
    """Id of the senior alert whose earliest original is ``first``."""
    # Not the original's own id: archive and ledger would hold two different records of one name.
    name = first.id if first.verified_source else f"{first.id} unverified"
    return f"urn:uuid:{uuid.uuid5(_NAMESPACE, name)}"


class Fuser:
    """Bounded memory of senior alerts that may still grow.

    Args:
        gap_s: alerts this many seconds apart (end to begin) are no longer repeats.
        capacity: verified senior alerts remembered, and a share of unverified ones; of each the
            least recently touched key is forgotten first.
    """

    def __init__(self, *, gap_s: int = DEFAULT_GAP_S, capacity: int = DEFAULT_CAPACITY) -> None:
        self._gap_us = gap_s * 1_000_000
        self._rows: dict[Key, _Row] = {}
        self._of_source: dict[int, set[Key]] = {}
        self._shares: Shares[Key] = Shares(capacity)
        self._size = 0
        self.formed = 0
        """Senior alerts so far, each once, whatever was fused into it later."""

    def __len__(self) -> int:
        return self._size

    @property
    def evicted(self) -> int:
        """Senior alerts forgotten for want of room (handed out before; they just grow no more)."""
        return self._shares.evicted.total()

    def add(self, alerts: Iterable[Alert]) -> list[Fused]:
        """Fuse alerts in; every senior alert that grew, once, in order of its begin."""
        touched: dict[int, tuple[_Group, list[_Group]]] = {}
        for alert in alerts:
            group, merged = self._add(alert)
            before: list[_Group] = []
            for old in merged:
                # Groups made earlier in this very call were never handed out.
                known = touched.pop(id(old), None)
                before += known[1] if known is not None else [old]
            touched[id(group)] = (group, before)
        self._evict()
        fused = [_fused(group, before) for group, before in touched.values()]
        return sorted(fused, key=lambda f: (f.alert.begin_us, f.alert.id))

    def close(self, source: Address) -> None:
        """Start anew with this source: its next alert is a new finding, not a repeat."""
        for key in list(self._of_source.get(_number(source), ())):
            self._size -= len(self._rows[key].groups)
            self._drop(key)

    def _add(self, alert: Alert) -> tuple[_Group, list[_Group]]:
        key = fusion_key(alert)
        superseded = self._superseded(alert, key) if alert.verified_source else []
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _Row()
            self._of_source.setdefault(key[0], set()).add(key)
        merged = [g for g in row.groups if self._near(g.alert, alert)]
        group = _Group(
            alert=unchecked_copy(alert, id=senior_id(alert), stage="senior"),
            originals=1,
            first=(alert.begin_us, alert.id),
            spoken=(alert.confidence, alert.end_us, alert.id),
            only=alert.id,
        )
        for old in merged:
            group = _merge(group, old)
        row.groups = [g for g in row.groups if not any(g is old for old in merged)]
        insort(row.groups, group, key=lambda g: g.alert.begin_us)
        self._size += 1 - len(merged)
        self.formed += 1 - len(merged) - len(superseded)
        self._shares.renew(key, owner_of(alert), len(row.groups))
        return group, [*merged, *superseded]

    def _superseded(self, alert: Alert, key: Key) -> list[_Group]:
        """The unverified self of a finding that is verified now; it is no more."""
        key = (*key[:-1], False)
        row = self._rows.get(key)
        found = [] if row is None else [g for g in row.groups if g.only == alert.id]
        if row is not None and found:
            row.groups = [g for g in row.groups if g.only != alert.id]
            self._size -= len(found)
            if row.groups:
                self._shares.renew(key, owner_of(found[0].alert), len(row.groups))
            else:
                self._drop(key)
        return found

    def _drop(self, key: Key) -> None:
        del self._rows[key]
        self._shares.drop(key)
        self._of_source[key[0]].discard(key)
        if not self._of_source[key[0]]:
            del self._of_source[key[0]]

    def _near(self, a: Alert, b: Alert) -> bool:
        return a.begin_us - b.end_us < self._gap_us and b.begin_us - a.end_us < self._gap_us

    def _evict(self) -> None:
        while (key := self._shares.excess()) is not None:
            self._shares.lighten(key)
            groups = self._rows[key].groups
            groups.pop(0)
            self._size -= 1
            if not groups:
                self._drop(key)


def _merge(a: _Group, b: _Group) -> _Group:
    earlier, later = (a, b) if a.first <= b.first else (b, a)
    spoken = max(a, b, key=lambda g: g.spoken)
    x, y = earlier.alert, later.alert
    sources, targets = _sample(x.sources, y.sources), _sample(x.targets, y.targets)
    alert = replace(
        x,
        sources=sources,
        targets=targets,
        source_count=max(x.source_count, y.source_count, len(sources)),
        target_count=max(x.target_count, y.target_count, len(targets)),
        begin_us=min(x.begin_us, y.begin_us),
        end_us=max(x.end_us, y.end_us),
        count=x.count + y.count,
        confidence=max(x.confidence, y.confidence),
        explanation=spoken.alert.explanation,
        host_events=tuple(sorted({*x.host_events, *y.host_events})[:MAX_EVENTS_OF_ALERT]),
        signatures=_names(x.signatures, y.signatures),
        cves=_names(x.cves, y.cves),
        affected_services=_names(x.affected_services, y.affected_services),
        affected_systems=_names(x.affected_systems, y.affected_systems),
        severity=max((s for s in (x.severity, y.severity) if s is not None), default=None),
        users=account_names((*x.users, *y.users)),
        **_cluster(spoken.alert, x, y),
    )
    return _Group(
        alert=alert,
        originals=a.originals + b.originals,
        first=earlier.first,
        spoken=spoken.spoken,
        only=a.only if a.only == b.only else None,
    )


def _cluster(*alerts: Alert) -> dict[str, Any]:
    """Of the first that names one: the one whose explanation is kept, if it does. The distance is
    the least that was told of it, so that it changes seldom."""
    named = next((alert for alert in alerts if alert.cluster_number is not None), alerts[0])
    told = (a.cluster_distance for a in alerts if a.cluster_number == named.cluster_number)
    return {
        "cluster_number": named.cluster_number,
        "cluster_name": named.cluster_name,
        "cluster_distance": min((d for d in told if d is not None), default=None),
    }


def _step(distance: float | None) -> float | None:
    """In which tenth: whoever sends the packets chooses the distance, and each other one would be
    another question to the reasoner."""
    return distance if distance is None else math.ceil(min(distance, _FAR) * _STEPS)


def _sample(a: tuple[Address, ...], b: tuple[Address, ...]) -> tuple[Address, ...]:
    both = sorted(set(a) | set(b), key=lambda address: (address.version, int(address)))
    # The smallest ones, so that the sample does not depend on the order of merging.
    return tuple(both[:MAX_SAMPLE])


def _names(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*a, *b})[:MAX_SAMPLE])


def _fused(group: _Group, before: list[_Group]) -> Fused:
    alert = group.alert
    if not before:
        return Fused(alert=alert, replaces=(), changed=True)
    replaces = tuple(sorted({old.alert.id for old in before} - {alert.id}))
    changed = True
    for old in before:
        if old.alert.id == alert.id and not replaces:
            same = replace(
                old.alert,
                end_us=alert.end_us,
                count=alert.count,
                explanation=alert.explanation,
                host_events=alert.host_events,
                severity=alert.severity,
                users=alert.users,
                cluster_distance=alert.cluster_distance,
            )
            steps = {_step(old.alert.cluster_distance), _step(alert.cluster_distance)}
            changed = same != alert or len(steps) > 1
    return Fused(alert=alert, replaces=replaces, changed=changed)
