"""Sources that proved nothing are counted in crowds: many unverified alerts become one that counts.

Whoever forges addresses makes as many sources as packets. Of each class so many unverified alerts
are passed on one by one in a while (`INDIVIDUALS` in `PERIOD_US`); those beyond join the crowd of
their class, target and protocol, which is one alert without a source of its own: how many there
were, a sample of them, when it began and went on. Verified alerts never count and never wait.

A source that has proved something once is nobody's invention: its unverified alerts have a budget
of their own (`OWN_ALERTS`), and those of it that had joined a crowd are passed on as well, so that
the scan before the guessing is still there. They stay unverified.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agents.analyzer.bounded_table import Table
from ontology.addresses import packed, to_address
from ontology.records import Address, Alert

SECOND = 1_000_000
PERIOD_US = 600 * SECOND
INDIVIDUALS = 64
"""Unverified alerts of one class that are passed on by themselves in a period, updates apart: more
than anybody reads, and than a honeynet without a flood brings about."""
OWN_ALERTS = 16
"""Unverified alerts of one source that has proved something, in a period: of all classes and
targets together."""
MAX_PROVEN = 10_000
"""Sources remembered that proved something."""
MAX_HELD = 512
"""Alerts of each class in crowds, kept in case that their source proves something."""
MAX_COUNTED = 16_384
"""Alerts in crowds whose count is remembered; what is forgotten and grows is counted anew."""
MAX_TARGETS = 32
"""Targets (and protocols) of one class with a crowd of their own; those beyond share one."""
MAX_CROWDS = 1024
MAX_CLASSES = 256
"""Of unverified alerts, for plug-ins and other tools can name any."""
CONTENTS = 100_000
"""Sources and targets that all crowds hold together, about 100 bytes each."""
SAMPLE = 16
"""As in `Alert.sources`: the first ones, which later ones can't push out."""
IDLE_US = 600 * SECOND
"""After so long without a source the next one begins a crowd of its own."""
UPDATE_US = 60 * SECOND
"""A crowd that grows is reported again after this long, or when it has doubled."""
_NAMESPACE = uuid.UUID("5f6f1f0b-7c0e-5b1f-9a53-0d6b1f3c9e21")

Place = tuple[str, Address | None, int | None]
"""(class, target, protocol); the last two None where the targets of a class are too many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What joins a crowd at once."""

    sources: Sequence[bytes]
    targets: Sequence[bytes]
    least_sources: int = 0
    """Where more were seen than are named."""
    least_targets: int = 0
    begin_us: int
    end_us: int
    count: int
    confidence: float
    protocol: int
    sensor: str


@dataclass(slots=True)
class _Crowd:
    """Sources that did one thing to one target and proved nothing."""

    begin_us: int = 0
    end_us: int = 0
    count: int = 0
    confidence: float = 0.0
    protocol: int = 0
    """Of the first one."""
    sensor: str = ""
    sources: set[bytes] = field(default_factory=set)
    """As `_raw` has them; targets too."""
    targets: set[bytes] = field(default_factory=set)
    least: tuple[int, int] = (0, 0)
    """Sources and targets that there were when some were forgotten."""
    sample: dict[bytes, None] = field(default_factory=dict)
    reported: tuple[int, int] | None = None
    """(sources, end) when it was last reported."""

    def add(self, part: _Part) -> None:
        if not self.count:
            self.begin_us, self.protocol = part.begin_us, part.protocol
        self.sensor = part.sensor
        self.end_us = max(self.end_us, part.end_us)
        self.count += part.count
        self.confidence = max(self.confidence, part.confidence)
        self.sources.update(part.sources)
        self.targets.update(part.targets)
        self.least = (
            max(self.least[0], part.least_sources),
            max(self.least[1], part.least_targets),
        )
        for source in part.sources:
            if len(self.sample) >= SAMPLE:
                break
            self.sample[source] = None

    @property
    def source_count(self) -> int:
        return max(len(self.sources), self.least[0], 1)

    @property
    def target_count(self) -> int:
        return max(len(self.targets), self.least[1], 1)

    @property
    def items(self) -> int:
        return len(self.sources) + len(self.targets)

    def shed(self) -> int:
        """Forget the addresses but for a few; how many there were stays known."""
        self.least = (self.source_count, self.target_count)
        self.sources = set(self.sample)
        self.targets = set(sorted(self.targets)[:SAMPLE])
        return self.items

    def due(self) -> bool:
        if self.reported is None:
            return True
        sources, end_us = self.reported
        return self.source_count >= 2 * sources or self.end_us >= end_us + UPDATE_US


