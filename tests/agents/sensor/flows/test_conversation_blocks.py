"""Whole blocks are judged as one packet after the other is, however they are cut."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from agents.sensor.flows import conversation_blocks, tcp_conversations
from agents.sensor.flows.conversation_blocks import judge
from agents.sensor.flows.packets import ACK, FIN, PSH, RST, SYN
from agents.sensor.flows.tcp_conversations import ANEW, CLIENT, REJECTED, SERVER, TALK, UNSURE

Packet = tuple[int, bool, int, int, int, int]
"""(connection, sender is the greater end, flags, payload bytes, sequence, acknowledgement)"""


def traffic(random: Random, count: int, connections: int) -> list[Packet]:
    """Talks with the right numbers, and all kinds of wrong ones among them."""
    ends = [[random.getrandbits(32), random.getrandbits(32)] for _ in range(connections)]
    packets: list[Packet] = []
    for _ in range(count):
        of = random.randrange(connections)
        numbers = ends[of]
        server = random.random() < 0.45
        flags = random.choice((ACK, ACK, PSH | ACK, PSH | ACK, FIN | ACK, RST, SYN, SYN | ACK))
        if flags == SYN | ACK and random.random() < 0.9:
            server = True
            if random.random() < 0.2:
                numbers[1] = random.getrandbits(32)
        if flags in (FIN | ACK, RST, SYN) and random.random() < 0.6:
            flags = ACK
        if random.random() < 0.02:
            flags = random.choice((0, PSH, SYN | FIN, SYN | RST, RST | ACK, SYN | ACK | FIN))
        size = random.choice((0, 0, 10, 1460, 40_000))
        off = [0, 0]
        if random.random() < 0.2:
            some = (1, -1, 5_000, -5_000, 9_000, -9_000, 100_000, 2**29, 2**31, 3 * 10**9)
            off[random.randrange(2)] = random.choice(some)
        seq = (numbers[server] + off[0]) % 2**32
        if flags == SYN | ACK:
            seq, size = (seq - 1) % 2**32, 0
        packets.append((of, server, flags, size, seq, (numbers[not server] + off[1]) % 2**32))
        if off == [0, 0] and flags in (ACK, PSH | ACK):
            numbers[server] = (numbers[server] + size) % 2**32
    return packets


def in_blocks(packets: list[Packet], cuts: list[int], connections: int) -> tuple[list[int], bytes]:
    talk = np.zeros(connections, TALK)
    out: list[int] = []
    for begin, end in zip([0, *cuts], [*cuts, len(packets)], strict=True):
        part = packets[begin:end]
        if not part:
            continue
        order = sorted(range(len(part)), key=lambda n: part[n][0])
        rows = [part[n] for n in order]
        known = sorted({row[0] for row in rows})
        own = talk[known].copy()
        group, side, flags, size, seq, ack = (np.array(c) for c in zip(*rows, strict=True))
        standing = judge(
            np.searchsorted(known, group),
            side.astype(bool),
            flags.astype(np.uint8),
            size.astype(np.int64),
            seq.astype(np.uint32),
            ack.astype(np.uint32),
            own,
        )
        talk[known] = own
        found = [0] * len(part)
        for place, value in zip(order, standing.tolist(), strict=True):
            found[place] = value
        out += found
    return out, talk.tobytes()


def in_turn(packets: list[Packet], connections: int) -> tuple[list[int], bytes]:
    states = [[0] * 6 for _ in range(connections)]
    out = [tcp_conversations.judge(states[of], *rest) for of, *rest in packets]
    return out, np.array([tuple(state) for state in states], TALK).tobytes()


@pytest.mark.parametrize("rounds", [1, 8])
def test_blocks_say_what_packets_in_turn_do(monkeypatch: pytest.MonkeyPatch, rounds: int) -> None:
    monkeypatch.setattr(conversation_blocks, "_ROUNDS", rounds)
    seen: set[int] = set()
    for seed in range(150):
        random = Random(seed)
        connections = random.choice((1, 2, 9))
        packets = traffic(random, random.choice((20, 200)), connections)
        expected, state = in_turn(packets, connections)
        seen |= set(expected)
        cuts = sorted(random.randrange(len(packets)) for _ in range(random.randrange(5)))
        for some in ([], cuts):
            found, talk = in_blocks(packets, some, connections)
            assert found == expected, (seed, some)
            assert talk == state, (seed, some)
    assert seen >= {CLIENT, REJECTED, SERVER, UNSURE, ANEW}


def test_ten_thousand_forged_segments_shake_nothing() -> None:
    """Among a real client's; none of them is accepted, all of his are."""
    random = Random(4)
    packets: list[Packet] = [
        (0, False, SYN, 0, 99, 0), (0, True, SYN | ACK, 0, 4_000_000_000, 100),
        (0, False, ACK, 0, 100, 4_000_000_001),
    ]  # fmt: skip
    real = 100
    for _ in range(10_000):
        seq, ack = random.getrandbits(32), random.getrandbits(32)
        flags = random.choice((PSH | ACK, FIN | ACK, RST, PSH))
        packets.append((0, False, flags, 30, seq, ack))
        if random.random() < 0.05:
            packets.append((0, False, PSH | ACK, 10, real, 4_000_000_001))
            real += 10
            packets.append((0, True, ACK, 0, 4_000_000_001, real))
    found, _ = in_blocks(packets, [3_000, 7_000], 1)
    own = [n for n, p in enumerate(packets) if n > 2 and p[3] == 10]
    assert {found[n] for n in own} == {CLIENT}
    assert found.count(CLIENT) - 1 == len(own) and REJECTED in found
