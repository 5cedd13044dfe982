"""Limits on the alerts of matches: repeats are joined, many sources are one alert, the rest is cut.

Everybody who can send a packet can make a signature match, from any address he likes to write in
it. So what is *verified* (`Alert.verified_source`, which can't be forged) has a budget of its own:
however many forged matches come, they don't use it up. Pure; time is the packets'.
"""

from __future__ import annotations

import uuid
from collections import Counter, OrderedDict
from dataclasses import dataclass, field, replace

from ontology.records import Address, Alert

REPEAT_US = 60_000_000
"""Matches of one (signature, source, target), verified or not, after its alert become one alert, so
much later."""
CROWD = 8
"""Unverified sources of one (signature, target) within `REPEAT_US` that get an alert of their own;
what comes beyond is one alert of many sources."""
MAX_VERIFIED = 600
"""Alerts a minute with a verified source; more are counted and left out."""
MAX_UNVERIFIED = 120
MAX_PAIRS = 20_000
"""(signature, source, target) that are remembered; the oldest goes first, and is reported."""
MAX_CROWDS = 2_000
_SAMPLE = 16
_COUNTED = 4_096
"""Sources of one crowd that are counted; beyond, their count is a lower bound."""
_NAMESPACE = uuid.UUID("5a3cf6c6-4a8a-5d7e-8a0f-2c7a7b1c9d11")

_Pair = tuple[str, Address | None, Address | None, bool]
"""(signature, source, target, verified)."""
_Place = tuple[str, Address | None]


@dataclass(slots=True)
class _Reported:
    since_us: int
    more: Alert | None = None
    """What came since, joined."""


@dataclass(slots=True)
class _Crowd:
    since_us: int
    alone: int = 0
    """Sources that got an alert of their own."""
    more: Alert | None = None
    sources: set[Address] = field(default_factory=set)


class AlertLimiter:
    """Alerts of one sensor's signatures in, those worth a message out."""

    def __init__(self) -> None:
        self._pairs: OrderedDict[_Pair, _Reported] = OrderedDict()
        self._crowds: OrderedDict[_Place, _Crowd] = OrderedDict()
        self._minute = -1
        self._spent: Counter[bool] = Counter()
        self.counters: Counter[str] = Counter()
        """joined (into a later alert), crowded (into one of many sources), suppressed (budget)."""

    def offer(self, signature: str, alert: Alert) -> list[Alert]:
        """What to send now because of ``alert`` of ``signature`` (its name): it, or nothing."""
        now_us = alert.end_us
        pair = (signature, alert.source, alert.target, alert.verified_source)
        reported = self._pairs.get(pair)
        if reported is not None and now_us < reported.since_us + REPEAT_US:
            self.counters["joined"] += 1
            reported.more = alert if reported.more is None else _join(reported.more, alert)
            return []
        place = (signature, alert.target)
        crowd = self._crowds.get(place)
        if crowd is None or (now_us >= crowd.since_us + REPEAT_US and crowd.more is None):
            self._crowds.pop(place, None)
            crowd = self._crowds[place] = _Crowd(now_us)
        if not alert.verified_source:
            crowd.alone += 1
            if crowd.alone > CROWD:
                self.counters["crowded"] += 1
                if len(crowd.sources) < _COUNTED and alert.source is not None:
                    crowd.sources.add(alert.source)
                crowd.more = alert if crowd.more is None else _join(crowd.more, alert)
                return self._shrink()
        out = [] if reported is None else self._close(pair, reported)
        self._pairs[pair] = _Reported(now_us)
        return out + self._spend(alert) + self._shrink()

    def due(self, now_us: int | None) -> list[Alert]:
        """Joined alerts whose time has come; with None all that are held back."""
        out: list[Alert] = []
        while self._pairs:
            pair, reported = next(iter(self._pairs.items()))
            if now_us is not None and reported.since_us + REPEAT_US > now_us:
                break
            out += self._close(pair, reported)
        while self._crowds:
            place, crowd = next(iter(self._crowds.items()))
            if now_us is not None and crowd.since_us + REPEAT_US > now_us:
                break
            out += self._disperse(place, crowd)
        return out

    def _close(self, pair: _Pair, reported: _Reported) -> list[Alert]:
        del self._pairs[pair]
        return [] if reported.more is None else self._spend(_again(reported.more))

    def _disperse(self, place: _Place, crowd: _Crowd) -> list[Alert]:
        del self._crowds[place]
        if crowd.more is None:
            return []
        sources = sorted(crowd.sources, key=lambda a: (a.version, int(a)))
        many = replace(
            _again(crowd.more),
            source=None,
            sources=tuple(sources[:_SAMPLE]),
            source_count=max(len(sources), 1),
            verified_source=False,
            explanation=f"{crowd.more.explanation}; from {len(sources)} more sources, not verified",
        )
        return self._spend(many)

    def _shrink(self) -> list[Alert]:
        out: list[Alert] = []
        while len(self._pairs) > MAX_PAIRS:
            out += self._close(*next(iter(self._pairs.items())))
        while len(self._crowds) > MAX_CROWDS:
            out += self._disperse(*next(iter(self._crowds.items())))
        return out

    def _spend(self, alert: Alert) -> list[Alert]:
        # The clock is the alerts' own and only goes forward: an old time stamp buys nothing.
        minute = alert.end_us // 60_000_000
        if minute > self._minute:
            self._minute = minute
            self._spent.clear()
        limit = MAX_VERIFIED if alert.verified_source else MAX_UNVERIFIED
        if self._spent[alert.verified_source] >= limit:
            self.counters["suppressed"] += 1
            return []
        self._spent[alert.verified_source] += 1
        return [alert]


def _join(one: Alert, other: Alert) -> Alert:
    return replace(
        one,
        begin_us=min(one.begin_us, other.begin_us),
        end_us=max(one.end_us, other.end_us),
        count=one.count + other.count,
        target_port=one.target_port if one.target_port == other.target_port else None,
        confidence=max(one.confidence, other.confidence),
    )


def _again(alert: Alert) -> Alert:
    """With an id of its own: the first of its alerts had left before."""
    name = f"{alert.id}|{alert.begin_us}|{alert.count}"
    explanation = f"again {alert.count} times: {alert.explanation}"
    return replace(alert, id=uuid.uuid5(_NAMESPACE, name).urn, explanation=explanation)
