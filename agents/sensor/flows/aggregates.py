"""802.11 frames that hold several packets (A-MSDU, IEEE 802.11 section 9.3.2.2), taken apart.

Each part has a head as of Ethernet, whose type is a length, and is filled up to four bytes. A frame
whose first part can't be right stays whole, and counts as what could not be read.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.layers import (
    AGGREGATE,
    ETHERNET,
    LINK_LAYERS,
    PER_PACKET,
    RADIOTAP,
    WIFI,
)
from agents.sensor.flows.packets import Bytes, Ints
from agents.sensor.flows.peeling import peel, word
from datasets.captures.pcap import rows

MAX_PARTS: Final = 64
"""Of one frame: 7,935 bytes are the longest that most may send, 11,454 the longest at all."""
LONGEST: Final = 2304
"""Bytes of a part (IEEE 802.11: the longest MSDU)."""
_HEAD: Final = 14


class Parts(NamedTuple):
    """What frames hold, in their order, and those that hold one packet as they are."""

    frame: Ints
    """Number of the frame that each comes from."""
    offsets: Ints
    lengths: Ints
    wire_lengths: Ints
    layers: Ints
    """What each begins with."""


def parts_of(data: Bytes, offsets: Ints, lengths: Ints, link_type: int) -> Parts | None:
    """None if no frame holds several; wire lengths of the others are their lengths.

    ``data`` reaches `datasets.captures.pcap.PADDING` bytes beyond the last packet.
    """
    first = LINK_LAYERS.get(link_type, 0)
    if first not in (WIFI, RADIOTAP, PER_PACKET):
        return None
    ends = offsets + lengths
    at, layer = peel(data, offsets.copy(), ends, np.full(len(offsets), first, np.int64))
    which = np.flatnonzero(layer == AGGREGATE)
    taken: list[tuple[Ints, Ints, Ints]] = []
    frames, at = which, at[which]
    for _ in range(MAX_PARTS):
        fits = at + _HEAD <= ends[frames]
        frames, at = frames[fits], at[fits]
        size = word(rows(data, at, _HEAD), 12)
        good = (size >= 8) & (size <= LONGEST)
        frames, at, size = frames[good], at[good], size[good]
        if not len(frames):
            break
        taken.append((frames, at, _HEAD + size))
        at = at + ((_HEAD + size + 3) & ~3)
    if not taken:
        return None
    frame, begin, size = (np.concatenate(column) for column in zip(*taken, strict=True))
    whole: NDArray[np.bool_] = np.ones(len(offsets), np.bool_)
    whole[frame] = False
    rest = np.flatnonzero(whole)
    frames = np.concatenate((rest, frame))
    begins = np.concatenate((offsets[rest], begin))
    order = np.lexsort((begins, frames))
    captured = np.concatenate((lengths[rest], np.minimum(size, ends[frame] - begin)))
    wire = np.concatenate((lengths[rest], size))
    layers = np.where(np.arange(len(frames)) < len(rest), first, ETHERNET)
    return Parts(frames[order], begins[order], captured[order], wire[order], layers[order])
