"""Looking for a family's dearest payload: mutations of its seeds, kept when they cost more."""

from __future__ import annotations

import random
import re
import time

from agents.sensor.core import SensorCore
from hostile.families import Family
from hostile.wire import SEGMENT, blocks

_TRIAL = 200
"""Packets that a mutation is tried with."""


def cost_us(family: Family, payload: bytes, packets: int, rounds: int) -> float:
    """CPU microseconds per packet from block to records: the least of some rounds, since whatever
    else the machine does only adds."""
    before, block = blocks(family.way, (payload,), packets)
    best = float("inf")
    for _ in range(rounds):
        core = SensorCore("bench")
        if before is not None:
            core.on_packets(before)
        begin = time.process_time()
        core.on_packets(block)
        core.take_batches(core.last_us)
        best = min(best, time.process_time() - begin)
    return best / packets * 1e6


def worst(family: Family, tries: int, rng: random.Random) -> bytes:
    """The dearest payload that so many mutations find."""
    found = [(cost_us(family, seed, _TRIAL, 2), seed) for seed in family.seeds]
    tokens = _tokens(family)
    for _ in range(tries if family.fixed < SEGMENT else 0):
        found.sort(key=lambda one: -one[0])
        del found[4:]
        _, parent = rng.choice(found)
        child = _mutated(parent, tokens, family.fixed, rng)
        cost = cost_us(family, child, _TRIAL, 1)
        if cost > found[-1][0]:
            # Once more: a disturbance is no find.
            found.append((min(cost, cost_us(family, child, _TRIAL, 2)), child))
    return max(found)[1]


def _tokens(family: Family) -> list[bytes]:
    parts = {token for seed in family.seeds for token in re.findall(rb"\w{1,12}|\W{1,4}", seed)}
    return [*sorted(parts | set(family.tokens)), b" ", b"\n", b"/", b"'", b"a", b"\xff", b"\0"]


def _mutated(parent: bytes, tokens: list[bytes], fixed: int, rng: random.Random) -> bytes:
    head, rest = parent[:fixed], parent[fixed:]
    at = rng.randrange(len(rest) + 1)
    size = rng.choice((0, 1, 2, 5, 20, 200))
    new = b"".join(rng.choice(tokens) for _ in range(rng.choice((1, 1, 2, 4))))
    kind = rng.randrange(5)
    if kind == 0:
        rest = rest[:at] + new * rng.choice((1, 3, 30)) + rest[at + size :]
    elif kind == 1:
        rest = new * (SEGMENT // max(len(new), 1) + 1)
    elif kind == 2:
        part = rest[at : at + max(size, 1)] + new
        rest = rest[:at] + part * rng.choice((2, 10, 100)) + rest[at:]
    elif kind == 3:
        rest = rest[:at] + rest[at + size :]
    else:
        unit = rest[at : at + rng.choice((2, 5, 11, 40))] + new
        rest = unit * (SEGMENT // len(unit) + 1)
    return (head + rest)[:SEGMENT]
