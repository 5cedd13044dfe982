"""Raw netlink to nf_tables: set elements in and out, without a text grammar in between.

One `NetlinkSocket.commit` is one kernel transaction. Against ``nft -f -`` it saves a process per
order, and no string that came over the network ever meets a parser with commands in it. It works on
the network namespace of the thread that made it. Layouts: ``linux/netlink.h``,
``linux/netfilter/nfnetlink.h``, ``linux/netfilter/nf_tables.h``.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_NETLINK_NETFILTER: Final = 12
_SOL_NETLINK: Final = 270
_NETLINK_CAP_ACK: Final = 10
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33

_F_REQUEST, _F_ACK, _F_DUMP, _F_DUMP_INTR = 0x1, 0x4, 0x300, 0x10
_F_CREATE, _F_EXCL = 0x400, 0x200
_ERROR, _DONE = 2, 3
_BATCH_BEGIN, _BATCH_END = 16, 17
_SUBSYSTEM: Final = 10  # NFNL_SUBSYS_NFTABLES
_NEWSETELEM, _GETSETELEM, _DELSETELEM = 12, 13, 14
_NEWGEN, _GETGEN = 15, 16
_NEWOBJ, _GETOBJ = 18, 19
_INET: Final = 1  # NFPROTO_INET
_NESTED: Final = 0x8000
_TYPE_MASK: Final = 0x3FFF

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_U64 = struct.Struct(">Q")

_BUFFER: Final = 8 << 20
_MESSAGE_LIMIT: Final = 60_000  # a nested attribute's length is 16 bits
_REPLY_S: Final = 10.0
_ATTEMPTS: Final = 5


class NetlinkError(OSError):
    """The kernel refused a request; ``errno`` says why, ``strerror`` also what was asked."""

    def __init__(self, number: int, what: str) -> None:
        super().__init__(number, f"{what}: {os.strerror(number)}")


@dataclass(frozen=True, slots=True)
class Change:
    """One kind of change to one set.

    ``keys`` are packed addresses of equal length; ``timeouts_ms`` goes with ``add`` and is as long.
    """

    action: str
    """``add`` (an error if it is there), or ``delete`` (an error if it is not)."""
    set_name: str
    keys: Sequence[bytes]
    timeouts_ms: Sequence[int] = ()

    def __post_init__(self) -> None:
        if self.action not in ("add", "delete"):
            raise ValueError(f"action must be add or delete, got {self.action!r}")
        if self.action == "add" and len(self.timeouts_ms) != len(self.keys):
            raise ValueError("an add needs one timeout for each key")
        if any(not 1 <= ms < 1 << 63 for ms in self.timeouts_ms):
            raise ValueError("a timeout must be positive: no element is for ever")
        if len({len(key) for key in self.keys}) > 1:
            raise ValueError("the keys of one change must have one length")


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _name(value: str) -> bytes:
    return value.encode("ascii") + b"\0"


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type without flags, value) of each netlink attribute; stops where a length is absurd."""
    at = 0
    while at + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4 or at + length > len(data):
            return
        yield kind & _TYPE_MASK, data[at + 4 : at + length]
        at += -(-length // 4) * 4


def pack_elements(change: Change) -> list[bytes]:
    """The NFTA_SET_ELEM_LIST_ELEMENTS attributes of a change, each below the 16 bit limit."""
    if not change.keys:
        return []
    width = len(change.keys[0])
    key_attribute = 8 + -(-width // 4) * 4
    size = 4 + key_attribute + (12 if change.timeouts_ms else 0)
    start = (
        _ATTRIBUTE.pack(size, 1 | _NESTED)
        + _ATTRIBUTE.pack(8 + width, 1 | _NESTED)
        + _ATTRIBUTE.pack(4 + width, 1)
    )
    padding = b"\0" * (-width % 4)
    if change.timeouts_ms:
        middle = padding + _ATTRIBUTE.pack(12, 4)
        packed = [
            start + key + middle + _U64.pack(ms)
            for key, ms in zip(change.keys, change.timeouts_ms, strict=True)
        ]
    else:
        packed = [start + key + padding for key in change.keys]
    step = _MESSAGE_LIMIT // size
    return [
        _ATTRIBUTE.pack(4 + size * len(part), 3 | _NESTED) + b"".join(part)
        for part in (packed[i : i + step] for i in range(0, len(packed), step))
    ]


def parse_elements(message: bytes) -> Iterator[tuple[bytes, int | None]]:
    """(key, remaining milliseconds) of each element in an NFT_MSG_NEWSETELEM body.

    None where the element has no end. What can't be read is left out.
    """
    for kind, value in attributes(message):
        if kind != 3:
            continue
        for _, element in attributes(value):
            key, remaining, total = b"", None, None
            for part, content in attributes(element):
                if part == 1:
                    key = next((v for k, v in attributes(content) if k == 1), b"")
                elif part == 4 and len(content) == 8:
                    (total,) = _U64.unpack(content)
                elif part == 5 and len(content) == 8:
                    (remaining,) = _U64.unpack(content)
            if key:
                yield key, total if remaining is None else remaining


class NetlinkSocket:
    """nf_tables requests about the sets and counters of one table of family ``inet``.

    Not for several threads at once.
    """

    def __init__(self, table: str) -> None:
        """Raises: OSError if the kernel has no netfilter netlink."""
        self._table = _name(table)
        self._sequence = int.from_bytes(os.urandom(3), "big")
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER
        )
        try:
            for forced, plain in (
                (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
                (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
            ):
                try:
                    self._socket.setsockopt(socket.SOL_SOCKET, forced, _BUFFER)
                except PermissionError:
                    self._socket.setsockopt(socket.SOL_SOCKET, plain, _BUFFER)
            # An error would otherwise carry the whole request back.
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
            self._socket.bind((0, 0))
            self._socket.settimeout(_REPLY_S)
            # The kernel refuses a datagram larger than the send buffer; it reports twice the size.
            size = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            self.transaction_limit: int = min(size // 2, 4 << 20) - 4096
            """Bytes that fit into one transaction."""
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> NetlinkSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def commit(self, changes: Iterable[Change]) -> None:
        """Apply all changes or none.

        Raises:
            NetlinkError: EEXIST or ENOENT for the first change the kernel refused, EPERM without
                CAP_NET_ADMIN, EMSGSIZE if they don't fit into ``transaction_limit``, ENOBUFS or
                ETIMEDOUT if the answer was lost (whether it was applied is then unknown).
        """
        begin, first = self._message(_BATCH_BEGIN, _F_REQUEST, b"", family=0, resource=_SUBSYSTEM)
        messages = [begin]
        waiting: dict[int, str] = {}
        for change in changes:
            kind, flags = _DELSETELEM, _F_REQUEST | _F_ACK
            if change.action == "add":
                kind, flags = _NEWSETELEM, flags | _F_CREATE | _F_EXCL
            head = _attribute(1, self._table) + _attribute(2, _name(change.set_name))
            for elements in pack_elements(change):
                message, sequence = self._message(_SUBSYSTEM << 8 | kind, flags, head + elements)
                messages.append(message)
                waiting[sequence] = f"{change.action} in set {change.set_name}"
        if not waiting:
            return
        end, _ = self._message(_BATCH_END, _F_REQUEST, b"", family=0, resource=_SUBSYSTEM)
        messages.append(end)
        self._send(b"".join(messages))
        waiting[first] = "transaction"
        while waiting.keys() - {first}:
            for kind, _, sequence, body in self._receive():
                if kind != _ERROR or sequence not in waiting or len(body) < 4:
                    continue  # a late answer to an earlier, failed transaction
                (code,) = struct.unpack_from("=i", body)
                what = waiting.pop(sequence)
                if code:
                    raise NetlinkError(-code, what)

    def remaining(self, set_name: str, key: bytes) -> tuple[bool, int | None]:
        """(is it there, milliseconds that it still has, None if it has no end)."""
        (elements,) = pack_elements(Change("delete", set_name, [key]))
        body = _attribute(1, self._table) + _attribute(2, _name(set_name)) + elements
        try:
            for answer in self._ask(_GETSETELEM, body, f"get from set {set_name}"):
                for found, milliseconds in parse_elements(answer):
                    if found == key:
                        return True, milliseconds
        except NetlinkError as e:
            if e.errno != errno.ENOENT:
                raise
        return False, None

    def elements(self, set_name: str) -> dict[bytes, int | None]:
        """Every live element of a set with its remaining milliseconds (None: has no end).

        Raises:
            NetlinkError: ENOENT if there is no such table or set.
        """
        body = _attribute(1, self._table) + _attribute(2, _name(set_name))
        # While the kernel's hash table grows in the background, a listing may pass over elements
        # and not say so. Two that agree are complete; failing that, all that was ever seen is.
        seen: dict[bytes, int | None] = {}
        before: dict[bytes, int | None] | None = None
        for _ in range(_ATTEMPTS):
            found: dict[bytes, int | None] = {}
            try:
                for answer in self._ask(_GETSETELEM, body, f"list set {set_name}", dump=True):
                    found.update(parse_elements(answer))
            except NetlinkError as e:
                if e.errno != errno.EINTR:
                    raise
                complete = False  # the set changed while the kernel listed it
            else:
                complete = True
            seen |= found
            if complete and before is not None and before.keys() == found.keys():
                return found
            before = found if complete else None
        return seen

    def generation(self) -> int:
        """Number of the rule set's generation: every committed transaction of anybody adds one."""
        for answer in self._ask(_GETGEN, b"", "get generation", family=0):
            for kind, value in attributes(answer):
                if kind == 1 and len(value) == 4:
                    return int.from_bytes(value, "big")
        raise NetlinkError(errno.EPROTO, "get generation")

    def counter(self, name: str) -> tuple[int, int]:
        """(packets, bytes) of a named counter.

        Raises:
            NetlinkError: ENOENT if there is none.
        """
        body = _attribute(1, self._table) + _attribute(2, _name(name)) + _attribute(3, b"\0\0\0\1")
        packets = octets = 0
        for answer in self._ask(_GETOBJ, body, f"get counter {name}"):
            for kind, value in attributes(answer):
                for part, number in attributes(value) if kind == 4 else ():
                    if part == 1 and len(number) == 8:
                        (octets,) = _U64.unpack(number)
                    elif part == 2 and len(number) == 8:
                        (packets,) = _U64.unpack(number)
        return packets, octets

    def _message(
        self, kind: int, flags: int, body: bytes, *, family: int = _INET, resource: int = 0
    ) -> tuple[bytes, int]:
        self._sequence = (self._sequence + 1) & 0x7FFFFFFF
        header = _HEADER.pack(20 + len(body), kind, flags, self._sequence, 0)
        return header + struct.pack(">BBH", family, 0, resource) + body, self._sequence

    def _ask(
        self, kind: int, body: bytes, what: str, *, dump: bool = False, family: int = _INET
    ) -> Iterator[bytes]:
        """The answers to a question, without their headers; EINTR for an inconsistent listing."""
        flags = _F_REQUEST | (_F_DUMP if dump else _F_ACK)
        message, wanted = self._message(_SUBSYSTEM << 8 | kind, flags, body, family=family)
        self._send(message)
        interrupted = False
        while True:
            for answer, answer_flags, sequence, content in self._receive():
                if sequence != wanted:
                    continue
                interrupted |= bool(answer_flags & _F_DUMP_INTR)
                if answer in (_ERROR, _DONE):
                    code = struct.unpack_from("=i", content)[0] if len(content) >= 4 else 0
                    if code:
                        raise NetlinkError(-code, what)
                    if interrupted:
                        raise NetlinkError(errno.EINTR, what)
                    return
                yield content[4:]  # after struct nfgenmsg

    def _send(self, data: bytes) -> None:
        try:
            self._socket.send(data)
        except OSError as e:
            raise NetlinkError(e.errno or errno.EIO, f"send {len(data)} bytes") from e

    def _receive(self) -> list[tuple[int, int, int, bytes]]:
        """(type, flags, sequence, body) of each message of one datagram from the kernel."""
        try:
            data, sender = self._socket.recvfrom(1 << 18)
        except TimeoutError as e:
            raise NetlinkError(errno.ETIMEDOUT, "wait for the kernel") from e
        except OSError as e:
            raise NetlinkError(e.errno or errno.EIO, "receive") from e
        if sender[0] != 0:
            return []  # not from the kernel
        out = []
        at = 0
        while at + 16 <= len(data):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
            if length < 16 or at + length > len(data):
                break
            out.append((kind, flags, sequence, data[at + 16 : at + length]))
            at += -(-length // 4) * 4
        return out
