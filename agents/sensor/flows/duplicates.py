"""Packets that were captured twice, and segments that were sent twice, are not counted twice.

A *duplicate* is a frame with the bytes and the capture time, to the microsecond, of another one: a
capture joined to itself, or one packet seen at two places with one clock. The clock is the
capture's, so no sender can make his packets look like duplicates. They are left out altogether.

A *retransmission* is a segment of the same connection with the same sequence number and the same
bytes, soon after the first, that acknowledges about the same. It is a packet like any other, but
what it says was said already: its marks (logins, refusals, attack strings) are taken off.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict, deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.layers import TUNNEL_PORTS
from agents.sensor.flows.marks import Marks
from agents.sensor.flows.packets import TCP, UDP, Packets
from agents.sensor.flows.tcp_conversations import REACH, ahead
from datasets.captures.pcap import ETHERNET, RawPackets, rows

Ints = NDArray[np.int64]

HISTORY = 1 << 17
"""Packets that a clock which jumps back is compared with: 80 bytes each."""
MAX_SEGMENTS = 1 << 14
"""Marked segments remembered for `RETRANSMITTED_US`; then the oldest is forgotten."""
RETRANSMITTED_US = 15_000_000
"""1, 3, 7 and 15 s after the first: four time-outs of a connection (RFC 6298)."""
_HEAD = 64
"""Compared of a frame, after length and time: all headers, with TCP's checksum over the rest."""
_DEEP = 128
"""Compared besides where it may be wrapped: there other headers come first, which repeat."""


@dataclass(slots=True, eq=False)
class _Block:
    times: Ints
    lengths: Ints
    heads: NDArray[np.uint8]

    def take(self, which: Ints) -> _Block:
        return _Block(self.times[which], self.lengths[which], self.heads[which])


