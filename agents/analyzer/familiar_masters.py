"""Who a controller's masters are: they have read from it for a while before they tell it anything.

A supervisory system polls its controllers without end. Somebody who writes without ever having
read, or asks a controller who it is, is a stranger: an engineer with a laptop, or an attacker.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.findings import Table, View

PORTS = (102, 502)
"""S7 and Modbus."""
POLLS = 10
"""Read before, in other reports than what is judged: tools of attackers read a few values once."""
REQUEST_BYTES = 12
"""Of a Modbus request that reads; S7's are longer."""
MAX_PAIRS = 10_000


class _Polled:
    __slots__ = ("polls",)

    def __init__(self) -> None:
        self.polls = 0


class FamiliarMasters:
    """Polls by source and target."""

    def __init__(self) -> None:
        self._pairs: Table[_Polled] = Table(_Polled, MAX_PAIRS)

    @property
    def evicted(self) -> int:
        """Pairs forgotten for want of room."""
        return self._pairs.evicted

    def on_view(self, view: View, marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """For each connection of a batch whether its source has been a master of its target before
        the first of the batch that is marked; takes in what was polled."""
        rows = view.rows
        near = view.tcp & np.isin(rows["dst_port"], PORTS)
        out = np.zeros(len(rows), np.bool_)
        if not near.any():
            return out
        for pair in view.groups(near, view.source, view.target):
            key = view.pair_keys(0, pair[:1])[0]
            known = self._pairs.get(key)
            told = pair[marked[pair]]
            first = int(view.start[told].min()) if len(told) else None
            polls = ~marked[pair] & view.verified[pair] & (rows["resp_bytes"][pair] > 0)
            before = polls if first is None else polls & (view.start[pair] < first)
            known.polls += int(rows["orig_bytes"][pair[before]].sum()) // REQUEST_BYTES
            out[pair] = known.polls >= POLLS
            known.polls += int(rows["orig_bytes"][pair[polls & ~before]].sum()) // REQUEST_BYTES
            if known.polls >= POLLS:
                self._pairs.prove(key)
        return out
