"""Capture files: round trips, every format, broken and hostile files."""

from __future__ import annotations

import csv
import gzip
import logging
import lzma
import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.captures.capture_files import Buffers
from datasets.captures.pcap import (
    MAX_PACKET,
    CaptureError,
    CaptureStats,
    RawPackets,
    read_capture,
    rows,
    write_capture,
)
from ontology.records import MAX_TIME_US

Seen = tuple[bytes, int, int, int]
"""(frame, wire length, time, link type)."""

fuzz = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def seen(blocks: list[RawPackets]) -> list[Seen]:
    return [
        (raw.frame(i), int(raw.wire_lengths[i]), int(raw.times_us[i]), raw.link_type)
        for raw in blocks
        for i in range(len(raw))
    ]


def read(path: Path, **options: int) -> list[Seen]:
    return seen(list(read_capture(path, **options)))


def pcap(order: str, magic: int, packets: list[tuple[int, int, bytes]], link: int = 1) -> bytes:
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for seconds, fraction, frame in packets:
        out += struct.pack(order + "IIII", seconds, fraction, len(frame), len(frame) + 4) + frame
    return out


def block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = len(body) + 12
    return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", size)


def section(order: str = "<") -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order: str, link: int, options: bytes = b"") -> bytes:
    return block(order, 1, struct.pack(order + "HHI", link, 0, 0) + options)


def enhanced(order: str, number: int, units: int, frame: bytes) -> bytes:
    head = struct.pack(
        order + "IIIII", number, units >> 32, units & 0xFFFFFFFF, len(frame), len(frame) + 4
    )
    return block(order, 6, head + frame)


@fuzz
@given(st.lists(st.tuples(st.binary(max_size=90), st.integers(0, 2**32 * 10**6 - 1)), max_size=200))
def test_written_captures_read_back(tmp_path: Path, packets: list[tuple[bytes, int]]) -> None:
    path = tmp_path / "x.pcap"
    write_capture(path, [f for f, _ in packets], [t for _, t in packets], 101)
    assert read(path, block_bytes=4096) == [(f, len(f), t, 101) for f, t in packets]


@pytest.mark.parametrize(("magic", "scale"), [(0xA1B2C3D4, 1), (0xA1B23C4D, 1000)])
@pytest.mark.parametrize("order", ["<", ">"])
def test_pcap_of_both_byte_orders_and_units(
    tmp_path: Path, order: str, magic: int, scale: int
) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap(order, magic, [(7, 5 * scale, b"abc"), (8, 0, b"")], 113))
    assert read(path) == [(b"abc", 7, 7_000_005, 113), (b"", 4, 8_000_000, 113)]


def test_flags_above_the_link_type_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap("<", 0xA1B2C3D4, [(7, 0, b"abc")], 0x24000001))
    assert read(path)[0][3] == 1


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_interfaces_units_and_simple_packets(tmp_path: Path, order: str) -> None:
    resolution = struct.pack(order + "HHB3x", 9, 1, 9)
    binary = struct.pack(order + "HHB3x", 9, 1, 0x80 | 10) + struct.pack(order + "HHq", 14, 8, 100)
    path = tmp_path / "x.pcapng"
    path.write_bytes(
        section(order)
        + interface(order, 1, resolution)
        + interface(order, 101, binary)
        + block(order, 0x99, b"unknown blocks are passed over")
        + enhanced(order, 0, 3_000_005_000, b"nano")
        + enhanced(order, 1, 2048, b"binary")
        + block(order, 3, struct.pack(order + "I", 6) + b"simple")
        + block(order, 2, struct.pack(order + "HHIIII", 1, 9, 0, 1024, 3, 3) + b"old")
        + section("<")
        + interface("<", 113)
        + enhanced("<", 0, 77, b"next")
    )
    assert read(path) == [
        (b"nano", 8, 3_000_005, 1),
        (b"binary", 10, 102_000_000, 101),
        (b"simple", 6, 102_000_000, 1),
        (b"old", 3, 101_000_000, 101),
        (b"next", 8, 77, 113),
    ]


