"""Conversations among the blocks that came last."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from agents.sensor.evidence.recent import MAX_FOUND, RecentPackets, ends_of, frame_of
from agents.sensor.flows.decode import decode
from datasets.captures.pcap import RawPackets, read_capture

SAMPLES = Path(str(files("datasets").joinpath("samples")))


def blocks(name: str, size: int = 4096) -> list[RawPackets]:
    return list(read_capture(SAMPLES / f"{name}.pcap.xz", block_bytes=size))


@pytest.mark.parametrize("name", ["web-traversal", "udp-scan", "icmp-sweep", "syn-scan-ipv6"])
def test_a_conversation_is_found_whole_across_blocks(name: str) -> None:
    recent = RecentPackets()
    wanted: dict[object, list[bytes]] = {}
    for raw in blocks(name):
        packets = decode(raw)
        recent.add(raw)
        for number in range(len(packets)):
            ends = ends_of(packets, number)
            key = min(ends, ends.turned(), key=repr)
            wanted.setdefault(key, []).append(raw.frame(int(packets.index[number])))
    assert len(wanted) > 1
    for ends, whole in list(wanted.items())[:50]:
        for either in (ends, ends.turned()):  # type: ignore[attr-defined]
            found = recent.conversation(either, raw.link_type, 0)
            assert [frame.data for frame in found] == whole[:MAX_FOUND]
        assert recent.conversation(ends, 999, 0) == []  # type: ignore[arg-type]


def test_what_is_held_is_bounded_and_the_oldest_goes_first() -> None:
    recent = RecentPackets(held_bytes=40_000, held_packets=100)
    made = blocks("syn-scan")
    for raw in made:
        recent.add(raw)
        assert recent.packets <= max(100, len(raw)) and recent.bytes <= max(40_000, len(raw.data))
    first, last = decode(made[0]), decode(made[-1])
    assert recent.conversation(ends_of(last, 0), made[-1].link_type, 0)
    assert recent.conversation(ends_of(first, 0), made[0].link_type, 0) == []


def test_of_a_long_conversation_the_begin_and_the_packets_about_a_time_are_copied() -> None:
    base = blocks("ssh-guess", 1 << 22)[0]
    packets = decode(base)
    ends = ends_of(packets, 0)
    many = 500
    raw = RawPackets(
        base.data,
        np.full(many, base.offsets[packets.index[0]]),
        np.full(many, base.lengths[packets.index[0]]),
        np.full(many, base.wire_lengths[packets.index[0]]),
        np.arange(many, dtype=np.int64),
        base.link_type,
    )
    recent = RecentPackets()
    recent.add(raw)
    for at_us in (0, 250, 499):
        times = [frame.time_us for frame in recent.conversation(ends, raw.link_type, at_us)]
        assert at_us in times and times[:4] == [0, 1, 2, 3] and times == sorted(times)
        assert MAX_FOUND <= len(times) <= MAX_FOUND + 4


@pytest.mark.parametrize("time_us", [-1, -(2**63), 2**63 - 1])
def test_times_of_any_kind_fit_into_a_capture(time_us: int) -> None:
    (raw,) = blocks("arp-sweep", 1 << 22)
    times = np.full(len(raw), time_us, np.int64)
    odd = RawPackets(raw.data, raw.offsets, raw.lengths, raw.wire_lengths, times, raw.link_type)
    assert 0 <= frame_of(odd, 0).time_us < 2**32 * 1_000_000
