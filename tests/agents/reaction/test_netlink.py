"""What netlink bytes mean; the kernel's side is in test_nftables.py."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.reaction.netlink import Change, attributes, pack_elements, parse_elements

keys = st.sampled_from([4, 16]).flatmap(
    lambda width: st.lists(st.binary(min_size=width, max_size=width), min_size=1, max_size=300)
)


@given(keys=keys, timeout=st.none() | st.integers(1, 2**63 - 1))
def test_packed_elements_read_back(keys: list[bytes], timeout: int | None) -> None:
    if timeout is None:
        change = Change("delete", "s", keys)
    else:
        change = Change("add", "s", keys, [timeout] * len(keys))
    found = [pair for part in pack_elements(change) for pair in parse_elements(part)]
    assert found == [(key, timeout) for key in keys]


@pytest.mark.parametrize("width", [4, 16])
def test_no_attribute_is_longer_than_sixteen_bits(width: int) -> None:
    many = [number.to_bytes(width, "big") for number in range(10_000)]
    parts = pack_elements(Change("add", "s", many, [1] * len(many)))
    assert all(len(part) < 65536 and len(part) % 4 == 0 for part in parts)
    assert sum(1 for part in parts for _ in parse_elements(part)) == 10_000


@given(st.binary(max_size=400))
def test_garbage_is_survived(data: bytes) -> None:
    list(attributes(data))
    list(parse_elements(data))


@given(st.binary(max_size=200), st.integers(0, 60), st.integers(0, 255))
def test_damaged_elements_are_survived(noise: bytes, at: int, value: int) -> None:
    good = bytearray(pack_elements(Change("add", "s", [b"\1\2\3\4"], [1000]))[0] + noise)
    good[at % len(good)] = value
    for key, milliseconds in parse_elements(bytes(good)):
        assert isinstance(key, bytes)
        assert milliseconds is None or milliseconds >= 0


def test_zero_length_attribute_does_not_loop() -> None:
    assert list(attributes(struct.pack("=HH", 0, 1) * 4)) == []


@pytest.mark.parametrize(
    ("action", "width", "timeouts"),
    [
        ("flush", (4,), []),
        ("add", (4,), []),
        ("add", (4,), [0]),
        ("add", (4,), [-1]),
        ("delete", (4, 16), []),
    ],
)
def test_impossible_changes(action: str, width: tuple[int, ...], timeouts: list[int]) -> None:
    with pytest.raises(ValueError, match=r"action|timeout|length"):
        Change(action, "s", [bytes(w) for w in width], timeouts)
