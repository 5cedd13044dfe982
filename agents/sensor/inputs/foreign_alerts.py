"""Alerts as another manager made them, told in the name of the sensor that read them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from ontology.addresses import packed
from ontology.records import Alert


def told_by(
    alerts: Iterable[Alert], *, sensor: str, relays: Collection[bytes] = ()
) -> Iterator[Alert]:
    """The same alerts, seen by ``sensor``; of several with one id the last, as no message can hold
    both.

    Args:
        relays: proxies of our own, packed: who came by one is not known.
    """
    for alert in {alert.id: alert for alert in alerts}.values():
        if alert.source is None or packed(alert.source) not in relays:
            yield replace(alert, sensor=sensor, analyzer=sensor)
            continue
        words = f"{alert.explanation}; it came by {alert.source}, a relay of our own"
        yield replace(
            alert,
            sensor=sensor,
            analyzer=sensor,
            source=None,
            verified_source=False,
            explanation=words,
        )
