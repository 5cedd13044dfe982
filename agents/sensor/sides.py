"""Which way a frame came, and what it can prove: a check of the reverse path, on the sensor's side.

AF_PACKET sees a frame before the kernel's ``rp_filter`` drops it, and IPv6 has no such filter. So
whoever reaches the strangers' side of a gateway can put both halves of a conversation there. Here a
frame counts only if its source lives on the side that it came from (RFC 3704 section 2.2), by the
honeynet file and by the kernel's routes (decision 0005). Pure: who captures says what came which
way (`RawPackets.came`).
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.packets import ACK, ARP, FIN, RST, SYN, TCP, Packets
from agents.sensor.grounds import (
    HERE,
    OTHERS,
    SPECIAL,
    Ground,
    Grounds,
    lives_inside,
)
from datasets.captures.pcap import RawPackets, rows

Mask = NDArray[np.bool_]
Words = NDArray[np.uint64]

COPY_US: Final = 1_000_000
"""A forged frame that the kernel sends back out again leaves within this time."""
MAX_COPIES: Final = 65_536
"""Forged segments remembered for `COPY_US`; then the oldest is forgotten."""
_COOKED_V1, _COOKED_V2 = 113, 276
_TUNNEL: Final = 0  # stands here for what carries a packet, by whatever protocol
_OUTGOING: Final = 4  # PACKET_OUTGOING, linux/if_packet.h


class SideJudge:
    """Says of decoded packets which of them can prove nothing. Not thread-safe; memory is bounded.

    Args:
        assumed: side on which a capture without interfaces was taken, as of a file. Frames of
            Linux cooked captures say which way they came; of all others none is known to have left.
    """

    def __init__(self, grounds: Grounds | None = None, *, assumed: Ground | None = None) -> None:
        self.grounds = grounds or Grounds()
        """May be set from another thread."""
        self._assumed = assumed
        self._copies = np.zeros(0, np.uint64)
        self._copied_us = np.zeros(0, np.int64)
        self._multipliers = [np.uint64(secrets.randbits(64) | 1) for _ in range(10)]
        self.counters: Counter[str] = Counter()
        """``forged``: came in the name of a host on the other side. ``elsewhere``: came from
        outside in the name of another node or its honeypots, so it may be real. ``passing``: a
        segment on the outside with no end inside. The first is counted as ``capture.NAME.forged``
        as well."""

    def take_counters(self) -> Counter[str]:
        """What was counted since the last call."""
        counters, self.counters = self.counters, Counter()
        return counters

    def believed(self, raw: RawPackets, packets: Packets) -> Mask | None:
        """Which packets count as evidence; None if all do."""
        came, interfaces = raw.came, raw.interfaces
        if came is None and self._assumed is not None:
            came, interfaces = _cooked_ways(raw), ("",)
        if came is None or not len(packets):
            return None
        came = came[packets.index]
        if packets.outer is not None:
            packets = _on_the_wire(packets, packets.outer[:, 0])
        out = np.ones(len(packets), np.bool_)
        grounds = self.grounds
        for number, name in enumerate(interfaces, 1):
            some = np.abs(came) == number if len(interfaces) > 1 else came != 0
            if name == "" and self._assumed is not None:
                forged = self._outside(self._assumed, packets, some, came > 0, out)
            elif name in grounds.by_name:
                ground = grounds.by_name[name]
                if grounds.sides[name] == "outside":
                    forged = self._outside(ground, packets, some, came > 0, out)
                else:
                    forged = self._inside(ground, packets, some, came > 0)
            elif name in grounds.other and name not in grounds.sides:
                forged = _by_routes(grounds.other[name], packets, some & (came > 0))
            else:
                continue
            count = int(forged.sum())
            if count:
                out &= ~forged
                self.counters["forged"] += count
                if name:
                    self.counters[f"capture.{name}.forged"] += count
        return None if out.all() else out

    def _outside(
        self, ground: Ground, packets: Packets, some: Mask, arrived: Mask, out: Mask
    ) -> Mask:
        """The forged ones of ``some``; what else proves nothing is taken off ``out``."""
        source = ground.look_up(packets.src, packets.ip_version)
        inner = lives_inside(source)
        claims = some & arrived & inner & (packets.protocol != ARP)
        elsewhere = claims & (source & OTHERS > 0) & ~lives_inside(source & ~np.uint8(OTHERS))
        # A conversation of two strangers is none of this gateway's: whoever writes both halves of
        # it here is believed no more than with a honeypot's. A first SYN accuses nobody for sure.
        inner_end = np.where(
            arrived, lives_inside(ground.look_up(packets.dst, packets.ip_version)), inner
        )
        knock = packets.flags & (SYN | ACK | FIN | RST) == SYN
        knock &= packets.payload_bytes == 0
        passing = some & ~inner_end & ~inner & (packets.protocol == TCP) & ~knock
        out &= ~(elsewhere | passing)
        self.counters["elsewhere"] += int(elsewhere.sum())
        self.counters["passing"] += int(passing.sum())
        forged: Mask = claims & ~elsewhere
        forged |= self._sent_back(packets, claims, some & ~arrived & inner)
        return forged

    def _inside(self, ground: Ground, packets: Packets, some: Mask, arrived: Mask) -> Mask:
        """What comes from the inside must be routed there (a honeypot that was taken over can write
        any source); without a route through it nothing can be said."""
        if not ground.reached:
            return np.zeros(len(packets), np.bool_)
        source = ground.look_up(packets.src, packets.ip_version)
        forged: Mask = some & (source & (HERE | SPECIAL) == 0) & (packets.protocol != ARP)
        left = forged & ~arrived
        forged &= arrived
        return forged | self._sent_back(packets, forged, left)

    def _sent_back(self, packets: Packets, claimed: Mask, left: Mask) -> Mask:
        """Segments that only left because the kernel forwarded a forged one out again: without
        ``rp_filter``, as with IPv6, it does. All but hop count and hardware addresses is as it
        came."""
        back = np.zeros(len(packets), np.bool_)
        tcp = (packets.protocol == TCP) | (packets.protocol == _TUNNEL)
        fresh = np.flatnonzero(claimed & tcp)
        if not len(fresh) and not len(self._copies):
            return back
        now_us = int(packets.time_us[-1])
        young = self._copied_us >= now_us - COPY_US
        keys = np.concatenate((self._copies[young], self._keys(packets, fresh)))
        times = np.concatenate((self._copied_us[young], packets.time_us[fresh]))
        if len(keys) > MAX_COPIES:
            self.counters["copies_forgotten"] += len(keys) - MAX_COPIES
            keys, times = keys[-MAX_COPIES:], times[-MAX_COPIES:]
        self._copies, self._copied_us = keys, times
        leaving = np.flatnonzero(left & tcp)
        if len(leaving) and len(keys):
            back[leaving[np.isin(self._keys(packets, leaving), keys)]] = True
        return back

    def _keys(self, packets: Packets, some: NDArray[np.int64]) -> Words:
        """A number for each segment, equal for equal ones: its addresses, and header and payload
        around the end of its header. What others know can't be made to meet."""
        words = np.hstack(
            (
                packets.src[some].view("<u8"),
                packets.dst[some].view("<u8"),
                rows(packets.data, packets.payload_offset[some] - 20, 32).view("<u8"),
                packets.payload_bytes[some].astype("<u8")[:, None],
            )
        )
        # Behind a segment's payload other bytes follow: they are none of its own.
        short = np.clip(packets.payload_length[some], 0, 12).astype(np.int64)
        beyond = np.arange(12) >= short[:, None]
        words.view(np.uint8)[:, 52:64][beyond] = 0
        out = (packets.src_port[some].astype(np.uint64) << np.uint64(16)) | packets.dst_port[some]
        for column, multiplier in zip(words.T, self._multipliers, strict=False):
            out ^= column
            out *= multiplier
            out ^= out >> np.uint64(32)
        return out


