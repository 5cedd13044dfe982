"""Live capture: AF_PACKET with a TPACKET_V3 ring, the kernel's own packet buffer mapped into ours.

Linux, packet_mmap(7) and include/uapi/linux/if_packet.h; the numbers below are that header's. The
filter runs in the kernel (SO_ATTACH_FILTER), so packets that don't match cost nothing here.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import select
import socket
import struct
from collections.abc import Callable
from types import TracebackType

import numpy as np

from agents.sensor.capture.dissection import Instruction, compile_filter
from datasets.captures.pcap import PADDING, CaptureError, RawPackets, rows

_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_RX_RING = 5
_PACKET_STATISTICS = 6
_PACKET_VERSION = 10
_PACKET_FANOUT = 18
_PACKET_IGNORE_OUTGOING = 23
_TPACKET_V3 = 2
_FANOUT_HASH = 0
_FANOUT_IGNORE_OUTGOING = 0x4000
_MR_PROMISCUOUS = 1
_SO_ATTACH_FILTER = 26
_NOTHING: tuple[Instruction, ...] = ((6, 0, 0, 0),)
_EVERYTHING: tuple[Instruction, ...] = ((6, 0, 0, 0xFFFFFFFF),)
"""BPF programs that return how much of each packet passes."""
_ETH_P_ALL = 3
_USER = 1  # TP_STATUS_USER: the block is ours to read
_BLOCK_BYTES = 1 << 18
"""Must hold a frame of 64 KiB, which receive offload puts together."""
_RETIRE_MS = 20
"""Age at which the kernel hands over a block that isn't full."""
_KIND = 58
"""Where in a frame's header (48 bytes) and the sockaddr_ll behind it ``sll_pkttype`` is."""
_OUTGOING = 4
"""PACKET_OUTGOING; every other kind arrived."""
_MAX_READ_BLOCKS = 16
"""Blocks taken in one read: at most 4 MiB."""

# ARPHRD_ to LINKTYPE_: Ethernet, loopback and Wi-Fi in managed mode look like Ethernet; tunnels
# (tun, ppp, sit, ip6tnl, wireguard) hand over bare IP; Wi-Fi in monitor mode says so.
_LINK_TYPES = {
    1: 1, 772: 1, 65534: 101, 512: 101, 768: 101, 769: 101, 776: 101, 778: 101, 801: 105, 803: 127,
}  # fmt: skip

_BLOCK_HEAD = struct.Struct("<8xIIII").unpack_from  # status, packets, first packet, length used
_NEXT_PACKET = struct.Struct("<I").unpack_from


class InterfaceMissing(CaptureError):
    """There is no such interface, or no longer: it may come back."""


class RingMissing(CaptureError):
    """This kernel or this kind of interface has no ring for us; a slower socket may do."""


