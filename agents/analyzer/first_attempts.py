"""The first failed attempt of a source, kept as one row until there is a second.

A flood with forged sources consists of them: nearly every pair of hosts tries once and never again.
A pair that does come back needs a track (sets, dictionaries, a finding: 2 kB); for the first
attempt a row of 68 bytes will do, from which the track is made if there is a second.
"""

from __future__ import annotations

from collections.abc import KeysView, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ATTEMPT = np.dtype(
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


class Attempt(NamedTuple):
    """A row of `ATTEMPT`: one connection, its source not verified."""

    begin_us: int
    end_us: int
    distance: float
    """To the centre of its cluster."""
    cluster: int
    src_port: int
    dst_port: int
    protocol: int
    failed: bool
    """As the detector has it that noted the attempt."""
    half_open: bool
    """SYN, SYN-ACK, RST."""
    refused: bool
    source: bytes
    target: bytes


class FirstAttempts:
    """First attempts by key, the oldest forgotten (counted) when there are too many."""

    def __init__(self, maximum: int) -> None:
        self._rows = np.zeros(maximum, ATTEMPT)
        self._keys: list[bytes | None] = [None] * maximum
        self._slots: dict[bytes, int] = {}
        self._next = 0
        self.evicted = 0

    def put(self, keys: Sequence[bytes], rows: NDArray[np.void]) -> None:
        """Take in first attempts: distinct keys, none of them held; ``rows``: (n,) of `ATTEMPT`."""
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

    def pop(self, key: bytes) -> Attempt | None:
        """The attempt of ``key``, and forget it; None if there is none."""
        slot = self._slots.pop(key, None)
        if slot is None:
            return None
        self._keys[slot] = None
        return Attempt(*self._rows[slot].item())

    def keys(self) -> KeysView[bytes]:
        """Whose first attempt is held: a live view, the quicker way to ask for many keys."""
        return self._slots.keys()

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, key: bytes) -> bool:
        return key in self._slots
