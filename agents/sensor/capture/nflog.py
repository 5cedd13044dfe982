"""Packets that netfilter logs to a group: ``nft add rule … log group 5`` (nfnetlink_log).

A rule decides what the sensor sees, also of what is dropped: the kernel's own sensors of a gateway.
Layouts: ``linux/netfilter/nfnetlink.h``, ``linux/netfilter/nfnetlink_log.h``. A group has one
reader in each network namespace; it is that of the thread that opens it.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np

from agents.clock import now_us
from datasets.captures.pcap import ETHERNET, PADDING, CaptureError, RawPackets

_NETLINK_NETFILTER: Final = 12
_SO_RCVBUFFORCE: Final = 33
_BUFFER: Final = 32 << 20
_F_REQUEST, _F_ACK = 0x1, 0x4
_ERROR, _DONE = 2, 3
_ULOG: Final = 4  # NFNL_SUBSYS_ULOG
_PACKET, _CONFIG = 0, 1
_CFG_CMD, _CFG_MODE, _CFG_NLBUFSIZ, _CFG_TIMEOUT, _CFG_QTHRESH, _CFG_FLAGS = range(1, 7)
_BIND: Final = 1
_COPY_PACKET: Final = 2
_WITH_SEQUENCE: Final = 1  # NFULNL_CFG_F_SEQ
_HEADER, _TIMESTAMP, _INDEV, _PAYLOAD, _SEQ = 1, 3, 4, 9, 12
_MAX_NAMES: Final = 120
"""Interfaces told apart in one read."""
_TYPE_MASK: Final = 0x3FFF

_MESSAGE = struct.Struct("=IHHII")
_GENERIC = struct.Struct(">BBH")  # family, version, group
_ATTRIBUTE = struct.Struct("=HH")
_WHEN = struct.Struct(">QQ")

_DATAGRAM: Final = 1 << 17
"""The kernel gathers packets up to `_GATHER` bytes and sends no larger datagram."""
_GATHER: Final = 1 << 16
_MOST: Final = 64
"""Datagrams taken in one read: at most 8 MiB."""
_FLUSH: Final = 5
"""Hundredths of a second that the kernel gathers packets for one datagram."""
_THRESHOLD: Final = 256
_REPLY_S: Final = 5.0


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(type without flags, value) of each attribute; stops where a length is absurd."""
    at = 0
    while at + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4 or at + length > len(data):
            return
        yield kind & _TYPE_MASK, data[at + 4 : at + length]
        at += -(-length // 4) * 4


def messages(datagram: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """(type, sequence, body) of each netlink message; stops where a length is absurd."""
    at = 0
    while at + _MESSAGE.size <= len(datagram):
        length, kind, _, sequence, _ = _MESSAGE.unpack_from(datagram, at)
        if length < _MESSAGE.size or at + length > len(datagram):
            return
        yield kind, sequence, datagram[at + _MESSAGE.size : at + length]
        at += -(-length // 4) * 4


class Gathered:
    """Packets of datagrams, as Ethernet frames: netfilter gives the protocol, not the whole frame.

    The addresses of the Ethernet header are all zero.
    """

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._times: list[int] = []
        self._came: list[int] = []
        self._next: int | None = None
        self.lost = 0
        """Packets that the kernel numbered but could not send."""

    def take_in(self, datagram: memoryview, arrived_us: int) -> None:
        """Messages that are no packets are passed over."""
        for kind, _, body in messages(datagram):
            if kind != _ULOG << 8 | _PACKET:
                continue
            protocol, payload, time_us, index = b"", None, arrived_us, 0
            for attribute, value in attributes(body[_GENERIC.size :]):
                if attribute == _HEADER and len(value) >= 2:
                    protocol = bytes(value[:2])
                elif attribute == _TIMESTAMP and len(value) == _WHEN.size:
                    seconds, micros = _WHEN.unpack(value)
                    # Only the kernel's clock counts; a value out of its reach is no time.
                    time_us = seconds * 1_000_000 + micros if seconds < 1 << 33 else arrived_us
                elif attribute == _INDEV and len(value) == 4:
                    index = int.from_bytes(value, "big")
                elif attribute == _PAYLOAD:
                    payload = value
                elif attribute == _SEQ and len(value) == 4:
                    number = int.from_bytes(value, "big")
                    if self._next is not None:
                        self.lost += (number - self._next) % (1 << 32)
                    self._next = (number + 1) % (1 << 32)
            if payload is not None and protocol:
                self._frames.append(bytes(12) + protocol + payload)
                self._times.append(time_us)
                self._came.append(index)

    def take(self, name_of: Callable[[int], str] = lambda index: "") -> RawPackets:
        """What was gathered since the last time.

        ``name_of``: the interface of an index; empty if there is none.
        """
        frames, self._frames = self._frames, []
        times, self._times = self._times, []
        lengths = np.array([len(frame) for frame in frames], np.int64)
        data = np.frombuffer(b"".join((*frames, bytes(PADDING))), np.uint8)
        offsets = np.cumsum(lengths) - lengths
        came, self._came = self._came, []
        names = {index: name for index in sorted({*came})[:_MAX_NAMES] if (name := name_of(index))}
        places = {index: number for number, index in enumerate(names, 1)}
        return RawPackets(
            data,
            offsets,
            lengths,
            lengths.copy(),
            np.array(times, np.int64),
            ETHERNET,
            np.array([places.get(index, 0) for index in came], np.int8),
            tuple(names.values()),
        )


def open_log_group(group: int) -> socket.socket:
    """The socket to which the kernel sends a group's packets from now on.

    Raises:
        CaptureError: no permission, a kernel without nfnetlink_log, or a group that is taken.
    """
    try:
        sock = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER
        )
    except OSError as e:
        raise CaptureError(f"nflog:{group}: this kernel has no netfilter netlink") from e
    try:
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.bind((0, 0))
        sock.settimeout(_REPLY_S)
        _ask(sock, group, _attribute(_CFG_CMD, bytes([_BIND])))
        _ask(
            sock,
            group,
            _attribute(_CFG_MODE, struct.pack(">IBB", 0xFFFF, _COPY_PACKET, 0))
            + _attribute(_CFG_NLBUFSIZ, struct.pack(">I", _GATHER))
            + _attribute(_CFG_TIMEOUT, struct.pack(">I", _FLUSH))
            + _attribute(_CFG_QTHRESH, struct.pack(">I", _THRESHOLD))
            + _attribute(_CFG_FLAGS, struct.pack(">H", _WITH_SEQUENCE)),
        )
    except OSError as e:
        sock.close()
        raise CaptureError(f"nflog:{group}: {_reason(e)}") from e
    return sock


def _ask(sock: socket.socket, group: int, attributes_: bytes) -> None:
    """One request about the group, until the kernel's answer; packets that come before it are of
    a group that is only just being opened. Raises: OSError."""
    body = _GENERIC.pack(socket.AF_UNSPEC, 0, group) + attributes_
    sequence = int.from_bytes(os.urandom(4), "big")
    kind = _ULOG << 8 | _CONFIG
    head = _MESSAGE.pack(_MESSAGE.size + len(body), kind, _F_REQUEST | _F_ACK, sequence, 0)
    sock.send(head + body)
    while True:
        for answer, number, content in messages(memoryview(sock.recv(_DATAGRAM))):
            if answer == _ERROR and number == sequence and len(content) >= 4:
                (code,) = struct.unpack_from("=i", content)
                if code:
                    raise OSError(-code, os.strerror(-code))
                return


class NflogCapture:
    """Packets of one group. Use as a context manager, or call `close`.

    Raises:
        CaptureError: no permission, a kernel without nfnetlink_log, or a group that is taken.
    """

    def __init__(self, group: int, open_: Callable[[int], socket.socket] | None = None) -> None:
        """``open_``: who has the right to open a group; by default we."""
        self.name = f"nflog:{group}"
        self._gathered = Gathered()
        self._socket = (open_ or open_log_group)(group)
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._socket.fileno(), select.POLLIN)

    def __enter__(self) -> NflogCapture:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the group; may be called twice."""
        self._socket.close()

    def read(self, timeout_s: float) -> RawPackets:
        """What has arrived, after waiting at most ``timeout_s`` for the first; may be empty."""
        self._poll.poll(timeout_s * 1000)
        for _ in range(_MOST):
            try:
                datagram = self._socket.recv(_DATAGRAM)
            except BlockingIOError:
                break
            except OSError as e:
                if e.errno == errno.ENOBUFS:
                    continue  # the next packet's number shows how many were lost
                raise CaptureError(f"{self.name}: {e.strerror or e}") from e
            self._gathered.take_in(memoryview(datagram), now_us())
        return self._gathered.take(_name_of)

    def dropped(self) -> int:
        """Packets lost since the capture was opened, by the gaps in the kernel's numbers."""
        return self._gathered.lost


def _name_of(index: int) -> str:
    try:
        return socket.if_indextoname(index) if index else ""
    except OSError:
        return ""


def _reason(error: OSError) -> str:
    # A group of another reader is refused with EPERM, too.
    if error.errno == errno.EBUSY or (error.errno == errno.EPERM and _may_administer()):
        return "another program reads this group"
    if error.errno == errno.EPERM:
        return "reading a log group needs CAP_NET_ADMIN: run as root or in a namespace"
    if error.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT):
        return "this kernel has no nfnetlink_log (CONFIG_NETFILTER_NETLINK_LOG)"
    if isinstance(error, TimeoutError):
        return "the kernel did not answer"
    return error.strerror or str(error)


def _may_administer() -> bool:
    """Whether this thread has CAP_NET_ADMIN (capabilities(7))."""
    try:
        status = Path("/proc/thread-self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    effective = next((x[7:] for x in status.splitlines() if x.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> 12 & 1)