class Crowds:
    """Budgets of the unverified alerts of one analyzer (that is, of one gateway). Bounded.

    Args:
        analyzer: who says so: what stands in the alerts of crowds.
    """

    def __init__(self, analyzer: str) -> None:
        self._analyzer = analyzer
        self._begin_us = 0
        self._alone: dict[str, dict[str, None]] = {}
        """Class → ids passed on in this period."""
        self._proven: OrderedDict[Address, dict[str, None]] = OrderedDict()
        """Source → ids passed on in this period on its own budget."""
        self._held: dict[str, OrderedDict[str, Alert]] = {}
        """Class → alerts in crowds, by id."""
        self._held_of: dict[Address, dict[str, str]] = {}
        """Source → those of it, each with its class."""
        self._counted: OrderedDict[str, int] = OrderedDict()
        """Alerts in crowds → their connections that are counted there."""
        self._crowds: Table[_Crowd] = Table(
            _Crowd, MAX_CROWDS, CONTENTS, entry=2 * SAMPLE, shed=_Crowd.shed
        )
        self._places: dict[str, set[Place]] = {}
        """Class → its crowds."""
        self._grown: dict[Place, None] = {}
        """Crowds that something joined since the last `take`."""
        self._counts = dict.fromkeys(("crowded", "crowd_alerts", "crowd_left", "crowd_refused"), 0)

    def counters(self) -> dict[str, int]:
        """Alerts that joined a crowd (`crowded`), alerts of crowds, alerts passed on after all
        because their source proved something, alerts of a class beyond `MAX_CLASSES`."""
        return self._counts | {"crowd_evicted": self._crowds.evicted}

    def full(self, classification: str, now_us: int) -> bool:
        """Whether the next new unverified alert of this class joins a crowd."""
        self._roll(now_us)
        return len(self._alone.get(classification, ())) >= INDIVIDUALS

    def take(self, alerts: Iterable[Alert], now_us: int) -> list[Alert]:
        """What is passed on of these alerts, and the alerts of crowds that are due.

        Args:
            now_us: epoch microseconds, by the clock of what the alerts are about.
        """
        self._roll(now_us)
        alerts = list(alerts)
        passed: list[Alert] = []
        # First, so that what came along with the proof is its source's own already.
        for alert in alerts:
            if alert.verified_source and alert.source is not None:
                passed += self._prove(alert.source)
        for alert in alerts:
            if alert.verified_source or self._admitted(alert):
                passed.append(alert)
            else:
                self._join(alert)
        return passed + self._due()

    def note(
        self,
        classification: str,
        target: Address,
        sources: Sequence[bytes],
        *,
        begin_us: int,
        end_us: int,
        count: int,
        confidence: float,
        protocol: int,
        sensor: str,
    ) -> None:
        """Unverified connections, in their crowd before there is an alert of each.

        Only where the class is `full`. What is due of it comes with the next `take`.

        Args:
            sources: 16 bytes as in `CONNECTION`, zeros at the end may be missing.
        """
        self._counts["crowded"] += count
        place = self._place(classification, target, protocol, begin_us)
        if place is not None:
            self._add(
                place,
                _Part(
                    sources=sources,
                    targets=_raw(target, ()),
                    begin_us=begin_us,
                    end_us=end_us,
                    count=count,
                    confidence=confidence,
                    protocol=protocol,
                    sensor=sensor,
                ),
            )

    def _roll(self, now_us: int) -> None:
        # Also if the clock was set back by more than a period; less is late packets.
        if not self._begin_us - PERIOD_US <= now_us < self._begin_us + PERIOD_US:
            self._begin_us = now_us
            self._alone.clear()
            for own in self._proven.values():
                own.clear()

    def _prove(self, source: Address) -> list[Alert]:
        """Remember it; its alerts that are in crowds."""
        if source in self._proven:
            self._proven.move_to_end(source)
            return []
        own = self._proven[source] = dict[str, None]()
        if len(self._proven) > MAX_PROVEN:
            self._proven.popitem(last=False)
        held = self._held_of.pop(source, {})
        found = [self._held[kind].pop(alert_id) for alert_id, kind in held.items()]
        found = sorted(found, key=lambda a: (a.begin_us, a.id))[:OWN_ALERTS]
        own |= dict.fromkeys(alert.id for alert in found)
        self._counts["crowd_left"] += len(found)
        return found

    def _admitted(self, alert: Alert) -> bool:
        own = None if alert.source is None else self._proven.get(alert.source)
        if own is not None and (alert.id in own or len(own) < OWN_ALERTS):
            own[alert.id] = None
            return True
        alone = self._alone.get(alert.classification)
        if alone is None:
            if len(self._alone) >= MAX_CLASSES:
                return False
            alone = self._alone[alert.classification] = {}
        if alert.id in alone:
            return True
        if len(alone) >= INDIVIDUALS:
            return False
        alone[alert.id] = None
        return True

    def _join(self, alert: Alert) -> None:
        self._counts["crowded"] += 1
        place = self._place(alert.classification, alert.target, alert.protocol, alert.begin_us)
        if place is None:
            return
        self._add(
            place,
            _Part(
                sources=_raw(alert.source, alert.sources),
                targets=_raw(alert.target, alert.targets),
                least_sources=alert.source_count,
                least_targets=alert.target_count,
                begin_us=alert.begin_us,
                end_us=alert.end_us,
                count=self._more(alert),
                confidence=alert.confidence,
                protocol=alert.protocol,
                sensor=alert.sensor,
            ),
        )
        if alert.source is not None:
            self._hold(alert, alert.source)

    def _hold(self, alert: Alert, source: Address) -> None:
        held = self._held.setdefault(alert.classification, OrderedDict())
        held[alert.id] = alert
        self._held_of.setdefault(source, {})[alert.id] = alert.classification
        if len(held) > MAX_HELD:
            forgotten, old = held.popitem(last=False)
            if old.source is not None:
                own = self._held_of[old.source]
                del own[forgotten]
                if not own:
                    del self._held_of[old.source]

    def _add(self, place: Place, part: _Part) -> None:
        crowd = self._crowds.get(place)
        if crowd.count and part.begin_us > crowd.end_us + IDLE_US:
            self._crowds.drop(place)
            crowd = self._crowds.get(place)
        crowd.add(part)
        self._crowds.weigh(place, crowd.items)
        self._grown[place] = None

    def _more(self, alert: Alert) -> int:
        """Connections of an alert that are not counted yet."""
        before = self._counted.pop(alert.id, 0)
        self._counted[alert.id] = alert.count
        if len(self._counted) > MAX_COUNTED:
            self._counted.popitem(last=False)
        return max(alert.count - before, 0)

    def _place(
        self, kind: str, target: Address | None, protocol: int, begin_us: int
    ) -> Place | None:
        """Whose crowd it is; None if there are too many classes."""
        places = self._places.get(kind)
        if places is None:
            if len(self._places) >= MAX_CLASSES:
                self._counts["crowd_refused"] += 1
                return None
            places = self._places[kind] = set()
        place: Place = (kind, target, protocol)
        if place in places:
            return place
        if len(places) >= MAX_TARGETS:
            # Those that are over make room.
            places.difference_update([one for one in places if self._over(one, begin_us)])
        if len(places) >= MAX_TARGETS:
            return (kind, None, None)
        places.add(place)
        return place

    def _over(self, place: Place, now_us: int) -> bool:
        return place not in self._crowds or now_us > self._crowds.get(place).end_us + IDLE_US

    def _due(self) -> list[Alert]:
        alerts = []
        grown, self._grown = self._grown, {}
        for place in grown:
            if place in self._crowds:
                crowd = self._crowds.get(place)
                if crowd.due():
                    alerts.append(self._alert(place, crowd))
        self._counts["crowd_alerts"] += len(alerts)
        return alerts

    def _alert(self, place: Place, crowd: _Crowd) -> Alert:
        kind, target, protocol = place
        crowd.reported = (crowd.source_count, crowd.end_us)
        identity = f"{self._analyzer}|{kind}|{target}|{protocol}|{crowd.begin_us}"
        targets: tuple[Address, ...] = ()
        if target is None:
            targets = _named(sorted(crowd.targets)[:SAMPLE])
        several = "" if protocol is not None else " and protocols"
        return Alert(
            id=uuid.uuid5(_NAMESPACE, identity).urn,
            classification=kind,
            source=None,
            target=target,
            sources=_named(crowd.sample),
            targets=targets,
            source_count=crowd.source_count,
            target_count=crowd.target_count,
            protocol=crowd.protocol,
            begin_us=crowd.begin_us,
            end_us=crowd.end_us,
            count=max(crowd.count, 1),
            confidence=crowd.confidence,
            verified_source=False,
            sensor=crowd.sensor,
            analyzer=self._analyzer,
            explanation=(
                f"a crowd: {crowd.source_count} sources that proved nothing (they may be forged), "
                f"{crowd.count} connections to {crowd.target_count} targets{several} in "
                f"{(crowd.end_us - crowd.begin_us) / SECOND:.1f} s, beyond the {INDIVIDUALS} "
                f"unverified alerts of {kind} that are told one by one in "
                f"{PERIOD_US // SECOND} s; {len(crowd.sample)} of them are named"
            ),
        )


def _raw(one: Address | None, several: Sequence[Address]) -> list[bytes]:
    """As numpy gives strings of bytes: without the zeros at their end."""
    return [packed(address).rstrip(b"\0") for address in (several if one is None else (one,))]


def _named(raw: Iterable[bytes]) -> tuple[Address, ...]:
    return tuple(sorted(map(to_address, raw), key=lambda a: (a.version, int(a))))
