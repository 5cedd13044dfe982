"""Blocks of packets, memory that is used again, compressed input that is hostile."""

import gzip
import io
import lzma

import numpy as np
import pytest

from datasets.captures.capture_files import Buffers, CaptureError, Compressed, rows
from tests.factories import make_packets


def test_frames_and_what_comes_after() -> None:
    raw = make_packets(b"one", b"three", b"x")
    assert [raw.frame(n) for n in range(len(raw))] == [b"one", b"three", b"x"]
    rest = raw.after(2)
    assert len(rest) == 1 and rest.frame(0) == b"x"


def test_memory_is_used_again_only_when_nobody_looks_at_it() -> None:
    buffers = Buffers()
    first = buffers.take(1000)
    address = first.ctypes.data
    held = first[10:20]
    del first
    assert buffers.take(1000).ctypes.data != address
    del held
    assert address in {buffers.take(1000).ctypes.data for _ in range(3)}


def test_rows_of_bytes() -> None:
    data = np.arange(20, dtype=np.uint8)
    assert rows(data, np.array([0, 5]), 3).tolist() == [[0, 1, 2], [5, 6, 7]]
    assert rows(data[:2], np.array([0]), 3).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(("kind", "pack"), [("gzip", gzip.compress), ("xz", lzma.compress)])
def test_members_follow_each_other_with_padding_between(kind: str, pack: type) -> None:
    packed = pack(b"a" * 100_000) + bytes(1024) + pack(b"b" * 10)
    stream = Compressed(io.BytesIO(packed), "x", kind)
    pieces = []
    while piece := stream.read(7_000):
        assert len(piece) <= 7_000
        pieces.append(piece)
    assert b"".join(pieces) == b"a" * 100_000 + b"b" * 10


@pytest.mark.parametrize(("kind", "pack"), [("gzip", gzip.compress), ("xz", lzma.compress)])
def test_what_came_before_the_damage_counts(kind: str, pack: type) -> None:
    content = np.random.default_rng(1).bytes(300_000)
    packed = bytearray(pack(content))
    packed[len(packed) // 2] ^= 0xFF
    stream = Compressed(io.BytesIO(bytes(packed)), "x.pcap", kind)
    got = b""
    with pytest.raises(CaptureError, match=rf"x\.pcap: bad {kind} data"):
        while piece := stream.read(1_000):
            got += piece
        raise CaptureError("x.pcap: bad gzip data at the end")  # only the checksum was wrong
    assert len(got) <= len(content)
