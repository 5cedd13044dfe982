"""Capture files that are still being written."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from datasets.captures.growing import GrowingCapture
from datasets.captures.pcap import write_capture

FRAMES = [bytes([number]) * (20 + number) for number in range(6)]


def pcap_bytes(tmp_path: Path, frames: list[bytes] = FRAMES) -> bytes:
    path = tmp_path / "whole"
    write_capture(path, frames, [1_000_000 * n for n in range(len(frames))])
    return path.read_bytes()


def pcapng_bytes(frames: list[bytes] = FRAMES) -> bytes:
    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        size = struct.pack("<I", len(body) + 12)
        return struct.pack("<I", kind) + size + body + size

    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += block(1, struct.pack("<HHI", 1, 0, 0))
    for n, frame in enumerate(frames):
        out += block(6, struct.pack("<IIIII", 0, 0, n, len(frame), len(frame)) + frame)
    return out


def read_all(capture: GrowingCapture) -> list[bytes]:
    found: list[bytes] = []
    while (raw := capture.read()) is not None:
        found += [raw.frame(n) for n in range(len(raw))]
    return found


@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
@pytest.mark.parametrize("step", [1, 7, 61])
def test_packets_come_when_they_are_whole_wherever_the_writer_stops(
    tmp_path: Path, kind: str, step: int
) -> None:
    whole = pcap_bytes(tmp_path) if kind == "pcap" else pcapng_bytes()
    path = tmp_path / "growing"
    capture = GrowingCapture(path)
    assert capture.read() is None  # not there yet
    found: list[bytes] = []
    with path.open("wb", buffering=0) as file:
        for begin in range(0, len(whole), step):
            file.write(whole[begin : begin + step])
            found += read_all(capture)
            assert found == FRAMES[: len(found)]
    capture.close()
    assert found == FRAMES
    assert capture.counters == {"files": 1, "packets": 6}


@pytest.mark.parametrize(("from_start", "expected"), [(False, FRAMES[3:]), (True, FRAMES)])
def test_what_is_there_at_first_counts_only_if_wanted(
    tmp_path: Path, from_start: bool, expected: list[bytes]
) -> None:
    path = tmp_path / "growing"
    path.write_bytes(pcap_bytes(tmp_path, FRAMES[:3]))
    capture = GrowingCapture(path, from_start=from_start)
    found = read_all(capture)
    with path.open("ab") as file:
        file.write(pcap_bytes(tmp_path)[len(pcap_bytes(tmp_path, FRAMES[:3])) :])
    assert found + read_all(capture) == expected
    capture.close()


def test_rotation_is_followed_and_the_old_file_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "growing"
    path.write_bytes(pcap_bytes(tmp_path, FRAMES[:1]))
    capture = GrowingCapture(path, from_start=True)
    assert read_all(capture) == FRAMES[:1]
    os.rename(path, tmp_path / "growing.1")
    assert read_all(capture) == []  # no new one yet: the writer may still go on
    with (tmp_path / "growing.1").open("ab") as file:
        head = len(pcap_bytes(tmp_path, FRAMES[:1]))
        file.write(pcap_bytes(tmp_path, FRAMES[:2])[head:] + b"half a rec")
    path.write_bytes(pcapng_bytes(FRAMES[3:]))
    assert read_all(capture) == [FRAMES[1], *FRAMES[3:]]
    assert capture.counters["rotations"] == 1
    capture.close()


def test_a_file_cut_to_nothing_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "growing"
    path.write_bytes(pcap_bytes(tmp_path))
    capture = GrowingCapture(path)
    assert read_all(capture) == []
    with path.open("r+b") as file:
        file.truncate(0)
        file.flush()
        assert read_all(capture) == []
        file.write(pcap_bytes(tmp_path, FRAMES[2:4]))
    assert read_all(capture) == FRAMES[2:4]
    assert capture.counters["truncations"] == 1
    capture.close()


def test_what_is_no_capture_is_said_once_and_a_good_file_after_it_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "growing"
    path.write_bytes(b"this was never a capture file")
    capture = GrowingCapture(path, from_start=True)
    for _ in range(3):
        assert capture.read() is None
    assert capture.counters["errors"] == 1
    assert [r.getMessage() for r in caplog.records] == [
        f"{path}: neither pcap nor pcapng (begins with 74686973); waiting for another file"
    ]
    other = tmp_path / "other"
    other.write_bytes(pcap_bytes(tmp_path))
    os.replace(other, path)
    assert read_all(capture) == FRAMES
    capture.close()


def test_a_named_pipe_or_a_folder_neither_blocks_nor_raises(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        capture = GrowingCapture(path)
        assert capture.read() is None
        assert capture.counters["errors"] == 1
        capture.close()
        capture.close()
