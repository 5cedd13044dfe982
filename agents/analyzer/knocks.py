"""Connections that came to nothing and stand alone: what a flood with forged sources consists of.

Nearly every pair of hosts knocks once in such a flood and never again. One that does come back
needs a track (sets, dictionaries, a finding: 2 kB); for the first knock a row will do, from which
the track is made if there is a second.
"""

from __future__ import annotations

from collections.abc import KeysView, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

KNOCK = np.dtype(
    [
        ("begin_us", "<i8"),
        ("end_us", "<i8"),
        ("distance", "<f8"),
        ("cluster", "<i4"),
        ("src_port", "<u2"),
        ("dst_port", "<u2"),
        ("protocol", "u1"),
        ("failed", "?"),
        ("half_open", "?"),
        ("refused", "?"),
        ("source", "S16"),
        ("target", "S16"),
    ]
)


class Knock(NamedTuple):
    """A row of `KNOCK`: one connection, its source not verified."""

    begin_us: int
    end_us: int
    distance: float
    """To the centre of its cluster."""
    cluster: int
    src_port: int
    dst_port: int
    protocol: int
    failed: bool
    """As the detector has it that noted the knock."""
    half_open: bool
    """SYN, SYN-ACK, RST."""
    refused: bool
    source: bytes
    target: bytes


class Knocks:
    """First knocks by key, the oldest forgotten (counted) when there are too many."""

    def __init__(self, maximum: int) -> None:
        self._rows = np.zeros(maximum, KNOCK)
        self._keys: list[bytes | None] = [None] * maximum
        self._slots: dict[bytes, int] = {}
        self._next = 0
        self.evicted = 0

    def put(self, keys: Sequence[bytes], rows: NDArray[np.void]) -> None:
        """Take in first knocks: distinct keys, none of them held; ``rows``: (n,) of `KNOCK`."""
        size = len(self._keys)
        if len(keys) > size:
            self.evicted += len(keys) - size
            keys, rows = keys[-size:], rows[-size:]
        slots = (self._next + np.arange(len(keys))) % size
        self._rows[slots] = rows
        for key, slot in zip(keys, slots.tolist(), strict=True):
            old = self._keys[slot]
            if old is not None:
                del self._slots[old]
                self.evicted += 1
            self._keys[slot] = key
            self._slots[key] = slot
        self._next = (self._next + len(keys)) % size

    def pop(self, key: bytes) -> Knock | None:
        """The knock of ``key``, and forget it; None if there is none."""
        slot = self._slots.pop(key, None)
        if slot is None:
            return None
        self._keys[slot] = None
        return Knock(*self._rows[slot].item())

    def keys(self) -> KeysView[bytes]:
        """Who knocked; a live view, quicker to ask than this object for many keys."""
        return self._slots.keys()

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, key: bytes) -> bool:
        return key in self._slots
