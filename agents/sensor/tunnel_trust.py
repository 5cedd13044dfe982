"""Whose tunnels prove anything.

Anybody can send a GRE or VXLAN packet to a honeypot, and write both halves of another host's
conversation into it, numbers and all. So what came in a tunnel is judged apart from all else and is
never verified, unless every tunnel around it begins at an address that the operator named: a mirror
of his, or a tunnel of his network. The ends of a named tunnel are context and accused of nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.layers import TUNNEL_LAYERS, TUNNEL_PORTS
from agents.sensor.flows.packets import Bytes, Packets
from ontology.addresses import packed
from ontology.records import Address

Mask = NDArray[np.bool_]


class TunnelTrust:
    """Sorts the packets of one sensor.

    Args:
        named: where tunnels begin that are believed.
        guess: of a file that nobody has said anything of: if all of its first block came in tunnels
            between two addresses, and neither is ``own`` or an end of what they carry, it is what a
            mirror sent to its collector.
        own: hosts that strangers can send tunnels to.
    """

    def __init__(
        self,
        named: Iterable[Address] = (),
        *,
        guess: bool = False,
        own: Collection[Address] = (),
    ) -> None:
        self._named = [_packed(address) for address in named]
        self._guess = guess
        self._own = [_packed(address) for address in own]

    def sort(self, packets: Packets) -> tuple[Mask | None, Mask | None]:
        """(packets in tunnels that prove nothing, tunnels' own packets to leave out); None: none.

        What is left of a named tunnel without being opened (a fragment, a layer that can't be read)
        is nobody's act.
        """
        if self._guess and len(packets):
            self._guess = False
            self._look(packets)
        if packets.outer is None and not self._named:
            return None, None
        return self._loose(packets), self._left(packets)

    def _loose(self, packets: Packets) -> Mask | None:
        if packets.outer is None:
            return None
        sources = packets.outer[:, :, :16]
        believed: Mask = (sources == 0).all(axis=2)
        for address in self._named:
            believed = believed | np.all(sources == address, axis=2)
        loose: Mask = ~np.all(believed, axis=1)
        return loose if loose.any() else None

    def _left(self, packets: Packets) -> Mask | None:
        if not self._named:
            return None
        carries = TUNNEL_LAYERS[packets.protocol] > 0
        carries |= (packets.protocol == 17) & (TUNNEL_PORTS[packets.dst_port] > 0)
        # Later fragments of datagrams have no ports.
        carries |= packets.fragment
        which = np.flatnonzero(carries)
        if packets.outer is not None:
            which = which[~packets.outer[which, 0].any(axis=1)]
        ours = np.zeros(len(packets), np.bool_)
        for address in self._named:
            ours[which] |= (packets.src[which] == address).all(axis=1)
        return ours if ours.any() else None

    def _look(self, packets: Packets) -> None:
        if packets.outer is None or packets.outer[:, 1:].any():
            return
        ends = packets.outer[:, 0]
        inside = ~(ends == 0).all(axis=1)
        pair = ends[int(inside.argmax())]
        source, target = pair[:16], pair[16:]
        outer = np.where(inside[:, None], ends, np.hstack((packets.src, packets.dst)))
        if (outer != pair).any():
            return
        inner = np.vstack((packets.src[inside], packets.dst[inside]))
        for end in (source, target):
            if np.all(inner == end, axis=1).any() or any(np.all(end == o) for o in self._own):
                return
        self._named.append(source)


def _packed(address: Address) -> Bytes:
    return np.frombuffer(packed(address), np.uint8)
