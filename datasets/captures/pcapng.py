"""pcapng (draft-ietf-opsawg-pcapng): sections, interfaces, packets; the rest is passed over."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.captures.capture_files import (
    MAX_BLOCK,
    MAX_INTERFACES,
    MAX_PACKET,
    PADDING,
    CaptureError,
    CaptureStats,
    RawPackets,
    Source,
    nothing,
)
from ontology.records import MAX_TIME_US

SECTION = 0x0A0D0D0A


@dataclass(slots=True)
class _Interface:
    link_type: int
    snap_length: int
    units_per_s: int = 1_000_000
    offset_s: int = 0


class _Block:
    """Packets gathered from one buffer until the link type changes."""

    def __init__(self) -> None:
        self.link_type = -1
        self.offsets: list[int] = []
        self.lengths: list[int] = []
        self.wire: list[int] = []
        self.times: list[int] = []

    def packets(self, data: NDArray[np.uint8]) -> RawPackets:
        return RawPackets(
            data,
            np.array(self.offsets, np.int64),
            np.array(self.lengths, np.int64),
            np.array(self.wire, np.int64),
            np.array(self.times, np.int64),
            self.link_type,
        )


class _Section:
    """State of a pcapng section: byte order and interfaces."""

    def __init__(self, name: str, stats: CaptureStats) -> None:
        self.name = name
        self.stats = stats
        self.order = "<"
        self.interfaces: list[_Interface] = []
        self.last_us = 0

    def begin(self, body: bytes, where: int) -> None:
        magic = body[:4]
        if magic not in (b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d"):
            raise CaptureError(f"{self.name}: bad section byte order {magic.hex()} at byte {where}")
        self.interfaces = []

    def interface(self, body: bytes, where: int) -> None:
        if len(body) < 8:
            raise CaptureError(f"{self.name}: interface block too short at byte {where}")
        if len(self.interfaces) >= MAX_INTERFACES:
            raise CaptureError(f"{self.name}: over {MAX_INTERFACES} interfaces at byte {where}")
        link_type, _, snap_length = struct.unpack_from(self.order + "HHI", body)
        interface = _Interface(link_type, snap_length)
        at = 8
        while at + 4 <= len(body):
            code, length = struct.unpack_from(self.order + "HH", body, at)
            value = body[at + 4 : at + 4 + length]
            if code == 0 or len(value) < length:
                break
            if code == 9 and length == 1:  # if_tsresol: power of ten, or of two with the high bit
                exponent = value[0] & 0x7F
                interface.units_per_s = 2**exponent if value[0] & 0x80 else 10**exponent
            elif code == 14 and length == 8:  # if_tsoffset
                interface.offset_s = struct.unpack(self.order + "q", value)[0]
            at += 4 + (length + 3 & ~3)
        self.interfaces.append(interface)

    def packet(self, kind: int, body: memoryview, where: int) -> tuple[int, int, int, int, int]:
        """(offset in body, captured length, wire length, time, link type)."""
        size = len(body)
        if kind == 3:  # Simple Packet Block: interface 0, no time of its own
            if size < 4:
                raise CaptureError(f"{self.name}: simple packet block too short at byte {where}")
            interface = self._interface(0, where)
            wire = struct.unpack_from(self.order + "I", body)[0]
            length = min(wire, interface.snap_length or wire, size - 4)
            return 4, self._length(length, where), wire, self.last_us, interface.link_type
        if size < 20:
            raise CaptureError(f"{self.name}: packet block too short at byte {where}")
        number, high, low, length, wire = struct.unpack_from(self.order + "IIIII", body)
        if kind == 2:  # obsolete Packet Block: 16-bit interface, then a drop count
            number = struct.unpack_from(self.order + "H", body)[0]
        interface = self._interface(number, where)
        if length > size - 20:
            raise CaptureError(
                f"{self.name}: packet block at byte {where} claims {length} captured bytes,"
                f" has room for {size - 20}"
            )
        units = (high << 32) | low
        time = units * 1_000_000 // interface.units_per_s + interface.offset_s * 1_000_000
        if not 0 <= time <= MAX_TIME_US:
            time = min(max(time, 0), MAX_TIME_US)
            self.stats.clamped += 1
        self.last_us = time
        return 20, self._length(length, where), wire, time, interface.link_type

    def _interface(self, number: int, where: int) -> _Interface:
        if number >= len(self.interfaces):
            raise CaptureError(
                f"{self.name}: packet at byte {where} names interface {number},"
                f" {len(self.interfaces)} are described"
            )
        return self.interfaces[number]

    def _length(self, length: int, where: int) -> int:
        if length > MAX_PACKET:
            raise CaptureError(
                f"{self.name}: packet block at byte {where} claims {length} captured bytes"
                f" (at most {MAX_PACKET})"
            )
        return length


def read_pcapng(
    source: Source, name: str, magic: bytes, block_bytes: int, stats: CaptureStats
) -> Iterator[RawPackets]:
    section = _Section(name, stats)
    begin = 0
    pending = magic
    while True:
        chunk = source.read(block_bytes)
        if not chunk and source.growing:
            yield nothing(1)
            continue
        buffer = b"".join((pending, chunk, bytes(PADDING)))
        end = len(buffer) - PADDING
        view = memoryview(buffer)
        data = np.frombuffer(buffer, np.uint8)
        block = _Block()
        at = 0
        problem: CaptureError | None = None
        while at + 12 <= end:
            where = begin + at
            try:
                total = _block_length(section, buffer, at, where)
                if at + total > end:
                    break
                kind = struct.unpack_from(section.order + "I", buffer, at)[0]
                body = view[at + 8 : at + total - 4]
                if kind == SECTION:
                    section.begin(bytes(body[:4]), where)
                elif kind == 1:
                    section.interface(bytes(body), where)
                elif kind in (2, 3, 6):
                    shift, length, wire, time, link_type = section.packet(kind, body, where)
                    if link_type != block.link_type:
                        if block.offsets:
                            yield block.packets(data)
                        block = _Block()
                        block.link_type = link_type
                    block.offsets.append(at + 8 + shift)
                    block.lengths.append(length)
                    block.wire.append(wire)
                    block.times.append(time)
                    stats.packets += 1
            except CaptureError as e:
                problem = e
                break
            at += total
        if block.offsets:
            yield block.packets(data)
        if problem is not None:
            raise problem
        pending = buffer[at:end]
        begin += at
        if not chunk:
            stats.truncated = int(bool(pending))
            return


def _block_length(section: _Section, buffer: bytes, at: int, where: int) -> int:
    """Total length of the block at ``at``; a section header sets the byte order first."""
    if buffer[at : at + 4] == b"\x0a\x0d\x0d\x0a":
        section.order = ">" if buffer[at + 8 : at + 12] == b"\x1a\x2b\x3c\x4d" else "<"
    total: int = struct.unpack_from(section.order + "I", buffer, at + 4)[0]
    if total < 12 or total % 4 or total > MAX_BLOCK:
        raise CaptureError(
            f"{section.name}: block at byte {where} claims a length of {total}"
            f" (a multiple of 4 from 12 to {MAX_BLOCK})"
        )
    return total
