"""How much of the time each source gets when there is more to read than time to read it.

Time is estimated, not measured: the same packets are thinned in the same way on every machine, and
no sender gains by what else the machine has to do. The estimate is what the worst payloads of
`benchmarks/bench_hostile.py` take, so the share of a processor is a bound and not a mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.packets import Bytes, Ints

SHARE = 0.25
"""Of a processor that reading may take, over the time that the packets themselves took."""
SAVED_US = 250_000
"""Not used for a second, at most so much is left for a burst."""
LEAST_US = 2_000
"""A block may always take so much."""
_EACH_US = 12
_BYTES_PER_US = 80


def costs(lengths: Ints) -> Ints:
    """Microseconds that reading payloads of these lengths takes at worst."""
    return _EACH_US + np.minimum(lengths, 2048) // _BYTES_PER_US


class ReadingShares:
    """Which payloads of a block are read: round and round the sources, until the time is used up.

    A source is an address, of IPv6 the 64 bits of its network. Which of one source's payloads are
    read is drawn by lot, so that it can't hide one behind the others.
    """

    def __init__(self, share: float = SHARE) -> None:
        self._share = share
        self._saved_us = float(SAVED_US)
        self._last_us: int | None = None
        self._lots = np.random.default_rng()

    def choose(self, costs_us: Ints, sources: Bytes, now_us: int) -> NDArray[np.bool_]:
        """Args:
        costs_us: of each payload, see `costs`.
        sources: (n, 16) whose payload it is, network order, IPv4 as ::ffff:a.b.c.d.
        now_us: time of the block's last packet. A clock that is set back gives nothing.
        """
        passed = 0 if self._last_us is None else max(now_us - self._last_us, 0)
        self._last_us = now_us
        self._saved_us = min(self._saved_us + passed * self._share, SAVED_US)
        allowed = max(self._saved_us, LEAST_US)
        total = int(costs_us.sum())
        if total <= allowed:
            self._saved_us = max(self._saved_us - total, 0)
            return np.ones(len(costs_us), np.bool_)
        keep = in_turns(costs_us, named(sources), allowed, self._lots)
        self._saved_us = max(self._saved_us - int(costs_us[keep].sum()), 0)
        return keep


def in_turns(
    costs_us: Ints, sources: Ints, allowed: float, lots: np.random.Generator
) -> NDArray[np.bool_]:
    """Which of the payloads to read in ``allowed`` microseconds: of each source as much as of any
    other that has so much (start-time fair queueing, Goyal and others 1997)."""
    order = np.lexsort((lots.permutation(len(sources)), sources))
    cost, source = costs_us[order], sources[order]
    before = np.cumsum(cost) - cost
    first = np.flatnonzero(np.diff(source, prepend=source[0] - 1))
    before -= np.repeat(before[first], np.diff(np.append(first, len(source))))
    turn = np.lexsort((lots.permutation(len(sources)), before))
    keep = np.zeros(len(sources), np.bool_)
    keep[order[turn]] = np.cumsum(cost[turn]) <= allowed
    return keep


def named(sources: Bytes) -> Ints:
    """A number for each source, the same for the same."""
    words = np.ascontiguousarray(sources).view(">u8").astype(np.uint64)
    mapped = (words[:, 0] == 0) & (words[:, 1] >> np.uint64(32) == 0xFFFF)
    words[:, 1] *= mapped  # of a network of IPv6 nothing but the network
    _, numbers = np.unique(words, axis=0, return_inverse=True)
    return numbers.reshape(-1).astype(np.int64)
