"""What readers of capture files share: blocks of raw packets, errors, limits, compressed input."""

from __future__ import annotations

import lzma
import sys
import zlib
from dataclasses import dataclass
from io import BufferedReader
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

MAX_PACKET = 262_144
"""Longest packet believed, as in libpcap (MAXIMUM_SNAPLEN)."""
MAX_BLOCK = 16 << 20
"""Longest pcapng block believed, as in libpcap."""
MAX_INTERFACES = 4096
PADDING = 128
"""Readable bytes behind the last packet of a block, so that header look-ups need no copy."""
_XZ_MEMORY = 192 << 20
"""Memory an xz file may ask for; ``xz -9`` needs 65 MiB, a hostile header could ask for 4 GiB."""
_COMPRESSED_READ = 1 << 16


class CaptureError(ValueError):
    """A capture can't be read; the message is one line naming the source and what is wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class RawPackets:
    """Consecutive packets of one link type, still undecoded."""

    data: NDArray[np.uint8]
    """Holds all packets; other bytes may lie between and behind them."""
    offsets: NDArray[np.int64]
    """(n,) where in ``data`` each packet begins."""
    lengths: NDArray[np.int64]
    """(n,) captured bytes."""
    wire_lengths: NDArray[np.int64]
    """(n,) bytes that were on the wire, at least ``lengths`` in an honest capture."""
    times_us: NDArray[np.int64]
    """(n,) epoch microseconds."""
    link_type: int
    """LINKTYPE_ number (tcpdump.org/linktypes.html), e.g. 1 for Ethernet."""
    came: NDArray[np.int8] | None = None
    """(n,) k: arrived by ``interfaces[k - 1]``; -k: left by it; 0: not known. None: of all."""
    interfaces: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.offsets)

    def after(self, count: int) -> RawPackets:
        """The same without the first ``count``."""
        return self.take(slice(count, None))

    def take(self, which: slice | NDArray[np.int64]) -> RawPackets:
        """The same with these packets only."""
        return RawPackets(
            self.data,
            self.offsets[which],
            self.lengths[which],
            self.wire_lengths[which],
            self.times_us[which],
            self.link_type,
            None if self.came is None else self.came[which],
            self.interfaces,
        )

    def frame(self, index: int) -> bytes:
        """The captured bytes of one packet."""
        start = int(self.offsets[index])
        return self.data[start : start + int(self.lengths[index])].tobytes()


@dataclass(slots=True)
class CaptureStats:
    """What `read_capture` has read so far."""

    packets: int = 0
    truncated: int = 0
    """1 when the file ends inside a packet."""
    clamped: int = 0
    """Packets whose time lies outside years 1970 to 9999, moved to the nearer end."""


class Buffers:
    """Memory for blocks, used again when nobody holds a view of it: the kernel need not clear it.

    A view of an array keeps a reference to it, so CPython's count shows it.
    """

    def __init__(self) -> None:
        self._made: list[NDArray[np.uint8]] = []

    def take(self, size: int) -> NDArray[np.uint8]:
        """``size`` bytes of any content."""
        for number in range(len(self._made)):
            # Two references: the list's and the argument's.
            if sys.getrefcount(self._made[number]) == 2 and len(self._made[number]) >= size:
                return self._made[number][:size]
        made = np.empty(size + size // 16, np.uint8)
        self._made = [*self._made[-2:], made]  # what a slow reader holds is let go
        return made[:size]


def nothing(link_type: int) -> RawPackets:
    """A block without packets."""
    none = np.zeros(0, np.int64)
    return RawPackets(np.zeros(PADDING, np.uint8), none, none, none, none, link_type)


class Source(Protocol):
    """Bytes of a capture; no bytes mean its end, or just now no more if it is ``growing``."""

    growing: bool

    def read(self, size: int) -> bytes: ...

    def readinto(self, target: memoryview) -> int: ...


class Plain:
    """A file as it is."""

    growing = False

    def __init__(self, file: BufferedReader) -> None:
        self.read = file.read
        self.readinto = file.readinto


class Compressed:
    """A gzip or xz file as a stream of at most ``size`` bytes per read; members may follow another.

    Own loop instead of `gzip.open` and `lzma.open`: those can't limit xz's memory.
    """

    growing = False

    def __init__(self, file: BinaryIO, name: str, kind: str) -> None:
        self._file = file
        self._name = name
        self._kind = kind
        self._decoder = self._new()
        self._input = b""
        self._begun = False
        self._problem: CaptureError | None = None

    def _new(self) -> zlib._Decompress | lzma.LZMADecompressor:
        if self._kind == "gzip":
            return zlib.decompressobj(wbits=31)
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    def read(self, size: int) -> bytes:
        out: list[bytes] = []
        missing = size
        while missing > 0:
            if self._problem is not None:
                if out:
                    break  # what came before counts; the next read raises
                raise self._problem
            try:
                piece = self._piece(missing)
            except CaptureError as e:
                self._problem = e
                continue
            if piece is None:
                break
            out.append(piece)
            missing -= len(piece)
        return b"".join(out)

    def readinto(self, target: memoryview) -> int:
        chunk = self.read(len(target))
        target[: len(chunk)] = chunk
        return len(chunk)

    def _piece(self, size: int) -> bytes | None:
        decoder = self._decoder
        if decoder.eof:
            rest = decoder.unused_data or self._file.read(_COMPRESSED_READ)
            # xz streams may be padded with zero bytes, gzip files often are (tape blocks).
            while rest and not rest.strip(b"\0"):
                rest = self._file.read(_COMPRESSED_READ)
            if not rest:
                return None
            decoder = self._decoder = self._new()
            self._input, self._begun = rest.lstrip(b"\0"), True
        if not self._input and (self._kind == "gzip" or decoder.needs_input):  # type: ignore[union-attr]
            self._input = self._file.read(_COMPRESSED_READ)
            if not self._input:
                return None  # ends inside a member: what there is was delivered
        try:
            if isinstance(decoder, lzma.LZMADecompressor):
                piece = decoder.decompress(self._input, size)
                self._input = b""
            else:
                piece = decoder.decompress(self._input, size)
                self._input = decoder.unconsumed_tail
        except (zlib.error, lzma.LZMAError, MemoryError) as e:
            where = self._file.tell()
            raise CaptureError(f"{self._name}: bad {self._kind} data near byte {where}: {e}") from e
        return piece


def rows(data: NDArray[np.uint8], offsets: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """``data[offset : offset + width]`` for every offset, as (n, width).

    ``data`` must reach ``width`` bytes beyond the largest offset. One copy per row: a view of
    overlapping fixed-width items costs a tenth of a two-dimensional index.
    """
    if len(offsets) == 0 or len(data) < width:
        return np.zeros((len(offsets), width), np.uint8)
    windows = np.ndarray((len(data) - width + 1,), f"V{width}", data, strides=(1,))
    return windows[offsets].view(np.uint8).reshape(len(offsets), width)
