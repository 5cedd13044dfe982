"""Intake: which of the alerts that come in are sound, and what in them is new."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable

from agents.correlation.shares import SharedTable, owner_of
from ontology.reasoner.window import check_alert
from ontology.records import Alert
from ontology.unchecked_copy import unchecked_copy

logger = logging.getLogger(__name__)


class Intake:
    """Remembers how much of each alert is known.

    Args:
        capacity: verified alerts remembered, and a share of unverified ones; of each the one that
            grew longest ago is forgotten first.
        counters: counts here.
    """

    def __init__(self, capacity: int, counters: Counter[str]) -> None:
        self._counters = counters
        self._received: SharedTable[str, tuple[int, bool]] = SharedTable(capacity)
        """Id → count, verified."""

    def take(self, alerts: Iterable[Alert]) -> list[Alert]:
        """The alerts that can be reasoned about and say something new, with the new count alone.

        An analyzer reports a finding again when it grew, under the same id and with the whole
        count; fusion adds counts up. One that is verified only now is new with all of it: what was
        unverified stays apart from what is verified.
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
            known, verified = self._received.get(alert.id, (0, alert.verified_source))
            grown = alert.count - (0 if alert.verified_source > verified else known)
            if grown <= 0:
                self._counters["alerts_repeated"] += 1
                continue
            now = alert.count, alert.verified_source
            self._received.put(alert.id, now, owner_of(alert))
            taken.append(alert if grown == alert.count else unchecked_copy(alert, count=grown))
        return taken
