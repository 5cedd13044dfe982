"""Blocks in, batches out, with the thread of one lane."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from agents.sensor.capture.lane import QUEUE_BLOCKS, Lane
from datasets.captures.pcap import RawPackets, read_capture, write_capture

FRAMES = [
    bytes(12)
    + (b"\x08\0\x45\0\0\x1d\0%c\0\0\x40\x11\0\0\xc0\0\2\1\xc0\0\2\2" % number)
    + b"\x0f\xa0\x0f\xa1\0\x09\0\0x"
    for number in range(4)
]


def block(folder: Path) -> RawPackets:
    path = folder / "x.pcap"
    write_capture(path, FRAMES, [1_000_000] * len(FRAMES))
    [raw] = read_capture(path)
    return raw


def test_what_does_not_fit_is_refused_and_what_was_taken_is_decoded(tmp_path: Path) -> None:
    raw = block(tmp_path)
    lane = Lane("sensor.gw1@h", own_clock=True)
    assert all(lane.put(raw) for _ in range(QUEUE_BLOCKS))
    assert not lane.put(raw) and not lane.light
    lane.on_dropped(len(raw))
    ended, offered = threading.Event(), list[int]()
    ended.set()
    lane.run(ended, lambda packets: offered.append(len(packets)))
    assert offered == [4] and lane.light  # the same frames again are no evidence
    assert lane.counters()["packets"] + lane.counters()["duplicates"] == 4 * QUEUE_BLOCKS
    assert lane.counters()["dropped"] == 4
    [batch] = lane.take(final=True)
    assert batch.dropped == 4 and len(batch.connections) == 1
    assert lane.take(final=True) == [] and lane.take_alerts() == []


def test_a_block_that_cant_be_decoded_does_not_end_the_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = block(tmp_path)
    lane = Lane("sensor.gw1@h", own_clock=True)
    decode, left = lane._core.on_packets, [OSError(24, "Too many open files")] * 2

    def failing(packets: RawPackets) -> RawPackets:
        if left:
            raise left.pop()
        return decode(packets)

    monkeypatch.setattr(lane._core, "on_packets", failing)
    for _ in range(3):
        lane.put(raw)
    ended = threading.Event()
    ended.set()
    lane.run(ended, None)
    assert lane.counters()["decode_errors"] == 2
    assert lane.counters()["packets"] == 4
