"""Percent-encoding undone in many texts at once, against the standard library's one at a time."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from agents.sensor.payloads.percent import decoded

texts = st.one_of(
    st.binary(max_size=20),
    st.lists(
        st.sampled_from([b"%", b"4", b"1", b"f", b"G", b"%41", b"%2", b"+", b"\0", b"%00"]),
        max_size=12,
    ).map(b"".join),
)


@given(st.lists(texts, max_size=80), st.booleans())
def test_as_the_standard_library_does_it(made: list[bytes], plus: bool) -> None:
    expected = [unquote_to_bytes(text.replace(b"+", b" ") if plus else text) for text in made]
    assert decoded(made, plus=plus) == expected


def test_no_escape_reaches_into_the_next_text() -> None:
    assert decoded([b"%", b"41", b"a%4", b"1"]) == [b"%", b"41", b"a%4", b"1"]