def _on_the_wire(packets: Packets, ends: NDArray[np.uint8]) -> Packets:
    """What came in a tunnel comes from where the tunnel does: the ends of what it carries live
    somewhere else, maybe on another wire. ``ends``: of the outermost tunnels, 0 where none is."""
    inside = ends.any(axis=1)
    src, dst = packets.src.copy(), packets.dst.copy()
    src[inside], dst[inside] = ends[inside, :16], ends[inside, 16:]
    mapped = (ends[:, :10] == 0).all(axis=1) & (ends[:, 10:12] == 255).all(axis=1)
    version = np.where(inside, np.where(mapped, 4, 6), packets.ip_version).astype(np.uint8)
    # The tunnel is no TCP of two strangers, whatever is in it.
    protocol = np.where(inside, _TUNNEL, packets.protocol).astype(np.uint8)
    return replace(packets, src=src, dst=dst, ip_version=version, protocol=protocol)


def _by_routes(ground: Ground, packets: Packets, arrived: Mask) -> Mask:
    if not arrived.any():
        return np.zeros(len(packets), np.bool_)
    source = ground.look_up(packets.src, packets.ip_version)
    forged: Mask = arrived & lives_inside(source) & (packets.protocol != ARP)
    return forged


def _cooked_ways(raw: RawPackets) -> NDArray[np.int8]:
    """1 for what arrived or may have, -1 for what this host sent (LINKTYPE_LINUX_SLL, _SLL2)."""
    came = np.ones(len(raw), np.int8)
    if raw.link_type == _COOKED_V1:
        whole = raw.lengths >= 16
        kinds = rows(raw.data, raw.offsets[whole], 2).view(">u2")[:, 0]
        came[np.flatnonzero(whole)[kinds == _OUTGOING]] = -1
    elif raw.link_type == _COOKED_V2:
        whole = raw.lengths >= 20
        came[np.flatnonzero(whole)[raw.data[raw.offsets[whole] + 10] == _OUTGOING]] = -1
    return came
