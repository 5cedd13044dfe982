"""How often each source comes, and what length of a block follows from that.

A contact is a connection behind a verified alert. What stands behind two alerts counts twice; what
could be forged doesn't count: nobody can lengthen another's block.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from agents.settings.honeynet import Policy
from ontology.records import Address, Alert
from rules.bans.ban_lengths import LENGTHS, LONGEST_S, OURS
from rules.bans.source_profile import FORGET_US, SECOND_US, THRESHOLD

FIXED = "fixed"
"""The length of every block is ``policy.block_duration``."""


@dataclass(slots=True)
class Rhythm:
    """One source: `rules.bans.source_profile.SourceProfile` from alerts, without places."""

    first_us: int = 0
    last_us: int = 0
    contacts: int = 0
    persistence: float = 0.0
    threshold: int = THRESHOLD

    @property
    def interval_s(self) -> float:
        """Mean time between two contacts; 0 after the first."""
        if self.contacts < 2:
            return 0.0
        return (self.last_us - self.first_us) / (self.contacts - 1) / SECOND_US

    def take(self, alert: Alert) -> None:
        """Add the contacts of an alert; its ``count`` is of what is new alone."""
        if self.contacts and alert.begin_us - self.last_us > FORGET_US:
            self.contacts, self.persistence = 0, 0.0
        if not self.contacts:
            self.first_us, self.last_us = alert.begin_us, alert.end_us
        gap_s = max(0, alert.end_us - self.last_us) / SECOND_US
        left = OURS.add(self.persistence, gap_s, retry=False)
        self.persistence = min(left + alert.count - 1, OURS.most)
        self.contacts += alert.count
        self.first_us = min(self.first_us, alert.begin_us)
        self.last_us = max(self.last_us, alert.end_us)


class Rhythms:
    """Bounded: of more sources those are forgotten that came longest ago.

    Args:
        policy: ``ban_length`` says which length; nothing is kept for `FIXED`.
        capacity: sources.
    """

    def __init__(self, policy: Policy, capacity: int) -> None:
        self._policy = policy
        self._capacity = capacity
        self._rhythms: OrderedDict[Address, Rhythm] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rhythms)

    def take(self, alerts: Iterable[Alert]) -> None:
        """Take new alerts in, or what is new of grown ones."""
        if self._policy.ban_length == FIXED:
            return
        for alert in alerts:
            if alert.source is None or not alert.verified_source:
                continue
            rhythm = self._rhythms.get(alert.source)
            if rhythm is None:
                rhythm = self._rhythms[alert.source] = Rhythm()
                if len(self._rhythms) > self._capacity:
                    self._rhythms.popitem(last=False)
            else:
                self._rhythms.move_to_end(alert.source)
            rhythm.take(alert)

    def length(self, source: Address) -> tuple[float, str]:
        """Seconds of a block of a source before the factor of its reaction rule, and where they
        come from in a line; empty: from ``block_duration``."""
        name = self._policy.ban_length
        if name == FIXED:
            return self._policy.block_duration, ""
        rhythm = self._rhythms.get(source)
        if rhythm is None:
            # Blocked for what others verified, or longer ago than is remembered.
            seconds = float(self._policy.block_duration)
            return seconds, f"Length: {seconds:g} s (block_duration), as no contact is remembered."
        if name == OURS.name:
            seconds = OURS.silent_s(rhythm.persistence)
            why = f"persistence {rhythm.persistence:.1f} of {OURS.most:g}"
        else:
            seconds = min(LENGTHS[name](rhythm), LONGEST_S)
            why = f"one in {rhythm.interval_s:.4g} s" if rhythm.contacts > 1 else "its first"
        number = "1 contact" if rhythm.contacts == 1 else f"{rhythm.contacts} contacts"
        return seconds, f"Length: {seconds:.0f} s ({name}; {number}, {why})."
