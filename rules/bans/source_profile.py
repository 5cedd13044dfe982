"""What is kept of one source over all gateways: the paper's Audit and Tracking tables in one.

Section 4.1: address, gateways, ports, times, a count, and whether there was more than one gateway
or port. Few bytes for a source, however often it comes.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
THRESHOLD = 11
"""Section 4.1.1: who has probed one gateway more often than this and no other, is highly unlikely
to probe another."""
FAST_US = 600 * SECOND_US
"""Section 4.2: fast scans last "a few seconds, through to being a few minutes"; ten here."""
PAUSE_US = DAY_US
"""Section 4.2: a hybrid scan waits "24 hours or longer" between two fast ones."""
FORGET_US = 30 * DAY_US
"""A profile is begun anew after so long without a probe: the paper cleans its tables too."""
MAX_ITEMS = 4096
"""Gateways, and ports, kept of one source; beyond, their number is a lower bound."""

ScanKind = Literal["single", "fast", "slow", "hybrid"]


@dataclass(slots=True)
class SourceProfile:
    """One source. Times are microseconds of one clock; probes come in their order."""

    threshold: int = THRESHOLD
    first_us: int = 0
    last_us: int = 0
    probes: int = 0
    gateways: set[Hashable] = field(default_factory=set)
    ports: set[int] = field(default_factory=set)
    recognised: bool = False
    """It reached a second gateway within its first ``threshold`` probes."""
    bursts: int = 0
    """Runs of probes without a pause of `PAUSE_US`."""
    _burst_us: int = 0
    _burst_probes: int = 0
    _slow: bool = False
    """A run was longer than `FAST_US`, or of one probe with others before or after."""

    def add(self, at_us: int, gateway: Hashable, port: int) -> None:
        """Take one probe in; ``port``: -1 where there is none."""
        self.probes += 1
        if gateway not in self.gateways:
            if self.gateways and self.probes <= self.threshold:
                self.recognised = True
            if len(self.gateways) < MAX_ITEMS:
                self.gateways.add(gateway)
        if port >= 0 and len(self.ports) < MAX_ITEMS:
            self.ports.add(port)
        if self.probes == 1:
            self.first_us = at_us
        if self.probes == 1 or at_us - self.last_us >= PAUSE_US:
            self._slow |= self._burst_probes == 1
            self.bursts += 1
            self._burst_us, self._burst_probes = at_us, 1
        else:
            self._burst_probes += 1
            self._slow |= at_us - self._burst_us > FAST_US
        self.last_us = at_us

    @property
    def interval_s(self) -> float:
        """Mean time between two probes, in seconds; 0 after the first."""
        if self.probes < 2:
            return 0.0
        return (self.last_us - self.first_us) / (self.probes - 1) / SECOND_US

    @property
    def kind(self) -> ScanKind:
        """Fast: all within `FAST_US`. Hybrid: several such, with pauses. Slow: the others."""
        if self.probes < 2:
            return "single"
        if self._slow or (self.bursts > 1 and self._burst_probes == 1):
            return "slow"
        return "hybrid" if self.bursts > 1 else "fast"