class Duplicates:
    """What one sensor has seen. Not thread-safe; memory is bounded."""

    def __init__(self, *, history: int | None = None) -> None:
        self._history = HISTORY if history is None else history
        self._blocks: deque[_Block] = deque()
        self._held = 0
        self._newest = np.iinfo(np.int64).min
        self._multipliers = [np.uint64(secrets.randbits(64) | 1) for _ in range(_HEAD // 8 + 2)]
        self._segments: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        self.frames = 0
        """Frames left out."""
        self.segments = 0
        """Segments whose marks were taken off."""

    def drop(self, raw: RawPackets) -> RawPackets:
        """The frames that were not seen before, in their order."""
        heads = rows(raw.data, raw.offsets, _HEAD)
        _deepen(heads, raw)
        block = _Block(raw.times_us, raw.lengths, heads)
        times = raw.times_us
        again = np.zeros(0, np.int64)
        if len(times):
            step = np.diff(times)
            if not len(step) or (step >= 0).all():
                if times[0] > self._newest:
                    if not (step > 0).all():
                        tied = np.concatenate(([False], step == 0))
                        tied[:-1] |= tied[1:]
                        again = self._among(block, np.flatnonzero(tied))
                else:
                    again = self._before(block)
            else:
                again = self._before(block)
            self._newest = max(self._newest, int(times.max()))
        if len(again):
            self.frames += len(again)
            keep = np.ones(len(raw), np.bool_)
            keep[again] = False
            kept = np.flatnonzero(keep)
            raw = raw.take(kept)
            block = block.take(kept)
        self._remember(block)
        return raw

    def unmark(self, packets: Packets, marks: Marks) -> Marks:
        """The marks without those of retransmitted segments."""
        keep = np.ones(len(marks.index), np.bool_)
        segments = np.flatnonzero(packets.protocol[marks.index] == TCP)
        if len(segments):
            keep[segments] = ~self._sent_before(packets, marks.index[segments])
        self.segments += int((~keep).sum())
        return marks.take(keep)

    def _sent_before(self, packets: Packets, which: Ints) -> NDArray[np.bool_]:
        """Which of these TCP segments are retransmissions."""
        ports = np.stack((packets.src_port[which], packets.dst_port[which]), axis=1)
        numbers = packets.sequence[which]
        heads = np.concatenate(
            (packets.src[which], packets.dst[which], ports.view(np.uint8).reshape(-1, 4)), axis=1
        )
        block = packets.data.data
        begins = packets.payload_offset[which]
        out = np.zeros(len(which), np.bool_)
        for row, (head, number, begin, end, now_us, acknowledged) in enumerate(
            zip(
                np.ascontiguousarray(heads),
                numbers.tolist(),
                begins.tolist(),
                (begins + packets.payload_length[which]).tolist(),
                packets.time_us[which].tolist(),
                packets.acknowledgement[which].tolist(),
                strict=True,
            )
        ):
            state = hashlib.blake2b(head.data, digest_size=16, key=b"%d" % number)
            state.update(block[begin:end])
            key = state.digest()
            first_us, before = self._segments.pop(key, (now_us, None))
            # A copy that acknowledges something else altogether reaches nobody: it may be there
            # only to make this one look like a repetition.
            again = before is not None and (
                abs(now_us - first_us) <= RETRANSMITTED_US
                and abs(ahead(acknowledged, before)) <= REACH
            )
            self._segments[key] = (first_us if again else now_us, acknowledged)
            if len(self._segments) > MAX_SEGMENTS:
                self._segments.popitem(last=False)
            out[row] = again
        return out

    def _remember(self, block: _Block) -> None:
        self._blocks.append(block)
        self._held += len(block.times)
        while self._held - len(self._blocks[0].times) >= self._history:
            self._held -= len(self._blocks.popleft().times)

    def _among(self, block: _Block, which: Ints) -> Ints:
        """Those of ``which`` that an earlier one of them equals."""
        keys = self._keys(block.take(which))
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        return np.sort(which[order[1:][ordered[1:] == ordered[:-1]]])

    def _before(self, block: _Block) -> Ints:
        """Those seen before, in this block or another; for a clock that does not only run on."""
        newest = np.maximum.accumulate(np.concatenate(([self._newest], block.times[:-1])))
        late = np.unique(block.times[block.times <= newest])
        if not len(late):
            return late
        same = np.flatnonzero(np.isin(block.times, late))
        again = [self._among(block, same)]
        keys = self._keys(block.take(same))
        for old in self._blocks:
            if not len(old.times) or old.times.min() > late[-1] or old.times.max() < late[0]:
                continue
            near = np.flatnonzero(np.isin(old.times, late))
            again.append(same[np.isin(keys, self._keys(old.take(near)))])
        return np.unique(np.concatenate(again))

    def _keys(self, block: _Block) -> NDArray[np.uint64]:
        """A number for each frame, equal for equal frames; collisions can't be crafted."""
        heads = block.heads.copy()
        short = np.flatnonzero(block.lengths < _HEAD)
        # What lies behind a short frame is not its own.
        heads[short] *= (np.arange(_HEAD) < block.lengths[short, None]).astype(np.uint8)
        words = heads.view("<u8").T
        out = np.zeros(len(heads), np.uint64)
        for word, multiplier in zip(
            (block.times.astype(np.uint64), block.lengths.astype(np.uint64), *words),
            self._multipliers,
            strict=True,
        ):
            out ^= word
            out *= multiplier
            out ^= out >> np.uint64(32)
        return out


def _deepen(heads: NDArray[np.uint8], raw: RawPackets) -> None:
    """Fold what follows into the heads of all frames but plain TCP and UDP over IPv4 in Ethernet:
    others may be wrapped."""
    which = np.arange(len(heads))
    if raw.link_type == ETHERNET:
        # The first byte of IPv4's type, and where in its header the protocol is.
        which = np.flatnonzero((heads[:, 12] != 8) | (heads[:, 23] != TCP))
        some = heads[which]
        datagram = (some[:, 12] == 8) & (some[:, 23] == UDP) & (some[:, 14] == 0x45)
        ports = some[:, 36].astype(np.int64) << 8 | some[:, 37]
        which = which[~datagram | (TUNNEL_PORTS[ports] > 0)]
    which = which[raw.lengths[which] > _HEAD]
    begins = raw.offsets[which] + _HEAD
    # The last frames of a block may have fewer bytes behind them.
    which, begins = which[begins + _DEEP <= len(raw.data)], begins[begins + _DEEP <= len(raw.data)]
    if not len(which):
        return
    more = rows(raw.data, begins, _DEEP)
    more *= np.arange(_HEAD, _HEAD + _DEEP) < raw.lengths[which, None]
    heads[which] ^= more[:, :_HEAD] ^ np.roll(more[:, _HEAD:], 1, axis=1)
