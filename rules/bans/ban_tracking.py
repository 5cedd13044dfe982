"""One source under one ban policy: its bans, and what they kept out."""

from __future__ import annotations

from collections.abc import Hashable

from rules.bans.ban_lengths import BanPolicy, IntervalPolicy, PersistencePolicy
from rules.bans.source_profile import FORGET_US, SECOND_US, SourceProfile


class IntervalTracker:
    """Under a policy of the paper.

    ``bans`` are (begin, end) in microseconds; a ban holds at every gateway, from after the probe
    that caused it until before its end.
    """

    __slots__ = (
        "_lifted_us",
        "_period_us",
        "bans",
        "begin_us",
        "extensions",
        "policy",
        "profile",
        "until_us",
    )

    def __init__(self, policy: IntervalPolicy) -> None:
        self.policy = policy
        self.profile = SourceProfile(policy.threshold)
        self.bans: list[tuple[int, int]] = []
        self.extensions = 0
        self.begin_us = 0
        self.until_us = 0
        """End of the ban in force; 0: none is."""
        self._period_us = 0
        self._lifted_us: int | None = None

    def on_contact(self, at_us: int, gateway: Hashable, port: int) -> bool:
        """Take in one probe. Returns whether it met a ban."""
        if self.until_us and self.settle(at_us):
            self.profile.add(at_us, gateway, port)
            return True
        profile, lifted_us = self.profile, self._lifted_us
        known = lifted_us is not None and at_us - lifted_us <= self.policy.history_s * SECOND_US
        if not known and (lifted_us is not None or at_us - profile.last_us > FORGET_US):
            profile = self.profile = SourceProfile(self.policy.threshold)
            self._lifted_us = None
        profile.add(at_us, gateway, port)
        if known or profile.recognised:
            self.begin_us = self._period_us = at_us
            self.until_us = at_us + round(self.policy.length_s(profile) * SECOND_US)
        return False

    def settle(self, now_us: int) -> bool:
        """Extend or lift what is over by ``now_us``. Returns whether a ban is in force."""
        while self.until_us and self.until_us <= now_us:
            until_us = self.until_us
            more_s = self.policy.extension_s(self.profile, self._period_us, until_us)
            if more_s:
                self._period_us = until_us
                self.until_us = until_us + round(more_s * SECOND_US)
                self.extensions += 1
            else:
                self.bans.append((self.begin_us, until_us))
                self._lifted_us = until_us
                self.until_us = 0
        return self.until_us > 0

    def close(self, end_us: int) -> None:
        """The log ends: a ban that is in force stands with the end it has."""
        if self.settle(end_us):
            self.bans.append((self.begin_us, self.until_us))
            self.until_us = 0


class PersistenceTracker:
    """The same under ours."""

    __slots__ = (
        "_last_us",
        "_place",
        "bans",
        "begin_us",
        "extensions",
        "persistence",
        "policy",
        "until_us",
    )

    def __init__(self, policy: PersistencePolicy) -> None:
        self.policy = policy
        self.bans: list[tuple[int, int]] = []
        self.extensions = 0
        self.begin_us = 0
        self.until_us = 0
        self.persistence = 0.0
        self._last_us = 0
        self._place: tuple[Hashable, int] | None = None

    def on_contact(self, at_us: int, gateway: Hashable, port: int) -> bool:
        """Take in one probe. Returns whether it met a ban."""
        policy = self.policy
        gap_s = (at_us - self._last_us) / SECOND_US
        place = (gateway, port)
        retry = place == self._place and gap_s < policy.retry_s
        self.persistence = (
            policy.add(self.persistence, gap_s, retry=retry) if self._place is not None else 1.0
        )
        self._last_us, self._place = at_us, place
        banned = self.until_us > 0 and self.settle(at_us)
        if not banned:
            if self.persistence < policy.ban_at:
                return False
            self.begin_us = self.until_us = at_us
        until_us = at_us + round(policy.silent_s(self.persistence) * SECOND_US)
        if until_us > self.until_us:
            self.until_us = until_us
            self.extensions += banned
        return banned

    def settle(self, now_us: int) -> bool:
        """Lift what is over by ``now_us``. Returns whether a ban is in force."""
        if self.until_us and self.until_us <= now_us:
            self.bans.append((self.begin_us, self.until_us))
            self.until_us = 0
        return self.until_us > 0

    def close(self, end_us: int) -> None:
        """As `IntervalTracker.close`."""
        if self.settle(end_us):
            self.bans.append((self.begin_us, self.until_us))
            self.until_us = 0


def track(policy: BanPolicy) -> IntervalTracker | PersistenceTracker:
    """A tracker for one source."""
    if isinstance(policy, PersistencePolicy):
        return PersistenceTracker(policy)
    return IntervalTracker(policy)
