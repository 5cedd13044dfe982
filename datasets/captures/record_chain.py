"""Where the records of a pcap buffer begin: a chain, since each holds only its own length.

In Python one step a record costs as much as all of a packet's headers. So the chain is walked from
many places at once, at which a record seems to begin, and what is found counts only where the walk
from one place came exactly to the next: the result is that of the plain walk, whatever a sender
put into his packets to look like a record.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from datasets.captures.capture_files import MAX_PACKET, rows

Ints = NDArray[np.int64]

_HEADER = 16
_STRIDE = 1 << 14
"""Bytes between two places. Fewer places make longer walks, more are more to look for."""
_LOOK = 2048
"""Bytes searched for a place."""
_FEW = 16
"""Walks worth walking together."""
_STEPS = 8
"""Steps of all walks before it is seen who has come to the next place."""
_SMALL = 8
"""The walks take at most one step in so many bytes: after long ones, short ones would go on."""


def record_offsets(data: NDArray[np.uint8], end: int, order: str) -> Ints:
    """Offsets of the records whose headers lie whole in ``data[:end]``, the first at 0.

    No length is judged: contents may end behind ``end``. ``data`` must reach 64 bytes beyond it;
    ``order``: of the file's bytes, "<" or ">".
    """
    begins = _places(data, end, order)
    if len(begins) < _FEW:
        return _walk(data, 0, end, end, order)[0]
    limits = np.append(begins[1:], max(end - _HEADER + 1, 0))
    steps = _walk_all(data, begins, limits, end, order)
    inside = steps < limits
    counts = inside.sum(axis=0)
    found = steps.T[inside.T]
    arrived = counts < len(steps)
    stops = steps[np.where(arrived, counts, -1), np.arange(len(begins))]
    if arrived.all() and (stops[:-1] == begins[1:]).all():
        return found
    parts: list[Ints] = []
    at = 0
    for begin, limit, stop, done, part in zip(
        begins.tolist(),
        limits.tolist(),
        stops.tolist(),
        arrived.tolist(),
        np.split(found, np.cumsum(counts)[:-1]),
        strict=True,
    ):
        if begin < at:
            continue  # inside a packet: not the beginning of a record
        if begin > at:
            between, at = _walk(data, at, begin, end, order)
            parts.append(between)
            if at != begin:
                continue
        parts.append(part if done else part[:-1])
        at = stop
        if not done:
            rest, at = _walk(data, at, limit, end, order)
            parts.append(rest)
    return np.concatenate([*parts, _walk(data, at, end, end, order)[0]])


def _places(data: NDArray[np.uint8], end: int, order: str) -> Ints:
    """0 and where else a record seems to begin: there, and behind it, stand the upper two bytes of
    the first record's seconds."""
    seeds = np.arange(_STRIDE, end - _LOOK, _STRIDE)
    first = np.zeros(1, np.int64)
    if len(seeds) < _FEW:
        return first
    skip = 2 if order == "<" else 0
    near = rows(data, seeds, _LOOK)
    same = near[:, skip:-1] == data[skip]
    same &= near[:, skip + 1 :] == data[skip + 1]
    at = seeds + same.argmax(axis=1)
    length = rows(data, at + 8, 4).view(order + "u4")[:, 0]
    behind = np.minimum(at + _HEADER + length, end)
    alike = rows(data, behind + skip, 2) == data[skip : skip + 2]
    return np.concatenate((first, at[(length <= MAX_PACKET) & alike.all(axis=1)]))


def _walk_all(data: NDArray[np.uint8], begins: Ints, limits: Ints, end: int, order: str) -> Ints:
    """(steps, places): where the walk from each place stands, until all have come to their limits
    or some are far behind the others. None goes beyond ``end``."""
    lengths = np.ndarray((len(data) - 3,), order + "u4", data, strides=(1,))
    chunks: list[Ints] = []
    at = begins
    most = end // (_SMALL * _STEPS * len(begins))
    while len(chunks) <= most and (at < limits).any():
        chunk = np.empty((_STEPS, len(begins)), np.int64)
        for row in chunk:
            row[:] = at
            at = at + lengths[at + 8]
            at += _HEADER
            np.minimum(at, end, out=at)
        chunks.append(chunk)
    return np.concatenate(chunks)


def _walk(data: NDArray[np.uint8], at: int, stop: int, end: int, order: str) -> tuple[Ints, int]:
    """Offsets from ``at`` to ``stop``, and where the last of these records ends."""
    captured = struct.Struct(order + "8xI4x").unpack_from
    buffer = data.data[:end]
    found: list[int] = []
    append = found.append
    # One step a packet, so as little as possible in it.
    try:
        while at < stop:
            (length,) = captured(buffer, at)
            append(at)
            at += length + _HEADER
    except struct.error:
        pass  # no whole record header is left
    return np.array(found, np.int64), at
