"""Ban policies: the paper's lengths (section 4.2.1), and our own.

A policy says whom it bans and until when; `rules.bans.ban_tracking` follows one source under it.
All lengths are in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from rules.bans.source_profile import THRESHOLD, SourceProfile

DAY_S = 86_400
GRACE_S = 100
"""Added to each length made from the interval: a scan of under a second has an interval of 0."""
LONGEST_S = 100 * 365 * DAY_S
"""The square of a week is 11,000 years: nothing is computed with that."""
HISTORY_S = 7 * DAY_S
"""How long a lifted ban is remembered. The paper says "a short time"; its hybrid scans, which come
back after "24 hours or longer", need more than a day."""


class Paced(Protocol):
    """What a length is made from."""

    @property
    def interval_s(self) -> float:
        """Mean time between two probes; 0 after the first."""

    @property
    def threshold(self) -> int:
        """The paper's."""


Length = Callable[[Paced], float]


def interval_squared(profile: Paced) -> float:
    """Interval times interval, both in seconds."""
    return profile.interval_s**2 + GRACE_S


def interval_squared_half(profile: Paced) -> float:
    """Interval times interval / 2."""
    return profile.interval_s**2 / 2 + GRACE_S


def interval_threshold(profile: Paced) -> float:
    """Interval times threshold."""
    return profile.interval_s * profile.threshold + GRACE_S


def static_day(profile: Paced) -> float:
    """24 hours, whoever it is."""
    return DAY_S


def half_threshold(profile: Paced) -> float:
    """What the optimised version adds: half the threshold times interval."""
    return profile.interval_s * profile.threshold / 2 + GRACE_S


LENGTHS: dict[str, Length] = {
    "interval-squared": interval_squared,
    "interval-squared-half": interval_squared_half,
    "interval-threshold": interval_threshold,
    "static-24h": static_day,
}
"""The paper's lengths by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalPolicy:
    """A policy of the paper: bans who reached a second gateway within the threshold.

    A ban lasts ``length``; when that is over and ``extension`` is given, it is prolonged by that
    if the source was active in the last two intervals of this time. A source that is lifted and
    comes back within ``history_s`` is banned at once.
    """

    name: str
    length: Length
    extension: Length | None = None
    maximum_s: float = LONGEST_S
    """Of a length and of an extension alike: after so long a ban is examined again."""
    history_s: float = HISTORY_S
    threshold: int = THRESHOLD

    def length_s(self, profile: SourceProfile) -> float:
        """How long a ban that begins now lasts."""
        return min(self.length(profile), self.maximum_s)

    def extension_s(self, profile: SourceProfile, since_us: int, until_us: int) -> float:
        """How much longer a ban lasts whose time is over at ``until_us``; 0: it is lifted.

        Args:
            since_us: when this time began: the ban, or its last extension. What the source did
                before that was weighed then.
        """
        if self.extension is None or profile.last_us <= since_us:
            return 0.0
        if profile.last_us < until_us - 2 * profile.interval_s * 1_000_000:
            return 0.0
        return min(self.extension(profile), self.maximum_s)

    def can_ban(self, probes: int, gateways: int) -> bool:
        """Whether a source of so many probes at so many gateways is worth following."""
        return probes > 1 and gateways > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistencePolicy:
    """Ours: bans who keeps coming, wherever, for as long as it keeps coming.

    A source's *persistence* is the number of its probes, of which half is forgotten every
    ``half_life_s``, at most ``most``. From ``ban_at`` on it is banned, until it has been silent
    for ``silence_s`` times persistence / ``most``: each probe, dropped ones too, renews the ban
    without a command. What persistence is left after a lift is the history: who is still above
    ``ban_at`` is banned again by its next probe.
    """

    name: str = "persistence"
    half_life_s: float = 5.5 * DAY_S
    ban_at: float = 7.25
    most: float = 12.0
    silence_s: float = 1.75 * DAY_S
    retry_s: float = 60.0
    """A probe of the same port of the same gateway so soon after the last is most likely the same
    attempt: TCP repeats a SYN after 1, 3, 7, 15 and 31 s (RFC 6298)."""
    retry_weight: float = 0.85

    def add(self, persistence: float, gap_s: float, *, retry: bool) -> float:
        """The persistence after one more probe, ``gap_s`` after the last."""
        left: float = persistence * 2.0 ** (-gap_s / self.half_life_s)
        return min(left + (self.retry_weight if retry else 1.0), self.most)

    def silent_s(self, persistence: float) -> float:
        """How long a source must be silent until its ban is lifted."""
        return self.silence_s * persistence / self.most

    def can_ban(self, probes: int, gateways: int) -> bool:
        """As `IntervalPolicy.can_ban`; one gateway will do."""
        return probes >= self.ban_at


BanPolicy = IntervalPolicy | PersistencePolicy

OPTIMISED = IntervalPolicy(name="optimised", length=interval_threshold, extension=half_threshold)
MAXIMA_DAYS = (5, 7, 10)
"""The maximum lengths that the paper left to be tried."""
PAPER: tuple[IntervalPolicy, ...] = (
    *(IntervalPolicy(name=name, length=length) for name, length in LENGTHS.items()),
    OPTIMISED,
    *(
        replace(OPTIMISED, name=f"optimised-{days}d", maximum_s=days * DAY_S)
        for days in MAXIMA_DAYS
    ),
)
OURS = PersistencePolicy()
