"""Who is read when there is no time for all: as much of each, whatever the others send."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.payloads.reading_shares import (
    LEAST_US,
    SAVED_US,
    ReadingShares,
    costs,
    in_turns,
)


def addresses(*numbers: int) -> np.ndarray:
    mapped = bytes(10) + b"\xff\xff"
    rows = [mapped + number.to_bytes(4, "big") for number in numbers]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 16)


def lots(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_flood_takes_no_reading_from_others() -> None:
    """One source with 5,000 payloads and 20 with 3 each, and time for 500."""
    sources = [0] * 5_000 + [1 + n // 3 for n in range(60)]
    order = lots().permutation(len(sources))
    shares = ReadingShares()
    shares.choose(np.array([SAVED_US]), addresses(9), 0)  # what was saved is used up
    us = np.full(len(sources), 30)
    keep = shares.choose(us, addresses(*np.array(sources)[order].tolist()), 500 * 30 * 4)
    read = np.array(sources)[order][keep]
    assert (read > 0).sum() == 60
    assert 400 < (read == 0).sum() <= 440


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 50)), min_size=1, max_size=60),
    st.integers(0, 800),
    st.integers(0, 9),
)
@settings(max_examples=300)
def test_nobody_gets_more_while_another_wants_more(
    wanted: list[tuple[int, int]], allowed: int, seed: int
) -> None:
    sources, us = (np.array(column) for column in zip(*wanted, strict=True))
    keep = in_turns(us, sources, allowed, lots(seed))
    assert us[keep].sum() <= allowed
    if us.sum() <= allowed:
        assert keep.all()
    got = np.bincount(sources, us * keep, 6)
    left = np.unique(sources[~keep])
    # Within one payload of each other: who is left with something got as much as anybody.
    for source in left:
        assert got[source] >= got.max() - 2 * us.max()


def test_which_of_one_source_is_read_is_drawn() -> None:
    """Else a source could hide one payload behind the first ones of each block."""
    us, sources = np.full(100, 10), np.zeros(100, np.int64)
    first = [np.flatnonzero(in_turns(us, sources, 100, lots(seed)))[0] for seed in range(50)]
    assert len(set(first)) > 5


def test_time_is_given_with_the_packets_and_saved_for_a_second() -> None:
    shares = ReadingShares(0.25)
    many = np.full(100_000, 25)
    whose = addresses(*range(100_000))
    assert shares.choose(many, whose, 0).sum() == SAVED_US // 25
    assert shares.choose(many, whose, 100_000).sum() == 25_000 // 25
    assert shares.choose(many, whose, 100_000).sum() == LEAST_US // 25
    # A clock that is set back by an hour gives nothing, and takes nothing from what comes after.
    assert shares.choose(many, whose, 100_000 - 3_600_000_000).sum() == LEAST_US // 25
    later = 100_000 - 3_600_000_000 + 100_000
    assert shares.choose(many, whose, later).sum() == 25_000 // 25
    assert shares.choose(many, whose, 3_600_000_000).sum() == SAVED_US // 25


def test_a_network_of_ipv6_is_one_source() -> None:
    host = [b"\x20\x01\x0d\xb8" + bytes(4) + n.to_bytes(8, "big") for n in range(1_000)]
    other = b"\x20\x01\x0d\xb9" + bytes(12)
    sources = np.frombuffer(b"".join([*host, other, other]), np.uint8).reshape(-1, 16)
    shares = ReadingShares()
    shares.choose(np.array([SAVED_US]), addresses(9), 0)
    keep = shares.choose(np.full(1_002, 30), sources, 0)
    assert keep[-2:].all()
    assert 50 < keep.sum() < 70


def test_costs_grow_with_what_is_read() -> None:
    assert costs(np.array([0, 1448, 2048, 65_000])).tolist() == [12, 30, 37, 37]
