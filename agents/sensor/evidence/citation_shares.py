"""How many citations may be made: so many of a source in a minute, so many that prove nothing.

Whoever can send a packet can make something be cited, from any address he likes to write in it. So
what lies in no proven conversation has a budget of its own, and a real source can't take what
belongs to another.
"""

from __future__ import annotations

from collections import Counter

PER_SOURCE = 6
"""A minute."""
PER_PLACE = 2
"""A minute of one (source, target, port, signature)."""
PROVEN = 240
"""A minute, all sources together."""
UNPROVEN = 60
_MINUTE_US = 60_000_000


class CitationShares:
    """Bounded by what it lets through: it remembers this minute's citations only."""

    def __init__(self) -> None:
        self._minute = -1
        self._places: Counter[object] = Counter()
        self._sources: Counter[bytes] = Counter()
        self._all: Counter[bool] = Counter()
        self.held_back = 0
        """Citations that were not made."""

    def take(self, source: bytes, place: object, *, proven: bool, now_us: int) -> bool:
        """Whether one may be made; it counts then.

        ``place``: what else must not be cited again and again. ``now_us``: the packet's time; an
        old one buys nothing.
        """
        minute = now_us // _MINUTE_US
        if minute > self._minute:
            self._minute = minute
            self._places.clear()
            self._sources.clear()
            self._all.clear()
        if (
            self._places[source, place] >= PER_PLACE
            or self._sources[source] >= PER_SOURCE
            or self._all[proven] >= (PROVEN if proven else UNPROVEN)
        ):
            self.held_back += 1
            return False
        self._places[source, place] += 1
        self._sources[source] += 1
        self._all[proven] += 1
        return True