def test_times_beyond_year_9999_are_clamped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    path.write_bytes(section() + interface("<", 1) + enhanced("<", 0, 2**64 - 1, b"x"))
    stats = CaptureStats()
    (raw,) = read_capture(path, stats=stats)
    assert raw.times_us.tolist() == [MAX_TIME_US]
    assert stats.clamped == 1


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_compressed_files_and_members(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    whole = pcap("<", 0xA1B2C3D4, [(i, 0, os.urandom(200)) for i in range(500)])
    path = tmp_path / "x.bin"
    path.write_bytes(whole)
    plain = read(path)
    path.write_bytes(pack(whole[:5000]) + pack(whole[5000:]))
    assert read(path, block_bytes=4096) == plain
    path.write_bytes(pack(whole)[:-900])
    stats = CaptureStats()
    cut = seen(list(read_capture(path, stats=stats)))
    assert 0 < len(cut) < 500
    assert cut == plain[: len(cut)]


def test_xz_that_asks_for_gigabytes_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 29}]
    path = tmp_path / "x.xz"
    packer = lzma.LZMACompressor(filters=filters)
    head = packer.compress(bytes(10)) + packer.flush()
    path.write_bytes(head)
    with pytest.raises(CaptureError, match="bad xz data"):
        read(path)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_what_comes_before_garbage_counts(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "x"
    path.write_bytes(
        pack(pcap("<", 0xA1B2C3D4, [(1, 0, b"one"), (2, 0, b"two")])) + b"garbage garbage garbage"
    )
    found = []
    with pytest.raises(CaptureError, match=r"bad (gzip|xz) data"):
        for raw in read_capture(path):
            found += [data for data, *_ in seen([raw])]
    assert found == [b"one", b"two"]


def test_memory_stays_flat_for_a_compressed_bomb(tmp_path: Path) -> None:
    record = struct.pack("<IIII", 1, 0, 60_000, 60_000) + bytes(60_000)
    path = tmp_path / "x.gz"
    with gzip.open(path, "wb") as file:
        file.write(pcap("<", 0xA1B2C3D4, []))
        for _ in range(1000):
            file.write(record)
    tracemalloc.start()
    total = sum(len(raw) for raw in read_capture(path, block_bytes=1 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 1000
    assert peak < 12 << 20


def test_truncated_tail_is_counted_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap("<", 0xA1B2C3D4, [(1, 0, b"first"), (2, 0, b"second")])[:-3])
    stats = CaptureStats()
    with caplog.at_level(logging.WARNING):
        blocks = list(read_capture(path, stats=stats))
    assert [s[0] for s in seen(blocks)] == [b"first"]
    assert (stats.packets, stats.truncated) == (1, 1)
    assert "ends inside a packet" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello world", "neither pcap nor pcapng"),
        (b"\xd4\xc3\xb2\xa1\x02\x00", "ends inside the pcap file header"),
        (b"\x1f\x8b\x08\x00garbage garbage", "bad gzip data"),
        (b"\xfd7zXZ\x00garbage garbage", "bad xz data"),
        (section() + enhanced("<", 3, 0, b"x"), "names interface 3, 0 are described"),
        (section() + interface("<", 1) + block("<", 6, b"abc"), "packet block too short"),
        (section() + struct.pack("<III", 5, 7, 0), "claims a length of 7"),
        (section() + struct.pack("<III", 5, 1 << 30, 0), "claims a length of 1073741824"),
        (section() + interface("<", 1) * 4097, "over 4096 interfaces"),
        (b"\n\r\r\n" + struct.pack("<IIHHqI", 28, 5, 1, 0, 0, 28), "bad section byte order"),
    ],
)
def test_unreadable_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "named.pcap"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match=message) as e:
        read(path)
    assert str(path) in str(e.value)
    assert "\n" not in str(e.value)


