"""Capture files in blocks of packets: pcap and pcapng, plain, gzip or xz; and pcap out.

Files are hostile: no length in them is believed, memory stays flat whatever they claim, and the
only error that leaves this module is `CaptureError`. A capture that ends inside a packet is
ordinary (a dump that was stopped) and only counted. Decoding headers is not done here: see
`agents.sensor.flows.decode`.

Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng (section and field names are theirs).
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from datasets.captures.capture_files import (
    MAX_PACKET,
    PADDING,
    Buffers,
    CaptureError,
    CaptureStats,
    Compressed,
    Plain,
    RawPackets,
    Source,
    nothing,
    rows,
)
from datasets.captures.pcapng import SECTION, read_pcapng
from datasets.captures.record_chain import record_offsets

__all__ = [
    "ETHERNET",
    "MAX_PACKET",
    "PADDING",
    "CaptureError",
    "CaptureStats",
    "RawPackets",
    "nothing",
    "pack_capture",
    "read_capture",
    "read_source",
    "rows",
    "write_capture",
]


logger = logging.getLogger(__name__)

ETHERNET = 1


def read_capture(
    path: Path, *, block_bytes: int = 4 << 20, stats: CaptureStats | None = None
) -> Iterator[RawPackets]:
    """The packets of a capture file in blocks of about ``block_bytes``, in file order.

    A new block also begins where the link type changes (pcapng with several interfaces).

    Raises:
        CaptureError: after every readable packet was delivered.
    """
    stats = stats if stats is not None else CaptureStats()
    block_bytes = max(block_bytes, 4096)
    try:
        with path.open("rb") as file:
            magic = file.read(6)
            file.seek(0)
            source: Source = Plain(file)
            if magic[:2] == b"\x1f\x8b":
                source = Compressed(file, str(path), "gzip")
            elif magic == b"\xfd7zXZ\0":
                source = Compressed(file, str(path), "xz")
            yield from read_source(source, str(path), block_bytes, stats)
    except OSError as e:
        raise CaptureError(f"{path}: {e.strerror or e}") from e
    if stats.truncated:
        logger.warning("%s: ends inside a packet; read %d packets", path, stats.packets)


_PCAP_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1),
    b"\xa1\xb2\xc3\xd4": (">", 1),
    b"\x4d\x3c\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\x3c\x4d": (">", 1000),
}


def read_source(
    source: Source, name: str, block_bytes: int, stats: CaptureStats
) -> Iterator[RawPackets]:
    """The packets of an open source; see `read_capture`.

    Of a ``growing`` one an empty block means that just now there is no more.
    """
    magic = source.read(4)
    if magic in _PCAP_MAGIC:
        order, per_us = _PCAP_MAGIC[magic]
        header = source.read(20)
        if len(header) < 20:
            raise CaptureError(
                f"{name}: ends inside the pcap file header at byte {4 + len(header)}"
            )
        # The upper half of the word carries FCS length flags.
        link_type = struct.unpack(order + "I", header[16:])[0] & 0xFFFF
        yield from _read_pcap(source, name, order, per_us, link_type, block_bytes, stats)
    elif magic == struct.pack("<I", SECTION):
        yield from read_pcapng(source, name, magic, block_bytes, stats)
    elif not magic:
        raise CaptureError(f"{name}: is empty")
    else:
        raise CaptureError(f"{name}: neither pcap nor pcapng (begins with {magic.hex()})")


def _read_pcap(
    source: Source,
    name: str,
    order: str,
    per_us: int,
    link_type: int,
    block_bytes: int,
    stats: CaptureStats,
) -> Iterator[RawPackets]:
    begin = 24  # offset in the file of buffer[0]
    pending = np.zeros(0, np.uint8)
    buffers = Buffers()
    while True:
        data = buffers.take(len(pending) + block_bytes + PADDING)
        data[: len(pending)] = pending
        read = source.readinto(data.data[len(pending) : -PADDING])
        if not read and source.growing:
            yield nothing(link_type)
            continue
        end = len(pending) + read
        data = data[: end + PADDING]
        data[end:] = 0
        offsets = record_offsets(data, end, order)
        at = 0
        problem = ""
        if len(offsets):
            fields = rows(data, offsets, 16).view(order + "u4")
            lengths = fields[:, 2].astype(np.int64)
            at = int(offsets[-1] + 16 + lengths[-1])
            whole = len(offsets)
            if lengths.max() > MAX_PACKET:
                whole = int((lengths > MAX_PACKET).argmax())
                problem = (
                    f"{name}: packet record at byte {begin + int(offsets[whole])} claims"
                    f" {lengths[whole]} captured bytes (at most {MAX_PACKET})"
                )
            elif at > end:
                whole -= 1
                at = int(offsets[-1])
            if whole:
                fields, offsets, lengths = fields[:whole], offsets[:whole], lengths[:whole]
                times_us = fields[:, 0] * np.int64(1_000_000)
                times_us += fields[:, 1] if per_us == 1 else fields[:, 1] // per_us
                stats.packets += whole
                wire = fields[:, 3].astype(np.int64)
                yield RawPackets(data, offsets + 16, lengths, wire, times_us, link_type)
        if problem:
            raise CaptureError(problem)
        pending = data[at:end].copy()
        begin += at
        if not read:
            stats.truncated = int(len(pending) > 0)
            return


def write_capture(
    path: Path, frames: Sequence[bytes], times_us: Sequence[int], link_type: int = ETHERNET
) -> None:
    """Write frames as a little endian pcap file with microseconds, replacing ``path``.

    Raises:
        ValueError: lengths differ, a frame is over `MAX_PACKET`, or a time does not fit 32 bits.
    """
    path.write_bytes(pack_capture(frames, times_us, link_type))


def pack_capture(
    frames: Sequence[bytes],
    times_us: Sequence[int],
    link_type: int = ETHERNET,
    wire_lengths: Sequence[int] | None = None,
) -> bytes:
    """The same file as bytes; ``wire_lengths``: how long frames were that are not whole.

    Raises: as `write_capture`.
    """
    if len(frames) != len(times_us):
        raise ValueError(f"{len(frames)} frames but {len(times_us)} times")
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, MAX_PACKET, link_type)]
    lengths = [len(frame) for frame in frames] if wire_lengths is None else wire_lengths
    for frame, time_us, length in zip(frames, times_us, lengths, strict=True):
        seconds, micros = divmod(time_us, 1_000_000)
        if len(frame) > MAX_PACKET:
            raise ValueError(f"a frame of {len(frame)} bytes is over {MAX_PACKET}")
        if not 0 <= seconds < 2**32:
            raise ValueError(f"time {time_us} us does not fit a pcap file")
        parts += [struct.pack("<IIII", seconds, micros, len(frame), min(length, 0xFFFFFFFF)), frame]
    return b"".join(parts)
