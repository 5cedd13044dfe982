"""Captures to whole connections in order of their start, one record for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.sensor.core import SensorCore
from agents.sensor.flows.automaton import Timeouts
from datasets.captures.pcap import read_capture
from ontology.records import CONNECTION

BLOCK_BYTES = 8 << 20
MAX_HELD = 1 << 18
"""Connections held back for one that began before them and is still open."""
_NEVER_US = 10**17

WHOLE = Timeouts(attempt_us=5_000_000, active_us=_NEVER_US, marked_us=_NEVER_US)
"""No interim reports: a connection is one record. Unanswered ones end after 5 s of silence, others
after 300 s (TCP) or 60 s, as in Zeek, whose forerunner made the records of KDD Cup 99."""

_PLAIN = f"V{CONNECTION.itemsize}"  # NumPy copies rows without fields 20 times as fast
_TIES = ("protocol", "dst_port", "src_port")


class InOrder:
    """Puts connections, which come when they end, in order of their start. Memory is bounded."""

    def __init__(self, *, max_held: int | None = None) -> None:
        self._max = MAX_HELD if max_held is None else max_held
        self._held = np.zeros(0, CONNECTION)
        self._passed_us = -1
        self.late = 0
        """Connections that came after one that began later: more than ``max_held`` were waiting, or
        the clock jumped back."""

    def add(self, connections: NDArray[np.void], before_us: int) -> NDArray[np.void]:
        """What can go on, in order; none that starts before ``before_us`` is still to come."""
        held = np.concatenate((self._held.view(_PLAIN), connections.view(_PLAIN))).view(CONNECTION)
        starts = held["start_us"]
        ready = starts < before_us
        excess = len(held) - int(ready.sum()) - self._max
        if excess > 0:
            ready |= starts <= np.partition(starts[~ready], excess - 1)[excess - 1]
        if not ready.any():
            self._held = held
            return held[:0].copy()
        out, self._held = held.view(_PLAIN)[ready].view(CONNECTION), held.view(_PLAIN)[~ready]
        self._held = self._held.view(CONNECTION)
        # The order of the same microsecond must not depend on how the capture was read.
        ends = [np.ascontiguousarray(out[name]).view(">u8")[:, 1] for name in ("dst", "src")]
        out = out[np.lexsort((*(out[name] for name in _TIES), *ends, out["start_us"]))]
        if len(out):
            self.late += int((out["start_us"] < self._passed_us).sum())
            self._passed_us = max(self._passed_us, int(out["start_us"][-1]))
        return out


class Connections:
    """Reads captures, one after the other, as one traffic."""

    def __init__(self) -> None:
        self._core = SensorCore("records", timeouts=WHOLE)
        self._order = InOrder()
        self.counters = self._core.counters

    @property
    def late(self) -> int:
        """See `InOrder`."""
        return self._order.late

    def capture(self, path: Path) -> Iterator[tuple[NDArray[np.void], int]]:
        """(connections in order of their start, bytes read since the last).

        Raises: CaptureError (a ValueError) if the file can't be read; what came before it counts.
        """
        for raw in read_capture(path, block_bytes=BLOCK_BYTES):
            self._core.on_packets(raw)
            yield self._take(final=False), int(raw.lengths.sum()) + 16 * len(raw)

    def finish(self) -> NDArray[np.void]:
        """End of the traffic: all that is still open."""
        return self._take(final=True)

    def _take(self, *, final: bool) -> NDArray[np.void]:
        core = self._core
        done = [batch.connections for batch in core.take_batches(core.last_us, final=final)]
        before_us = _NEVER_US if final else core.open_since_us()
        return self._order.add(np.concatenate([np.zeros(0, CONNECTION), *done]), before_us)
