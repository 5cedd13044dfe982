"""Alerts that the sensor raises itself, about what connection records can't show."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from ontology.records import Address, Alert

SECOND = 1_000_000
ALERTS_MINUTE = 120
"""Of one watch: senders choose the names and addresses that they are about."""
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://w3id.org/ontoidps#SensorAlert")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What a watch has to say."""

    classification: str
    key: str
    """What makes it this alert and no other; later ones of the same key update it."""
    source: Address | None
    """None where it may be anybody's."""
    target: Address | None
    begin_us: int
    end_us: int
    count: int
    confidence: float
    explanation: str
    protocol: int
    target_port: int | None = None
    sources: tuple[Address, ...] = ()
    source_count: int = 1


@dataclass(slots=True)
class AlertMaker:
    """Makes the alerts of one watch, so many a minute of packet time; none is ever verified."""

    sensor: str
    held_back: int = 0
    _minute: tuple[int, int] = field(default=(0, 0))

    def alert(self, seen: Sighting) -> Alert | None:
        """None: the minute's alerts are used up (counted)."""
        minute = seen.end_us // (60 * SECOND)
        last, used = self._minute
        used = used if minute <= last else 0
        if used >= ALERTS_MINUTE:
            self.held_back += 1
            return None
        self._minute = (max(minute, last), used + 1)
        identity = f"{self.sensor}|{seen.classification}|{seen.key}|{seen.begin_us}"
        return Alert(
            id=uuid.uuid5(_NAMESPACE, identity).urn,
            classification=seen.classification,
            source=seen.source,
            target=seen.target,
            sources=seen.sources,
            source_count=seen.source_count,
            target_port=seen.target_port,
            protocol=seen.protocol,
            begin_us=max(min(seen.begin_us, seen.end_us), 0),
            end_us=max(seen.end_us, 0),
            count=seen.count,
            confidence=seen.confidence,
            verified_source=False,
            sensor=self.sensor,
            analyzer=self.sensor,
            explanation=seen.explanation,
        )