class Capture:
    """Packets of one interface. Use as a context manager, or call `close`.

    With ``fanout`` (16 bits) all captures of one interface and one number share its packets: each
    packet goes to one of them, by a hash that is the same for both directions of a connection.
    Fragments go by their addresses alone.

    Every packet is seen once: on ``lo`` outgoing copies are left to the kernel (each is also
    received there); elsewhere both directions are seen, also what this host itself sends.

    Raises:
        InterfaceMissing: no such interface.
        RingMissing: the kernel or the hardware type allows no ring.
        CaptureError: no permission, a filter that does not compile, a fan-out of another kind.
    """

    def __init__(
        self,
        interface: str,
        filter_expression: str = "",
        *,
        ring_bytes: int = 16 << 20,
        promiscuous: bool = True,
        fanout: int | None = None,
        open_: Callable[[], socket.socket] | None = None,
    ) -> None:
        """``open_``: who has the right to open a packet socket; by default we."""
        self.interface = interface
        self._fanout = fanout
        self._blocks = max(ring_bytes // _BLOCK_BYTES, 2)
        self._next = 0
        self._dropped = 0
        self._index = interface_index(interface)
        try:
            # Protocol 0: nothing arrives before the filter stands and `bind` names the interface.
            self._socket = open_() if open_ else socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError as e:
            raise CaptureError(
                f"capturing on {interface!r} needs CAP_NET_RAW: run as root or in a namespace"
            ) from e
        try:
            self._open(filter_expression, promiscuous)
        except OSError as e:
            self._socket.close()
            raise CaptureError(f"can't capture on {interface!r}: {e.strerror or e}") from e
        except CaptureError:
            self._socket.close()
            raise

    def _open(self, filter_expression: str, promiscuous: bool) -> None:
        sock = self._socket
        hardware = _hardware_type(sock, self.interface)
        if hardware not in _LINK_TYPES:
            raise RingMissing(f"{self.interface!r} has hardware type {hardware}, not known here")
        self.link_type = _LINK_TYPES[hardware]
        try:
            self._ask_for_ring(sock)
        except OSError as e:
            raise RingMissing(f"no capture ring for {self.interface!r} ({e.strerror or e})") from e
        if self.interface == "lo":
            sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        program = _EVERYTHING
        if filter_expression:
            program = compile_filter(filter_expression, self.link_type)
        # Between `bind` and joining the group the socket would see what others of it see, too.
        _attach(sock, program if self._fanout is None else _NOTHING)
        if promiscuous and self.interface != "lo":
            membership = struct.pack("iHH8x", self._index, _MR_PROMISCUOUS, 0)
            sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
        self._ring = mmap.mmap(sock.fileno(), _BLOCK_BYTES * self._blocks)
        sock.bind((self.interface, _ETH_P_ALL))
        if self._fanout is not None:
            # The group has a hook of its own: what the socket ignores must be said to it again.
            flags = _FANOUT_IGNORE_OUTGOING if self.interface == "lo" else 0
            sock.setsockopt(
                _SOL_PACKET, _PACKET_FANOUT, self._fanout | (_FANOUT_HASH | flags) << 16
            )
            _attach(sock, program)
        self._poll = select.poll()
        self._poll.register(sock.fileno(), select.POLLIN | select.POLLERR)

    def _ask_for_ring(self, sock: socket.socket) -> None:
        sock.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
        frame = 2048
        request = struct.pack(
            "7I",
            _BLOCK_BYTES,
            self._blocks,
            frame,
            _BLOCK_BYTES * self._blocks // frame,
            _RETIRE_MS,
            0,
            0,
        )
        sock.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)

    def __enter__(self) -> Capture:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the ring back to the kernel; may be called twice."""
        self._ring.close()
        self._socket.close()

    def read(self, timeout_s: float) -> RawPackets:
        """What has arrived, after waiting at most ``timeout_s`` for the first; may be empty.

        Raises:
            InterfaceMissing: open a new `Capture` when it is back.
        """
        if not self._ready():
            for _, event in self._poll.poll(timeout_s * 1000):
                if event & (select.POLLERR | select.POLLHUP | select.POLLNVAL):
                    self._check_error()
        parts: list[bytes] = []
        found: list[int] = []
        append = found.append
        base = 0
        for _ in range(_MAX_READ_BLOCKS):
            if not self._ready():
                break
            begin = self._next * _BLOCK_BYTES
            _, count, first, used = _BLOCK_HEAD(self._ring, begin)
            part = self._ring[begin : begin + used]
            at = first
            # One step a packet, so as little as possible in it; the rest is read for all at once.
            for _ in range(count):
                append(base + at)
                at += _NEXT_PACKET(part, at)[0]
            parts.append(part)
            base += len(part)
            struct.pack_into("<I", self._ring, begin + 8, 0)  # back to the kernel
            self._next = (self._next + 1) % self._blocks
        data = np.frombuffer(b"".join((*parts, bytes(PADDING))), np.uint8)
        heads = np.array(found, np.int64)
        # Next packet, seconds, nanoseconds, captured, wire, status, offset of the frame (16 bits).
        fields = rows(data, heads, 28).view("<u4").astype(np.int64)
        return RawPackets(
            data,
            heads + (fields[:, 6] & 0xFFFF),
            fields[:, 3].copy(),
            fields[:, 4].copy(),
            fields[:, 1] * 1_000_000 + fields[:, 2] // 1000,
            self.link_type,
            np.where(data[heads + _KIND] == _OUTGOING, -1, 1).astype(np.int8),
            (self.interface,),
        )

    def dropped(self) -> int:
        """Packets lost since the capture was opened, because the ring was full."""
        # Reading resets the kernel's counters.
        raw = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 12)
        self._dropped += struct.unpack("III", raw)[1]
        return self._dropped

    def _ready(self) -> bool:
        status: int = _BLOCK_HEAD(self._ring, self._next * _BLOCK_BYTES)[0]
        return bool(status & _USER)

    def _check_error(self) -> None:
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number in (0, errno.ENETDOWN) and self._still_there():
            return  # down: the kernel hooks us in again when it comes up
        raise InterfaceMissing(f"capture on {self.interface!r} ended: the interface is gone")

    def _still_there(self) -> bool:
        return index_by(self._socket, self.interface) == self._index


_SIOCGIFINDEX = 0x8933
_INDEX = struct.Struct("16si20x")
"""struct ifreq with its number: the name, 32 bits, padding up to 40 bytes."""


def index_by(sock: socket.socket, interface: str) -> int:
    """Its number, asked by a socket that is open: needs no descriptor. 0 if there is none."""
    try:
        answer = fcntl.ioctl(sock, _SIOCGIFINDEX, _INDEX.pack(interface.encode(), 0))
    except OSError:
        return 0
    return int(_INDEX.unpack(answer[: _INDEX.size])[1])


def interface_index(interface: str) -> int:
    """Its number in this thread's network namespace. Raises: InterfaceMissing."""
    try:
        return socket.if_nametoindex(interface)
    except (OSError, ValueError) as e:
        known = ", ".join(name for _, name in socket.if_nameindex())
        raise InterfaceMissing(f"there is no interface {interface!r} (there are: {known})") from e


def _hardware_type(sock: socket.socket, interface: str) -> int:
    """ARPHRD_ number; bound without a protocol, the socket still receives nothing."""
    sock.bind((interface, 0))
    number: int = sock.getsockname()[3]
    return number


def _attach(sock: socket.socket, program: tuple[Instruction, ...]) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *i) for i in program))
    # struct sock_fprog: length, then a pointer.
    sock.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        struct.pack("HL", len(program), ctypes.addressof(code)),
    )
