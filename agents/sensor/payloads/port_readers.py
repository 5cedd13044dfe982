"""Protocols that are known by their responder's port: which packets are read, and what they say.

Nearly all packets of such ports are passed over by their first bytes, which are compared for a
whole block at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.packets import TCP, UDP, Ints, Packets
from agents.sensor.payloads import bot_commands, controllers, sip, windows_services
from datasets.captures.pcap import rows

FROM_PORTS = sip.PORTS
TO_PORTS = (*sip.PORTS, *controllers.PORTS, *bot_commands.PORTS, *windows_services.PORTS)
"""What comes from services at these ports, and goes to them, may be read."""
MAX_BYTES = 2048
"""Read of one payload."""
_HEAD = controllers.HEAD
_TELNET = np.zeros(1 << 16, np.bool_)
_TELNET[[*bot_commands.PORTS]] = True
_OLD_SMB, _NEW_SMB = (int.from_bytes(word, "little") for word in (b"\xffSMB", b"\xfeSMB"))
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
        self._bots = bot_commands.BotCommands()
        self._windows = windows_services.WindowsServices()
        self._told: dict[int, int] = {}
        """Indicators of the block's packets that their first bytes have told."""

    def choose(self, packets: Packets, near: NDArray[np.bool_]) -> tuple[Ints, NDArray[np.bool_]]:
        """Which of the packets ``near`` their ports have something to read, ascending, and which of
        these are read though nobody has answered: over UDP a question is all that there is."""
        self._told.clear()
        which = np.flatnonzero(near & (packets.payload_length >= 4))
        if not len(which):
            return which, np.zeros(0, np.bool_)
        heads = rows(packets.data, packets.payload_offset[which], _HEAD)
        udp = packets.protocol[which] == UDP
        tcp = packets.protocol[which] == TCP
        some = self._sip_messages(packets, which, heads) & (udp | tcp)
        some |= self._controllers(packets, which, heads) & tcp
        some |= self._shells_and_windows(packets, which, heads) & tcp
        return which[some], udp[some]

    @staticmethod
    def _shells_and_windows(
        packets: Packets, which: Ints, heads: NDArray[np.uint8]
    ) -> NDArray[np.bool_]:
        ports = packets.dst_port[which]
        some: NDArray[np.bool_] = _TELNET.take(ports)
        some &= packets.payload_length[which] >= bot_commands.LEAST
        # NetBIOS' length, SMB's name, a command that says something.
        smb = (ports == windows_services.SMB) & (heads[:, 0] == 0)
        if smb.any():
            name = heads[:, 4:8].copy().view("<u4")[:, 0]
            old = (name == _OLD_SMB) & np.isin(heads[:, 8], windows_services.OLD_COMMANDS)
            new = (name == _NEW_SMB) & np.isin(heads[:, 16], windows_services.NEW_COMMANDS)
            some |= smb & (old | new)
        # TPKT, X.224 data, the tag of connect-initial.
        rdp = (ports == windows_services.RDP) & (heads[:, 0] == 3) & (heads[:, 5] == 0xF0)
        some |= rdp & (heads[:, 7] == 0x7F) & (heads[:, 8] == 0x65)
        return some

    def _controllers(
        self, packets: Packets, which: Ints, heads: NDArray[np.uint8]
    ) -> NDArray[np.bool_]:
        told = np.zeros(len(which), np.int64)
        ports, lengths = packets.dst_port[which], packets.payload_length[which]
        for port, look in (
            (controllers.MODBUS, controllers.modbus),
            (controllers.S7, controllers.s7),
        ):
            own = ports == port
            if own.any():
                told[own] = look(heads[own], lengths[own])
        some = told > 0
        self._told.update(zip(which[some].tolist(), told[some].tolist(), strict=True))
        return some

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
        found: dict[int, Found] = {}
        for packet, begin, end, time_us in zip(
            which.tolist(),
            begins.tolist(),
            ends.tolist(),
            packets.time_us[which].tolist(),
            strict=True,
        ):
            told = self._told.get(packet)
            if told is not None:
                found[packet] = 0, 0, told
                continue
            payload, port = block[begin:end].tobytes(), int(packets.dst_port[packet])
            if port in bot_commands.PORTS:
                found[packet] = 0, 0, self._bots.look(payload)
                continue
            if port == windows_services.RDP:
                found[packet] = 0, 0, self._windows.rdp(payload)
                continue
            source, target = packets.src[packet].tobytes(), packets.dst[packet].tobytes()
            if port == windows_services.SMB:
                ends = source + target + int(packets.src_port[packet]).to_bytes(2, "big")
                found[packet] = 0, 0, self._windows.smb(payload, ends)
                continue
            found[packet] = self._sip.look(payload, source, target, time_us)
        return found
