"""What the rows of the flow table promise of their memory, and the keys of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.sensor.flows.keys import canonical
from agents.sensor.flows.packets import Packets
from agents.sensor.flows.rows import REPORT, ROW, close_reports, keyed, span
from ontology.records import CONNECTION


@pytest.mark.parametrize(("first", "last"), [("src", "ip_version"), ("orig_flags", "resp_flags")])
def test_fields_copied_as_one_are_the_same_in_a_record(first: str, last: str) -> None:
    def layout(dtype: np.dtype) -> list[tuple[str, int, np.dtype]]:
        begin, end = dtype.fields[first][1], dtype.fields[last][1]
        return [
            (name, dtype.fields[name][1] - begin, dtype[name])
            for name in dtype.names
            if begin <= dtype.fields[name][1] <= end
        ]

    assert layout(ROW) == layout(CONNECTION)
    sizes = [span(np.zeros(3, dtype), first, last).itemsize for dtype in (ROW, CONNECTION)]
    assert sizes[0] == sizes[1] == sum(dtype.itemsize for _, _, dtype in layout(ROW))


def test_words_are_aligned() -> None:
    words = [name for name in ROW.names if ROW[name].base.itemsize == 8]
    assert [name for name in words if ROW.fields[name][1] % 8] == []
    assert ROW.itemsize % 8 == 0


def test_a_closed_report_leaves_the_connection_as_it_is() -> None:
    rows = np.frombuffer(b"\x01" * ROW.itemsize * 3, ROW).copy()
    before = rows.copy()
    close_reports(rows[:2])
    for name in ROW.names:
        if name in (*REPORT, "content"):
            assert not rows[:2][name].any(), name
        else:
            assert (rows[name] == before[name]).all(), name
    assert rows[2:].tobytes() == before[2:].tobytes()


def packets(count: int, seed: int) -> Packets:
    """IPv4 between four hosts, ports that repeat, all the protocols whose keys differ."""
    rng = np.random.default_rng(seed)
    ends = np.zeros((2, count, 16), np.uint8)
    ends[:, :, 10:12] = 255
    ends[:, :, 12:] = rng.choice([0, 1, 127, 255], (2, count, 1)).astype(np.uint8)
    zeros, none = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    return Packets(
        time_us=np.arange(count),
        src=ends[0].copy(),
        dst=ends[1].copy(),
        src_port=rng.choice([0, 8, 129, 80, 65535], count).astype(np.uint16),
        dst_port=rng.choice([0, 8, 129, 80, 65535], count).astype(np.uint16),
        protocol=rng.choice([1, 6, 17, 47, 58, 254], count).astype(np.uint8),
        ip_version=np.full(count, 4, np.uint8),
        flags=none.astype(np.uint8),
        payload_bytes=zeros,
        payload_offset=zeros,
        payload_length=zeros,
        fragment=none,
        wrong_fragment=none,
        urgent=none,
        index=np.arange(count),
        data=np.zeros(128, np.uint8),
        total=count,
        other=0,
    )


def test_ipv4_has_the_same_keys_alone_and_beside_ipv6() -> None:
    alone = packets(4000, 7)
    version = alone.ip_version.copy()
    version[-1] = 6
    src = alone.src.copy()
    src[-1, 0] = 0x20
    keys, side = canonical(alone)
    mixed_keys, mixed_side = canonical(replace(alone, ip_version=version, src=src))
    assert (keys[:, :-1] == mixed_keys[:, :-1]).all()
    assert (side[:-1] == mixed_side[:-1]).all()
    assert (mixed_keys[[0, 2], -1] > 0).any()


def test_both_directions_have_one_key_and_opposite_sides() -> None:
    there = packets(4000, 8)
    there = replace(there, protocol=np.where(there.protocol == 17, 17, 6).astype(np.uint8))
    back = replace(
        there, src=there.dst, dst=there.src, src_port=there.dst_port, dst_port=there.src_port
    )
    (keys, side), (other_keys, other_side) = canonical(there), canonical(back)
    assert (keys == other_keys).all()
    alike = (there.src == there.dst).all(axis=1) & (there.src_port == there.dst_port)
    assert (side ^ other_side)[~alike].all()
    rows = keyed(keys)
    assert (rows["a"].T == keys[:2]).all()
    assert (rows["b"].T == keys[2:4]).all()
    assert (rows["rest"] == keys[4]).all()
