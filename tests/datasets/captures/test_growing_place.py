"""A growing capture over restarts of its reader: every packet once."""

from __future__ import annotations

import json
import os
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.captures.growing import GrowingCapture
from datasets.captures.growing_place import Place
from datasets.captures.pcap import write_capture

FRAMES = [bytes([number]) * (20 + number) for number in range(6)]


def pcap(frames: list[bytes], first: int = 0) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x")
        write_capture(path, frames, [1_000_000 * (first + n) for n in range(len(frames))])
        return path.read_bytes()


def pcapng(frames: list[bytes], first: int = 0) -> bytes:
    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        size = struct.pack("<I", len(body) + 12)
        return struct.pack("<I", kind) + size + body + size

    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += block(1, struct.pack("<HHI", 1, 0, 0))
    for n, frame in enumerate(frames, first):
        out += block(6, struct.pack("<IIIII", 0, 0, n, len(frame), len(frame)) + frame)
    return out


class Reader:
    """Runs of a reader, one after the other."""

    def __init__(self, folder: Path, *, from_start: bool = False) -> None:
        self.path, self.state = folder / "growing", folder / "place.json"
        self.from_start = from_start
        self.start()

    def start(self) -> None:
        self.capture = GrowingCapture(self.path, from_start=self.from_start, state=self.state)

    def read(self, *, settle: bool = True) -> list[bytes]:
        found: list[bytes] = []
        while (raw := self.capture.read()) is not None:
            found += [raw.frame(n) for n in range(len(raw))]
            if settle:
                self.capture.settle()
        if settle:
            self.capture.settle()
        return found

    def restart(self) -> None:
        self.capture.close()
        self.start()


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_the_next_run_goes_on_behind_what_was_settled(tmp_path: Path, make: object) -> None:
    assert callable(make)
    reader = Reader(tmp_path, from_start=True)
    reader.path.write_bytes(make(FRAMES[:3]))
    assert reader.read() == FRAMES[:3]
    # Half a record more: it counts when it is whole, whoever is there then.
    reader.path.write_bytes(make(FRAMES)[: len(make(FRAMES[:3])) + 10])
    assert reader.read() == []
    reader.restart()
    assert reader.read() == []
    reader.path.write_bytes(make(FRAMES))
    assert reader.read(settle=False) == FRAMES[3:]
    reader.restart()
    assert reader.read() == FRAMES[3:]
    assert reader.capture.counters == {"files": 1, "packets": 3}
    reader.restart()
    assert reader.read() == []
    reader.capture.close()


def test_what_came_while_nobody_looked_is_not_passed_over(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.path.write_bytes(pcap(FRAMES[:2]))
    assert reader.read() == []  # it was there before us
    reader.restart()
    reader.path.write_bytes(pcap(FRAMES[:4]))
    assert reader.read() == FRAMES[2:4]
    reader.capture.close()


def test_a_file_that_came_to_be_while_nobody_looked_is_new(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    assert reader.read() == []
    reader.restart()
    reader.path.write_bytes(pcap(FRAMES))
    assert reader.read() == FRAMES
    assert reader.capture.counters["gaps"] == 0
    reader.capture.close()


@pytest.mark.parametrize("new", [True, False])
def test_rotation_while_nobody_looked_is_followed(tmp_path: Path, new: bool) -> None:
    reader = Reader(tmp_path, from_start=True)
    reader.path.write_bytes(pcap(FRAMES[:2]))
    assert reader.read() == FRAMES[:2]
    reader.path.write_bytes(pcap(FRAMES[:3]))
    reader.path.rename(tmp_path / "growing.20261122")
    (tmp_path / "another").write_bytes(pcap(FRAMES[:1]))
    if new:
        reader.path.write_bytes(pcap(FRAMES[3:5]))
    reader.restart()
    assert reader.read() == (FRAMES[2:5] if new else FRAMES[2:3])
    if not new:
        reader.path.write_bytes(pcap(FRAMES[3:5]))
        assert reader.read() == FRAMES[3:5]
    assert reader.capture.counters["rotations"] == 1
    assert reader.capture.counters["gaps"] == 0
    reader.capture.close()


@pytest.mark.parametrize("how", ["gone", "cut"])
def test_a_lost_file_is_a_gap_and_what_stands_there_is_new(tmp_path: Path, how: str) -> None:
    reader = Reader(tmp_path, from_start=True)
    reader.path.write_bytes(pcap(FRAMES))
    assert reader.read() == FRAMES
    reader.capture.close()
    if how == "gone":
        (tmp_path / "other").write_bytes(pcap(FRAMES[2:], first=9))
        os.replace(tmp_path / "other", reader.path)
    else:
        reader.path.write_bytes(pcap(FRAMES[2:3], first=9))
    reader.start()
    assert reader.read() == (FRAMES[2:] if how == "gone" else FRAMES[2:3])
    assert reader.capture.counters["gaps"] == 1
    reader.capture.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expecting value"),
        ("[]", "not the place in a capture"),
        (json.dumps({"inode": 1}), "not the place in a capture"),
        (
            json.dumps({"inode": 1, "packets": -4, "size": 1, "head": "", "head_size": 0}),
            "packets must be int, got -4",
        ),
        (
            json.dumps({"inode": 1, "packets": 4, "size": 1, "head": 7, "head_size": 0}),
            "head must be str, got 7",
        ),
    ],
)
def test_a_damaged_place_is_told_and_the_file_seen_for_the_first_time(
    tmp_path: Path, text: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "place.json").write_text(text)
    with pytest.raises(ValueError, match=said):
        Place.load(tmp_path / "place.json")
    reader = Reader(tmp_path)
    assert said in caplog.text
    reader.path.write_bytes(pcap(FRAMES[:2]))
    assert reader.read() == []
    reader.path.write_bytes(pcap(FRAMES))
    assert reader.read() == FRAMES[2:]
    assert reader.capture.counters["place_unreadable"] == 1
    reader.capture.close()


STEPS = st.lists(st.sampled_from(["write", "write", "read", "restart", "rotate"]), max_size=24)


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_every_packet_comes_once_whatever_happens_when(steps: list[str]) -> None:
    """A file that nobody looked at before it was rotated away is lost; all others are read."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reader = Reader(folder, from_start=True)
        written: list[bytes] = []
        current: list[bytes] = []
        found: list[bytes] = []
        rotations, seen = 0, False
        for step in [*steps, "read"]:
            if step == "write":
                frame = struct.pack(">I", len(written)) * 10
                written.append(frame)
                if not current:
                    reader.path.write_bytes(pcap([frame], first=len(written)))
                    seen = False
                else:
                    record = pcap([frame], first=len(written))[24:]
                    with reader.path.open("ab") as file:
                        file.write(record)
                current.append(frame)
            elif step == "read":
                found += reader.read()
                seen = bool(current)
            elif step == "restart":
                reader.restart()
            elif current and seen:
                rotations, current = rotations + 1, []
                reader.path.rename(folder / f"growing.{rotations}")
        reader.capture.close()
        assert found == written
