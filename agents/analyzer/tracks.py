"""Who tried what where: the tracks of the scan detectors, and the first attempts before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.bounded_table import Table
from agents.analyzer.findings import SECOND, Finding, View
from agents.analyzer.first_attempts import Attempt, FirstAttempts

WINDOW_US = 300 * SECOND
"""Zeek ``policy/misc/scan``: ``port_scan_interval`` and ``addr_scan_interval`` are five minutes."""
MAX_ITEMS = 4096
"""Ports or hosts kept per finding; beyond, the count is a lower bound."""

# Per port or host: the last time it was tried, and whether that went nowhere.
Tries = dict[int | bytes, tuple[int, bool]]
Item = Literal["dst_port", "target", "protocol"]
Group = tuple[bytes, NDArray[np.int64]]
"""(key, row numbers)."""


@dataclass(slots=True)
class Track:
    """One source's tries of ports or hosts."""

    finding: Finding = field(default_factory=Finding)
    tries: Tries = field(default_factory=dict)
    half_open: int = 0
    """SYN, SYN-ACK, then RST instead of ACK: the mark of a SYN scan that met an open port."""
    handshakes: int = 0
    source_ports: set[int] = field(default_factory=set)
    refused: int = 0
    probed: set[int] = field(default_factory=set)
    """Ports that got a version probe."""

    @classmethod
    def begun(cls, attempt: Attempt, item: Item, clusters: int) -> Track:
        """The track of who has tried once: at ``item`` of it."""
        tried: int | bytes = getattr(attempt, item)
        return cls(
            finding=Finding.of(attempt, clusters),
            tries={tried: (attempt.end_us, attempt.failed)},
            half_open=int(attempt.half_open),
            refused=int(attempt.refused),
            source_ports={attempt.src_port},
        )

    def take(
        self, items: Sequence[int | bytes], failed: list[bool], times: list[int], now: int
    ) -> None:
        """Note tries; those older than the window at ``now`` are forgotten."""
        tries = self.tries
        for item, bad, when in zip(items, failed, times, strict=True):
            if item in tries or len(tries) < MAX_ITEMS:
                # A port that once answered stays answered: later failures are its rate limit.
                tries[item] = (when, bad and tries.get(item, (0, True))[1])
        oldest = now - WINDOW_US
        stale = [item for item, (when, _) in tries.items() if when < oldest]
        for item in stale:
            del tries[item]

    @property
    def items(self) -> int:
        """What it holds, for `Table.weigh`."""
        return len(self.tries) + len(self.source_ports) + len(self.probed) + self.finding.items

    def tally(self) -> tuple[int, int]:
        """(failed, succeeded) distinct items in the window."""
        failed = sum([bad for _, bad in self.tries.values()])
        return failed, len(self.tries) - failed


class Tracks:
    """All tracks of one detector. A key whose only sign so far is one failed try is an attempt."""

    def __init__(self, maximum: int, attempts: int) -> None:
        self._table: Table[Track] = Table(Track, maximum)
        self._attempts = FirstAttempts(attempts)

    @property
    def evicted(self) -> int:
        """Tracks and attempts forgotten for want of room."""
        return self._table.evicted + self._attempts.evicted

    def pairs(
        self,
        view: View,
        mask: NDArray[np.bool_],
        tag: int,
        *,
        failed: NDArray[np.bool_],
        light: NDArray[np.bool_],
    ) -> Iterator[Group]:
        """The connections in ``mask`` by source and target, as far as there is something to judge.

        Single ones in ``light`` of hosts that have no track become attempts, with their ``failed``.
        """
        rows, bounds = view.runs(mask, view.source, view.target)
        keys = view.pair_keys(tag, rows[bounds[:-1]])
        return self._groups(view, rows, bounds, keys, failed=failed, light=light)

    def ports(
        self,
        view: View,
        mask: NDArray[np.bool_],
        tag: int,
        port: NDArray[np.integer],
        *,
        failed: NDArray[np.bool_],
        light: NDArray[np.bool_],
    ) -> Iterator[Group]:
        """The same by source and ``port``."""
        rows, bounds = view.runs(mask, view.source, port)
        keys = view.port_keys(tag, rows[bounds[:-1]], port)
        return self._groups(view, rows, bounds, keys, failed=failed, light=light)

    def _groups(
        self,
        view: View,
        rows: NDArray[np.int64],
        bounds: NDArray[np.int64],
        keys: list[bytes],
        *,
        failed: NDArray[np.bool_],
        light: NDArray[np.bool_],
    ) -> Iterator[Group]:
        first = rows[bounds[:-1]]
        alone = ((np.diff(bounds) == 1) & light[first]).tolist()
        tracked, attempted = self._table.keys(), self._attempts.keys()
        new = np.array(
            [
                single and key not in tracked and key not in attempted
                for key, single in zip(keys, alone, strict=True)
            ],
            bool,
        )
        for number in np.flatnonzero(~new).tolist():
            yield keys[number], rows[bounds[number] : bounds[number + 1]]
        fresh = np.flatnonzero(new)
        if len(fresh):
            held = [keys[n] for n in fresh.tolist()]
            self._attempts.put(held, view.attempts(first[fresh], failed))

    def open(
        self, key: bytes, view: View, rows: NDArray[np.int64], item: Item, clusters: int
    ) -> Track:
        """The track of ``key``, begun anew if its last sign of life is out of the window."""
        attempt = self._attempts.pop(key)
        if attempt is not None:
            self._table.put(key, Track.begun(attempt, item, clusters))
        track = self._table.get(key)
        if track.finding.count and view.first_us(rows) > track.finding.end_us + WINDOW_US:
            self._table.drop(key)
            track = self._table.get(key)
        return track

    def weigh(self, key: bytes, track: Track) -> None:
        """Note what the track of ``key`` holds now."""
        self._table.weigh(key, track.items)
        if track.finding.verified:
            self._table.prove(key)


def certainty(failed: int, succeeded: int, needed: int) -> float:
    """0.6 at the threshold, towards 0.9 with more failures and fewer successes."""
    share = failed / max(failed + succeeded, 1)
    return 0.6 + 0.3 * share * min(max(failed - needed, 0) / (4 * needed), 1.0)
