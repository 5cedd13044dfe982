"""Frames captured twice and segments sent twice count once; what only looks like it stays."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.core import SensorCore
from agents.sensor.flows.decode import decode
from agents.sensor.flows.duplicates import Duplicates
from agents.sensor.flows.segments import sequence_number
from datasets.captures.pcap import PADDING, RawPackets

CLIENT, SERVER = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])


def segment(
    payload: bytes, *, seq: int = 1, options: bytes = b"", flags: int = 24, to_server: bool = True
) -> bytes:
    src, dst = (CLIENT, SERVER) if to_server else (SERVER, CLIENT)
    ports = (4000, 21) if to_server else (21, 4000)
    size = 20 + len(options)
    tcp = struct.pack(">HHIIBBHHH", *ports, seq, 7, size // 4 << 4, flags, 8192, 0, 0) + options
    total = 20 + size + len(payload)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, total, 1, 0, 64, 6, 0, src, dst)
    return bytes(12) + b"\x08\x00" + ip + tcp + payload


OPENED = segment(b"", seq=0, flags=2), segment(b"", seq=0, flags=18, to_server=False)
"""What nobody has answered is not read."""


def raw(frames: list[bytes], times: list[int]) -> RawPackets:
    lengths = np.array([len(f) for f in frames], np.int64)
    data = np.frombuffer(b"".join(frames) + bytes(PADDING), np.uint8)
    return RawPackets(
        data, np.cumsum(lengths) - lengths, lengths, lengths, np.array(times, np.int64), 1
    )


def kept(duplicates: Duplicates, frames: list[bytes], times: list[int]) -> list[bytes]:
    left = duplicates.drop(raw(frames, times))
    return [left.frame(i) for i in range(len(left))]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=40),
    st.lists(st.integers(0, 40), max_size=4),
)
def test_a_frame_is_a_duplicate_if_bytes_and_time_are_known(
    rows: list[tuple[int, int, bool]], cuts: list[int]
) -> None:
    """Against a set; clocks that stand, run and jump, frames shorter and longer than what is
    compared, blocks cut anywhere."""
    frames = [bytes([number]) * (90 if long else 20) for _, number, long in rows]
    times = [time for time, _, _ in rows]
    seen: set[tuple[int, bytes]] = set()
    expected = []
    for one in zip(times, frames, strict=True):
        if one not in seen:
            expected.append(one[1])
        seen.add(one)
    duplicates, got = Duplicates(), []
    inner = sorted(min(c, len(rows)) for c in cuts)
    for begin, end in zip([0, *inner], [*inner, len(rows)], strict=True):
        if begin < end:
            got += kept(duplicates, frames[begin:end], times[begin:end])
    assert got == expected
    assert duplicates.frames == len(rows) - len(expected)


def test_history_is_bounded_and_a_block_behind_it_counts() -> None:
    duplicates = Duplicates(history=4)
    for start in range(0, 100, 2):
        assert len(kept(duplicates, [b"x" * 60] * 2, [start, start + 1])) == 2
    assert sum(len(b.times) for b in duplicates._blocks) <= 6
    assert kept(duplicates, [b"x" * 60], [98]) == []
    assert len(kept(duplicates, [b"x" * 60], [0])) == 1


@pytest.mark.parametrize("options", [b"", b"\1\1\x08\x0a" + bytes(8), b"\1" * 40])
def test_sequence_numbers_are_found_behind_any_options(options: bytes) -> None:
    packets = decode(raw([segment(b"PASS x\r\n", seq=0xFFFFFFF0, options=options)], [1]))
    assert sequence_number(packets, 0) == 0xFFFFFFF0


def test_options_that_look_like_a_header_do_not_hide_the_number() -> None:
    fake = struct.pack(">HHIIBBHHH", 4000, 21, 77, 7, 0x50, 24, 0, 0, 0)
    packets = decode(raw([segment(b"PASS x\r\n", seq=5, options=fake)], [1]))
    assert sequence_number(packets, 0) == 5


def logins(frames: list[bytes], times: list[int]) -> tuple[int, int, SensorCore]:
    core = SensorCore("s")
    core.on_packets(raw(frames, times))
    (batch,) = core.take_batches(max(times), final=True)
    rows = batch.connections
    return int(rows["login_attempts"].sum()), int(rows["failed_logins"].sum()), core


def test_retransmitted_login_and_refusal_count_once_but_all_packets_do() -> None:
    password = segment(b"PASS secret\r\n")
    refusal = segment(b"530 Login incorrect.\r\n", to_server=False)
    frames = [*OPENED, password, password, refusal, refusal, password]
    attempts, failed, core = logins(frames, [0, 5, 10, 1_000_010, 1_000_020, 1_500_000, 3_000_010])
    assert (attempts, failed) == (1, 1)
    assert core.counters["packets"] == 7
    assert core.counters["retransmitted"] == 3


def test_the_same_password_again_is_another_login() -> None:
    line = b"PASS secret\r\n"
    again = segment(line, seq=1 + len(line))
    assert logins([*OPENED, segment(line), again], [0, 5, 10, 20])[0] == 2
    # The same bytes much later: another connection of the same ports, or a replayed capture.
    assert logins([*OPENED, segment(line), segment(line)], [0, 5, 10, 60_000_000])[0] == 2


def test_a_capture_joined_to_itself_counts_once() -> None:
    frames = [*OPENED, segment(b"PASS secret\r\n")]
    attempts, _, core = logins(frames * 2, [10, 15, 20, 10, 15, 20])
    assert attempts == 1
    assert (core.counters["packets"], core.counters["duplicates"]) == (3, 3)


def test_login_cut_by_segmentation_counts_once() -> None:
    parts = [b"USER a\r\nPA", b"SS sec", b"ret\r\n"]
    frames, seq = [*OPENED], 1
    for part in parts:
        frames.append(segment(part, seq=seq))
        seq += len(part)
    frames.append(segment(parts[2], seq=seq - len(parts[2])))  # retransmitted
    answer = [segment(b"53", to_server=False), segment(b"0 No.\r\n", seq=3, to_server=False)]
    attempts, failed, _ = logins(frames + answer, list(range(len(frames) + 2)))
    assert (attempts, failed) == (1, 1)


@pytest.mark.parametrize("head", [14 + 20 + 8 + 8 + 14, 60, 128])
@pytest.mark.parametrize("last", [0, 1])
def test_packets_of_one_tunnel_at_one_time_are_no_duplicates(head: int, last: int) -> None:
    """A tunnel's headers repeat; what differs comes behind them. Linux writes no IP number."""
    outer = bytes(12) + b"\x08\x00" + struct.pack(">BBHHHBBH", 69, 0, 200, 0, 0, 64, 17, 0)
    outer = outer.ljust(head, b"\1")
    frames = [outer + struct.pack(">I", n) * 10 + bytes(30) for n in (7, 8, 7)]
    assert kept(Duplicates(), frames, [5, 5, 5 + last]) == frames[: 2 + last]
