"""Counters that should stand still: while one grows there is a warning, with numbers; when it has
stood still for a while, its end is told. Pure: time is an argument.
"""

from __future__ import annotations

import fnmatch
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agents.base.conditions import Conditions, Level

QUIET_S: Final = 30.0
"""Nothing more was lost for so long: it is over. What comes sooner is the same loss, going on."""
WINDOW_S: Final = 10.0
"""A share is that of so many seconds."""
DEGRADED: Final = 0.05
"""From this share on a part of the work is not done …"""
BETTER: Final = 0.01
"""… until it is below this one."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Counters that mean a loss."""

    pattern: str
    """Names of counters, as in a shell (`fnmatch`); a condition for each that grows."""
    reason: str
    """``{}`` stands for what ``*`` matched."""
    of: str = ""
    """Name of the counter that these are a share of (besides what was lost); ``*`` as above."""


COMMON: Final = (
    Loss("dropped_inbox_full", "messages put back: more came than are handled"),
    Loss("dropped_local_full", "messages put back: an agent of this node doesn't take them"),
    Loss("outbox_dropped", "messages given up: the outbox was full"),
    Loss("message_log_errors", "the log of messages can't be written"),
    Loss("refused_*", "messages refused: {}"),
    Loss("dropped_*", "messages dropped: {}"),
    Loss("handler_errors", "messages whose handling failed; they come again"),
    Loss("task_errors", "faults of our own, see the log"),
    Loss("*_evicted", "forgotten before its time: {}"),
    Loss("evicted", "forgotten before its time"),
)
"""What any agent counts."""


@dataclass(slots=True)
class _Episode:
    """One counter."""

    total: int = 0
    began: int = 0
    """Total before the present episode."""
    grew_s: float | None = None
    """When it last grew; None: no episode."""
    level: Level = "warning"
    recent: deque[tuple[float, int, int]] = field(default_factory=deque)
    """(time, lost, of) within `WINDOW_S`."""


class LossWatch:
    """Call `look` every second or so.

    Args:
        losses: the first whose pattern fits a counter counts.
    """

    def __init__(self, losses: Iterable[Loss], conditions: Conditions) -> None:
        self._losses = tuple(losses)
        self._conditions = conditions
        self._episodes: dict[str, _Episode] = {}
        self._known: dict[str, tuple[Loss, str] | None] = {}

    def look(self, counters: Mapping[str, int], now_s: float) -> None:
        """``counters``: totals, which only grow; ``now_s``: monotonic seconds."""
        for name, total in list(counters.items()):
            if name not in self._known:
                self._known[name] = self._meant_by(name)
            meant = self._known[name]
            if meant is not None:
                loss, part = meant
                of = counters.get(loss.of.replace("*", part), 0) if loss.of else 0
                self._look_at(name, total, of, loss.reason.format(part), now_s)

    def _meant_by(self, name: str) -> tuple[Loss, str] | None:
        for loss in self._losses:
            if fnmatch.fnmatchcase(name, loss.pattern):
                before, _, behind = loss.pattern.partition("*")
                return loss, name[len(before) : len(name) - len(behind)]
        return None

    def _look_at(self, name: str, total: int, of: int, reason: str, now_s: float) -> None:
        episode = self._episodes.setdefault(name, _Episode())
        if total < episode.total:  # what counted has begun anew
            episode.total = episode.began = 0
            episode.recent.clear()
        if total > episode.total:
            if episode.grew_s is None:
                episode.began, episode.level = episode.total, "warning"
            episode.grew_s, episode.total = now_s, total
        recent = episode.recent
        recent.append((now_s, total, of))
        while len(recent) > 2 and recent[1][0] <= now_s - WINDOW_S:
            recent.popleft()
        if episode.grew_s is None:
            return
        if now_s - episode.grew_s >= QUIET_S:
            episode.grew_s = None
            self._conditions.clear(f"loss.{name}")
            return
        lost = total - recent[0][1] if len(recent) > 1 else total - episode.began
        numbers = {"since it began": total - episode.began, "in the last 10 s": lost}
        if of:
            came = of - recent[0][2] if len(recent) > 1 else of
            share = lost / max(1, lost + came)
            if share >= DEGRADED:
                episode.level = "degraded"
            elif share < BETTER:
                episode.level = "warning"
            numbers["%"] = round(100 * share)
        self._conditions.fault(f"loss.{name}", reason, level=episode.level, **numbers)
