"""Intake: which of the alerts that come in are sound, and what in them is new."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import replace

from ontology.reasoner.window import check_alert
from ontology.records import Alert

logger = logging.getLogger(__name__)


class Intake:
    """Remembers how much of each alert is known.

    Args:
        capacity: alerts remembered; the one that grew longest ago is forgotten first.
        counters: counts here.
    """

    def __init__(self, capacity: int, counters: Counter[str]) -> None:
        self._capacity = capacity
        self._counters = counters
        self._received: OrderedDict[str, int] = OrderedDict()
        """Id → count."""

    def take(self, alerts: Iterable[Alert]) -> list[Alert]:
        """The alerts that can be reasoned about and say something new, with the new count alone.

        An analyzer reports a finding again when it grew, under the same id and with the whole
        count; fusion adds counts up.
        """
        taken = []
        for alert in alerts:
            self._counters["alerts"] += 1
            try:
                check_alert(alert)
            except ValueError as e:
                self._counters["malformed"] += 1
                logger.warning("alert refused: %s", e)
                continue
            grown = alert.count - self._received.get(alert.id, 0)
            if grown <= 0:
                self._counters["alerts_repeated"] += 1
                continue
            self._received[alert.id] = alert.count
            self._received.move_to_end(alert.id)
            while len(self._received) > self._capacity:
                self._received.popitem(last=False)
            taken.append(replace(alert, count=grown))
        return taken
