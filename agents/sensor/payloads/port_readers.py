"""Protocols that are known by their responder's port: which packets are read, and what they say.

Nearly all packets of such ports are passed over by their first bytes, which are compared for a
whole block at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.packets import TCP, UDP, Ints, Packets
from agents.sensor.payloads import sip
from datasets.captures.pcap import rows

PORTS = sip.PORTS
MAX_BYTES = 2048
"""Read of one payload."""
_HEAD = 32
_SIP = np.zeros(1 << 16, np.bool_)
_SIP[[*sip.PORTS]] = True
_SIP_WORDS = np.array([int.from_bytes(word, "little") for word in sip.BEGINNINGS], np.uint32)
_ANSWER, _CLIENT_ERROR = _SIP_WORDS[-1], ord("4")

Found = tuple[int, int, int]
"""(refused logins, logins, indicators)."""


class PortReaders:
    """Not thread-safe."""

    def __init__(self) -> None:
        self._sip = sip.SipReader()

    def choose(self, packets: Packets, near: NDArray[np.bool_]) -> tuple[Ints, NDArray[np.bool_]]:
        """Which of the packets ``near`` their ports have something to read, ascending, and which of
        these are read though nobody has answered: over UDP a question is all that there is."""
        which = np.flatnonzero(near & (packets.payload_length >= 4))
        heads = rows(packets.data, packets.payload_offset[which], _HEAD)
        udp = packets.protocol[which] == UDP
        some = self._sip_messages(packets, which, heads) & (udp | (packets.protocol[which] == TCP))
        return which[some], udp[some]

    @staticmethod
    def _sip_messages(packets: Packets, which: Ints, heads: NDArray[np.uint8]) -> NDArray[np.bool_]:
        near = _SIP.take(packets.dst_port[which]) | _SIP.take(packets.src_port[which])
        words = heads[:, :4].copy().view("<u4")[:, 0]
        out: NDArray[np.bool_] = near & np.isin(words, _SIP_WORDS)
        out &= (words != _ANSWER) | (heads[:, 8] == _CLIENT_ERROR)
        return out

    def read(self, packets: Packets, which: Ints) -> dict[int, Found]:
        """What packets ``which`` (ascending, of the chosen ones) say."""
        block = packets.data.data
        begins = packets.payload_offset[which]
        ends = begins + np.minimum(packets.payload_length[which], MAX_BYTES)
        return {
            packet: self._sip.look(
                block[begin:end].tobytes(),
                packets.src[packet].tobytes(),
                packets.dst[packet].tobytes(),
                time_us,
            )
            for packet, begin, end, time_us in zip(
                which.tolist(),
                begins.tolist(),
                ends.tolist(),
                packets.time_us[which].tolist(),
                strict=True,
            )
        }
