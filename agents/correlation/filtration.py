"""Filtration: original alerts in, junior alerts out (AFF's first stage), each refusal counted.

A filter says why an alert goes no further, or nothing. Today there is one, the allow-list; what is
false, known or of no interest here is to be judged by others of the same form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from ontology.addresses import canonical, canonical_network
from ontology.records import Alert, Network
from ontology.unchecked_copy import unchecked_copy

Filter = Callable[[Alert], str | None]
"""Why an alert goes no further, in one word, for a counter; None if it passes. Pure."""


class AllowList:
    """Alerts from allowed sources say nothing about an attacker."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(map(canonical_network, networks))

    def __call__(self, alert: Alert) -> str | None:
        if alert.source is None:
            return None
        source = canonical(alert.source)
        return "allowed" if any(source in network for network in self._networks) else None


class Filtration:
    """Filters in their order; the first that objects decides.

    Args:
        counters: counts refusals here, by the word of the filter.
    """

    def __init__(self, filters: Sequence[Filter], counters: Counter[str]) -> None:
        self._filters = tuple(filters)
        self._counters = counters

    def juniors(self, alerts: Iterable[Alert]) -> list[Alert]:
        """The alerts that pass, as junior alerts."""
        passed = []
        for alert in alerts:
            reason = next((word for judge in self._filters if (word := judge(alert))), None)
            if reason is None:
                passed.append(unchecked_copy(alert, stage="junior"))
            else:
                self._counters[reason] += 1
        return passed
