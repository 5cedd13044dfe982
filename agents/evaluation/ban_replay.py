"""Ban policies replayed on a log of contacts: what each would have cost, and kept out.

A ban is put on all gateways at once, and drops what comes from its source at any of them from after
the contact that caused it until before its end; dropped contacts are seen (gateways log them), so
that a policy can weigh them. Counted as in the paper: a *command* puts a rule on all gateways or
takes it off them, a *rule* is one banned source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.contacts.contact_log import ContactLog
from rules.bans.ban_lengths import BanPolicy
from rules.bans.ban_tracking import track
from rules.bans.source_profile import SourceProfile


class BySource:
    """The contacts of a log source by source, each in the order of time."""

    def __init__(self, log: ContactLog) -> None:
        order = np.argsort(log.source, kind="stable")
        source = log.source[order]
        starts = np.flatnonzero(np.r_[True, source[1:] != source[:-1]])
        self.bounds: NDArray[np.int64] = np.r_[starts, len(source)]
        """(sources + 1,) rows of source i: ``bounds[i]`` to ``bounds[i + 1]``."""
        self.source = source[starts]
        """(sources,) index into the log's sources."""
        self.row_of = np.repeat(np.arange(len(starts)), np.diff(self.bounds))
        """(n,) number of the source in `source`."""
        self.time_us = log.time_us[order]
        self.gateway = log.gateway[order]
        self.port = log.port[order]
        pairs = np.unique(self.row_of * len(log.gateways) + self.gateway)
        self.gateways: NDArray[np.int64] = np.bincount(pairs // len(log.gateways))
        """(sources,) how many gateways it probed."""
        self.probes = np.diff(self.bounds)

    def reached(self) -> NDArray[np.int64]:
        """(sources,) with which probe, from 1, it reached a second gateway; 0: it never did."""
        start = self.bounds[:-1]
        other = self.gateway != self.gateway[start][self.row_of]
        rows = np.where(other, np.arange(len(other)), len(other))
        first = np.minimum.reduceat(rows, start)
        return np.where(first < len(other), first - start + 1, 0)

    def profiles(self, wanted: NDArray[np.int64], threshold: int) -> list[SourceProfile]:
        """The profiles of some sources (numbers into `source`) at the end of the log."""
        found = []
        for number in wanted.tolist():
            profile = SourceProfile(threshold)
            rows = slice(self.bounds[number], self.bounds[number + 1])
            for contact in zip(
                self.time_us[rows].tolist(),
                self.gateway[rows].tolist(),
                self.port[rows].tolist(),
                strict=True,
            ):
                profile.add(*contact)
            found.append(profile)
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PolicyResult:
    """What one policy did from ``since_us`` to ``end_us``."""

    name: str
    since_us: int
    end_us: int
    begins: NDArray[np.int64]
    """(bans,) microseconds, ascending; bans from before ``since_us`` that still held are in it."""
    ends: NDArray[np.int64]
    """(bans,) of the same bans; may lie behind ``end_us``."""
    hits_prevented: int
    extensions: int
    """Times that a ban was prolonged without a command, in the whole log."""

    @property
    def bans(self) -> int:
        """Bans put."""
        return int((self.begins >= self.since_us).sum())

    @property
    def commands(self) -> int:
        """Rules added, and rules removed again within the log."""
        return self.bans + int(((self.ends > self.since_us) & (self.ends <= self.end_us)).sum())

    @property
    def rules_mean(self) -> float:
        """Rules in place, mean over the time."""
        held = np.minimum(self.ends, self.end_us) - np.maximum(self.begins, self.since_us)
        span = max(self.end_us - self.since_us, 1)
        return float(held.sum(dtype=np.float64) / span)

    @property
    def rules_max(self) -> int:
        """Most rules in place at once."""
        if not len(self.begins):
            return 0
        begins = np.sort(np.maximum(self.begins, self.since_us))
        ended = np.searchsorted(np.sort(self.ends), begins, side="right")
        return int((np.arange(1, len(begins) + 1) - ended).max())

    def curve(self, points: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Figure 7: commands sent so far and rules in place, at so many times from the begin on."""
        at = np.linspace(self.since_us, self.end_us, points).astype(np.int64)
        begun = np.searchsorted(self.begins, at, side="right")
        ended = np.searchsorted(np.sort(self.ends), at, side="right")
        earlier = int((self.begins < self.since_us).sum())
        return begun - earlier + ended, begun - ended

    def as_json(self) -> dict[str, int | float]:
        """The policy's object in ``--json``."""
        return {
            "commands": self.commands,
            "rules_mean": round(self.rules_mean, 3),
            "rules_max": self.rules_max,
            "hits_prevented": self.hits_prevented,
            "bans": self.bans,
        }


def replay(contacts: BySource, policy: BanPolicy, *, since_us: int, end_us: int) -> PolicyResult:
    """Replay a policy. State from before ``since_us`` counts, what was done before does not.

    Args:
        end_us: end of the log.
    """
    times, gateways = contacts.time_us.tolist(), contacts.gateway.tolist()
    ports, bounds = contacts.port.tolist(), contacts.bounds.tolist()
    bans: list[tuple[int, int]] = []
    prevented = extensions = 0
    for number, (probes, many) in enumerate(
        zip(contacts.probes.tolist(), contacts.gateways.tolist(), strict=True)
    ):
        if not policy.can_ban(probes, many):
            continue
        tracker = track(policy)
        on_contact = tracker.on_contact
        for row in range(bounds[number], bounds[number + 1]):
            if on_contact(times[row], gateways[row], ports[row]) and times[row] >= since_us:
                prevented += 1
        tracker.close(end_us)
        bans += tracker.bans
        extensions += tracker.extensions
    table = np.array(sorted(b for b in bans if b[1] > since_us), np.int64).reshape(-1, 2)
    return PolicyResult(
        name=policy.name,
        since_us=since_us,
        end_us=end_us,
        begins=table[:, 0],
        ends=table[:, 1],
        hits_prevented=prevented,
        extensions=extensions,
    )


def reaction_times(
    contacts: BySource, threshold: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Figure 5: how many probes came after a source could have been blocked first, per source.

    Returns:
        Of sources of several gateways: after the probe with which they were recognised; of those of
        one gateway: after their first.
    """
    reached = contacts.reached()
    recognised = (reached > 0) & (reached <= threshold)
    single = contacts.gateways == 1
    return (contacts.probes - reached)[recognised], (contacts.probes - 1)[single]


def recognised_shares(
    contacts: BySource, thresholds: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Figures 2 and 6: per threshold, the share of sources that reach a second gateway within it.

    Returns:
        Of all sources, and of those of several gateways (0 where there are none).
    """
    reached = contacts.reached()
    counts = np.array([((reached > 0) & (reached <= t)).sum() for t in thresholds], np.float64)
    return counts / max(len(reached), 1), counts / max(int((reached > 0).sum()), 1)
