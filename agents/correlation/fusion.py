"""Fusion: repeats of one finding become one "senior" alert (AFF's prose; its C code loses alerts).

Two alerts repeat each other if source, target, protocol, class (and, where the service matters,
the port) agree, both are verified or neither is, and less than a gap of time lies between them. What is fused depends on the alerts
alone, not on the order they come in.
"""

from __future__ import annotations

import uuid
from bisect import insort
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ontology.records import Address, Alert
from ontology.vocabulary import superclasses

DEFAULT_GAP_S = 60
DEFAULT_CAPACITY = 20_000
MAX_SAMPLE = 16
"""Addresses that an alert lists when there are several (`Alert.sources`)."""
_NAMESPACE = uuid.UUID("5b0f1f0a-2f0e-5d8e-9a53-7c3f8a1f6f11")

Key = tuple[Address | None, Address | None, int, str, int | None, bool]


@dataclass(frozen=True, slots=True)
class Fused:
    """One senior alert after something was fused into it."""

    alert: Alert
    replaces: tuple[str, ...]
    """Ids of senior alerts that it takes the place of (a late alert closed the gap, or is now the
    first one)."""
    changed: bool
    """False if it differs from before in nothing but ``end_us``, ``count`` and ``explanation``."""


@dataclass(slots=True)
class _Group:
    alert: Alert
    originals: int
    """How many alerts went into it."""
    first: tuple[int, str]
    """(begin_us, id) of the earliest original: gives the senior alert its id."""
    spoken: tuple[float, int, str]
    """(confidence, end_us, id) of the original whose explanation is kept."""


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
    # What is verified says nothing of what isn't: forged alerts must not become part of a real one.
    real = alert.verified_source
    return alert.source, alert.target, alert.protocol, alert.classification, port, real


def senior_id(first: Alert) -> str:
    """Id of the senior alert whose earliest original is ``first``."""
    # Not the original's own id: archive and ledger would hold two different records of one name.
    return f"urn:uuid:{uuid.uuid5(_NAMESPACE, first.id)}"


class Fuser:
    """Bounded memory of senior alerts that may still grow.

    Args:
        gap_s: alerts this many seconds apart (end to begin) are no longer repeats.
        capacity: senior alerts remembered; the least recently touched key is forgotten first.
    """

    def __init__(self, *, gap_s: int = DEFAULT_GAP_S, capacity: int = DEFAULT_CAPACITY) -> None:
        self._gap_us = gap_s * 1_000_000
        self._capacity = capacity
        self._rows: OrderedDict[Key, _Row] = OrderedDict()
        self._size = 0
        self.evicted = 0
        """Senior alerts forgotten for want of room (handed out before; they just grow no more)."""

    def __len__(self) -> int:
        return self._size

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
        for key in [key for key in self._rows if key[0] == source]:
            self._size -= len(self._rows.pop(key).groups)

    def _add(self, alert: Alert) -> tuple[_Group, list[_Group]]:
        key = fusion_key(alert)
        row = self._rows.setdefault(key, _Row())
        self._rows.move_to_end(key)
        merged = [g for g in row.groups if self._near(g.alert, alert)]
        group = _Group(
            alert=replace(alert, id=senior_id(alert), stage="senior"),
            originals=1,
            first=(alert.begin_us, alert.id),
            spoken=(alert.confidence, alert.end_us, alert.id),
        )
        for old in merged:
            group = _merge(group, old)
        row.groups = [g for g in row.groups if not any(g is old for old in merged)]
        insort(row.groups, group, key=lambda g: g.alert.begin_us)
        self._size += 1 - len(merged)
        return group, merged

    def _near(self, a: Alert, b: Alert) -> bool:
        return a.begin_us - b.end_us < self._gap_us and b.begin_us - a.end_us < self._gap_us

    def _evict(self) -> None:
        while self._size > self._capacity:
            key, row = next(iter(self._rows.items()))
            row.groups.pop(0)
            self._size -= 1
            self.evicted += 1
            if not row.groups:
                del self._rows[key]


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
    )
    return _Group(
        alert=alert,
        originals=a.originals + b.originals,
        first=earlier.first,
        spoken=spoken.spoken,
    )


def _sample(a: tuple[Address, ...], b: tuple[Address, ...]) -> tuple[Address, ...]:
    both = sorted(set(a) | set(b), key=lambda address: (address.version, int(address)))
    # The smallest ones, so that the sample does not depend on the order of merging.
    return tuple(both[:MAX_SAMPLE])


def _fused(group: _Group, before: list[_Group]) -> Fused:
    alert = group.alert
    replaces = tuple(sorted({old.alert.id for old in before} - {alert.id}))
    changed = True
    for old in before:
        if old.alert.id == alert.id and not replaces:
            same = replace(
                old.alert, end_us=alert.end_us, count=alert.count, explanation=alert.explanation
            )
            changed = same != alert
    return Fused(alert=alert, replaces=replaces, changed=changed)
