"""The chain of a pcap buffer's records against one step after the other."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.captures import record_chain
from datasets.captures.capture_files import MAX_PACKET, PADDING

fuzz = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def plain(content: bytes, order: str) -> list[int]:
    found, at = [], 0
    while at + 16 <= len(content):
        found.append(at)
        at += 16 + struct.unpack_from(order + "I", content, at + 8)[0]
    return found


def offsets(content: bytes, order: str) -> list[int]:
    data = np.frombuffer(content + bytes(PADDING), np.uint8)
    return record_chain.record_offsets(data, len(content), order).tolist()


def record(order: str, seconds: int, body: bytes, claimed: int | None = None) -> bytes:
    length = len(body) if claimed is None else claimed
    return struct.pack(order + "IIII", seconds, 5, length, length) + body


@st.composite
def buffers(draw: st.DrawFn) -> tuple[bytes, str]:
    """Records whose bodies may look like records, times that jump, lengths that lie, a cut end."""
    order = draw(st.sampled_from("<>"))
    inside = record(order, 1_700_000_000, bytes(8))
    bodies = st.one_of(
        st.builds(bytes, st.integers(0, 90)),
        st.builds(lambda n: inside * n, st.integers(1, 12)),
        st.builds(lambda n: record(order, 1_700_000_000, b"", n) * 3, st.integers(0, 400)),
    )
    seconds = st.sampled_from([1_700_000_000, 1_700_000_001, 1_700_070_000, 0])
    liar = draw(st.sampled_from([None, None, 0, 300, MAX_PACKET + 1, 2**32 - 1]))
    parts = [record(order, draw(seconds), body) for body in draw(st.lists(bodies, max_size=40))]
    if parts and liar is not None:
        where = draw(st.integers(0, len(parts) - 1))
        parts[where] = record(order, 1_700_000_000, parts[where][16:], liar)
    content = b"".join(parts)
    return content[: len(content) - draw(st.integers(0, 20))], order


@given(buffers())
@fuzz
def test_as_the_plain_walk_whatever_the_packets_hold(
    monkeypatch: pytest.MonkeyPatch, made: tuple[bytes, str]
) -> None:
    monkeypatch.setattr(record_chain, "_STRIDE", 100)
    monkeypatch.setattr(record_chain, "_LOOK", 80)
    monkeypatch.setattr(record_chain, "_FEW", 2)
    monkeypatch.setattr(record_chain, "_STEPS", 2)
    content, order = made
    assert offsets(content, order) == plain(content, order)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("small", [0, 30_000])
def test_as_the_plain_walk_at_full_size(order: str, small: int) -> None:
    """``small``: that many packets without a byte in one place, beside which the rest is few."""
    rng = np.random.default_rng(3)
    sizes = rng.integers(0, 1500, 1200).tolist() + [0] * small + rng.integers(0, 1500, 300).tolist()
    content = b"".join(
        record(order, 1_700_000_000 + number // 50, bytes(size))
        for number, size in enumerate(sizes)
    )
    found = offsets(content, order)
    assert found == plain(content, order)
    assert len(found) == len(sizes)


def test_places_are_found_in_an_ordinary_capture() -> None:
    """Else every capture would be walked one step after the other, only slower."""
    content = b"".join(record("<", 1_700_000_000 + n, bytes(n % 1400)) for n in range(2000))
    data = np.frombuffer(content + bytes(PADDING), np.uint8)
    begins = record_chain._places(data, len(content), "<")
    assert set(begins.tolist()) <= set(plain(content, "<"))
    assert len(begins) > 0.9 * len(content) / record_chain._STRIDE
