"""Who has answered, as the automaton's own rows say it, however packets are cut into blocks."""

from __future__ import annotations

import itertools
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.core import SensorCore
from agents.sensor.flows.answered import Answers
from agents.sensor.flows.decode import decode
from agents.sensor.flows.marks import Marks
from agents.sensor.flows.packets import ACK, FIN, RST, SYN
from agents.sensor.flows.table import FlowTable
from datasets.captures.pcap import PADDING, RawPackets

CLIENT, SERVER = bytes((192, 0, 2, 80)), bytes((198, 51, 100, 18))
Step = tuple[int, bool, int, bytes, int]
"""(client's port, by the client, flags, payload, microseconds since the step before)."""


def raw(steps: list[Step], begin_us: int = 0) -> RawPackets:
    frames, times, now_us = [], [], begin_us
    for number, (port, by_client, flags, payload, wait_us) in enumerate(steps):
        ends = [(CLIENT, port), (SERVER, 21)]
        (src, sport), (dst, dport) = ends if by_client else ends[::-1]
        tcp = struct.pack(">HHIIBBHHH", sport, dport, number, 0, 0x50, flags, 8192, 0, 0)
        size = 40 + len(payload)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, size, number, 0, 64, 6, 0, src, dst)
        frames.append(bytes(12) + b"\x08\0" + ip + tcp + payload)
        now_us += wait_us
        times.append(now_us)
    lengths = np.array([len(frame) for frame in frames], np.int64)
    data = np.frombuffer(b"".join(frames) + bytes(PADDING), np.uint8)
    return RawPackets(
        data, np.cumsum(lengths) - lengths, lengths, lengths, np.array(times, np.int64), 1
    )


def spoken(steps: list[Step], cuts: list[int]) -> list[bool]:
    """What is said of each packet, taken in blocks that end at ``cuts``."""
    whole = raw(steps)
    table = FlowTable()
    out: list[bool] = []

    def read(answers: Answers) -> Marks:
        out.extend(answers.spoken(np.arange(len(answers.packets))).tolist())
        none = np.zeros(0, np.int64)
        return Marks(none, none, none, none)

    edges = sorted({0, len(steps), *(cut % (len(steps) + 1) for cut in cuts)})
    for begin, end in itertools.pairwise(edges):
        table.add(decode(whole.take(np.arange(begin, end))), read)
        table.advance(int(whole.times_us[end - 1]))
    return out


steps = st.lists(
    st.tuples(
        st.sampled_from([4000, 4001]),
        st.booleans(),
        st.sampled_from([SYN, SYN | ACK, ACK, ACK, ACK, RST, RST | ACK, FIN | ACK]),
        st.sampled_from([b"", b"PASS x\r\n"]),
        st.sampled_from([0, 10, 150_000, 250_000, 1_900_000, 2_100_000, 6_000_000, 301_000_000]),
    ),
    min_size=1,
    max_size=25,
)


@given(steps, st.lists(st.integers(0, 25), max_size=6))
@settings(max_examples=400, deadline=None)
def test_how_packets_are_cut_into_blocks_changes_nothing(made: list[Step], cuts: list[int]) -> None:
    assert spoken(made, cuts) == spoken(made, list(range(26)))


A, B = True, False


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ([(1, A, SYN, b"", 0), (1, A, ACK, b"x", 1)], [0, 0]),
        ([(1, A, SYN, b"", 0), (1, B, SYN | ACK, b"", 1), (1, A, ACK, b"x", 1)], [0, 1, 1]),
        # A host that was not asked resets: that is no word.
        ([(1, A, ACK, b"x", 0), (1, B, RST | ACK, b"", 1), (1, A, ACK, b"x", 1)], [0, 0, 0]),
        # Picked up in the middle: from the first answer on.
        ([(1, A, ACK, b"x", 0), (1, B, ACK, b"y", 1), (1, A, ACK, b"x", 1)], [0, 1, 1]),
        # The same ports again, long after: another connection.
        ([(1, B, SYN | ACK, b"", 0), (1, A, ACK, b"x", 1), (1, A, ACK, b"x", 301_000_000)],
         [1, 1, 0]),
        # Others' answers are not this connection's.
        ([(1, A, SYN, b"", 0), (2, B, SYN | ACK, b"", 1), (1, A, ACK, b"x", 1)], [0, 1, 0]),
    ],
)  # fmt: skip
def test_when_a_connection_counts_as_answered(made: list[Step], expected: list[int]) -> None:
    for cuts in ([], list(range(5))):
        assert [int(one) for one in spoken(made, cuts)] == expected


def logins(made: list[Step]) -> tuple[int, int]:
    core = SensorCore("s")
    core.on_packets(raw(made))
    (batch,) = core.take_batches(core.last_us, final=True)
    return int(batch.connections["login_attempts"].sum()), core.counters["unanswered"]


def test_a_payload_is_read_where_the_responder_has_spoken_and_counted_where_not() -> None:
    opened: list[Step] = [(1, A, SYN, b"", 0), (1, B, SYN | ACK, b"", 1), (1, A, ACK, b"", 1)]
    password: Step = (1, A, ACK, b"PASS x\r\n", 10)
    assert logins([*opened, password]) == (1, 0)
    assert logins([opened[0], password]) == (0, 1)
    assert logins([password] * 5) == (0, 5)


def test_whose_a_payload_is() -> None:
    made: list[Step] = [(1, A, SYN, b"", 0), (1, B, SYN | ACK, b"", 1), (1, B, ACK, b"x", 1)]
    found: list[bytes] = []

    def read(answers: Answers) -> Marks:
        found.extend(bytes(one) for one in answers.sources(np.arange(3)))
        none = np.zeros(0, np.int64)
        return Marks(none, none, none, none)

    FlowTable().add(decode(raw(made)), read)
    assert {one[-4:] for one in found} == {CLIENT}