def test_packets_before_a_lie_are_delivered(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    good = pcap("<", 0xA1B2C3D4, [(1, 0, b"good")])
    path.write_bytes(good + struct.pack("<IIII", 2, 0, MAX_PACKET + 1, 10) + b"x" * 50)
    blocks: list[RawPackets] = []
    with pytest.raises(CaptureError, match=f"record at byte {len(good)} claims 262145"):
        blocks.extend(read_capture(path))
    with pytest.raises(CaptureError):
        for raw in read_capture(path):
            blocks.append(raw)
    assert [s[0] for s in seen(blocks)][-1] == b"good"


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="No such file"):
        read(tmp_path / "none")
    with pytest.raises(CaptureError, match="directory"):
        read(tmp_path)


def test_writer_refuses_what_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    for frames, times in (([b""], []), ([bytes(MAX_PACKET + 1)], [0]), ([b""], [-1])):
        with pytest.raises(ValueError, match=r"times|over|fit"):
            write_capture(path, frames, times)


SAMPLES = [
    pcap("<", 0xA1B2C3D4, [(i, i, bytes([i]) * i) for i in range(40)]),
    section() + interface("<", 1) + b"".join(enhanced("<", 0, i, bytes(i)) for i in range(40)),
    gzip.compress(pcap(">", 0xA1B23C4D, [(i, i, bytes([i]) * i) for i in range(40)])),
    lzma.compress(section(">") + interface(">", 1) + enhanced(">", 0, 5, b"frame")),
]


@fuzz
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 4000),
)
def test_mutated_files_give_packets_or_capture_error(
    tmp_path: Path, sample: bytes, changes: list[tuple[int, int]], end: int
) -> None:
    content = bytearray(sample)
    for at, value in changes:
        content[at % len(content)] = value
    path = tmp_path / "x"
    path.write_bytes(content[: max(end, 30)])
    tracemalloc.start()
    try:
        for raw in read_capture(path):
            assert (raw.offsets + raw.lengths <= len(raw.data)).all()
            assert (raw.offsets >= 0).all()
            assert (raw.lengths >= 0).all()
    except CaptureError as e:
        assert "\n" not in str(e)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 250 << 20


@fuzz
@given(st.sampled_from([b"", b"\xd4\xc3\xb2\xa1", section(), b"\x1f\x8b\x08"]), st.binary())
def test_garbage_gives_packets_or_capture_error(tmp_path: Path, head: bytes, rest: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(head + rest)
    try:
        read(path)
    except CaptureError as e:
        assert str(path) in str(e)


def test_rows_are_the_bytes_at_the_offsets() -> None:
    data = np.arange(50, dtype=np.uint8)
    assert rows(data, np.array([0, 7, 46]), 4)[:, 0].tolist() == [0, 7, 46]
    assert rows(data[:2], np.array([], np.int64), 4).shape == (0, 4)


@pytest.mark.data
def test_shipped_captures_have_their_true_number_of_packets() -> None:
    root = os.environ.get("ONTOIDPS_DATA")
    if root is None:
        pytest.skip("ONTOIDPS_DATA does not name the folder with the captures")
    folder = Path(root, "pcaps")
    with (folder / "GROUND_TRUTH.tsv").open() as file:
        truth = list(csv.DictReader(file, delimiter="\t"))
    for line in truth:
        count = sum(len(raw) for raw in read_capture(folder / line["file"]))
        assert (line["file"], count) == (line["file"], int(line["packets"]))


def test_blocks_that_are_held_stay_as_they_are(tmp_path: Path) -> None:
    frames = [bytes([number % 251]) * 900 for number in range(400)]
    write_capture(tmp_path / "x", frames, range(400))
    held = list(read_capture(tmp_path / "x", block_bytes=4096))
    assert len(held) > 80
    assert [raw.frame(n) for raw in held for n in range(len(raw))] == frames


@pytest.mark.parametrize("what", ["array", "view", "memoryview"])
def test_memory_is_used_again_only_when_nobody_sees_it(what: str) -> None:
    buffers = Buffers()
    first = buffers.take(1000)
    address = first.ctypes.data
    seen = {"array": first, "view": first[10:20], "memoryview": first.data}[what]
    del first
    assert buffers.take(1000).ctypes.data != address
    del seen
    assert address in {buffers.take(1000).ctypes.data, buffers.take(900).ctypes.data}
