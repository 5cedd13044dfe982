from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontology import frames

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON), st.binary())
def test_what_goes_in_comes_out(head: dict[str, object], body: bytes) -> None:
    assert frames.read(io.BytesIO(frames.encode(head, body))) == (head, body)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_an_end_or_an_error(data: bytes) -> None:
    try:
        frames.read(io.BytesIO(data))
    except frames.FrameError:
        pass


def test_a_cut_frame_is_the_end() -> None:
    whole = frames.encode({"op": "load"}, b"body")
    for length in range(len(whole)):
        assert frames.read(io.BytesIO(whole[:length])) is None


def test_a_length_beyond_the_limit_is_refused_before_reading() -> None:
    with pytest.raises(frames.FrameError, match="outside"):
        frames.read(io.BytesIO(struct.pack(">I", frames.MAX_FRAME + 1)))
    with pytest.raises(frames.FrameError, match="over the limit"):
        frames.encode({}, bytes(frames.MAX_FRAME))
