"""What a terminal shows of Telnet's bytes, against expressions and characters one at a time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.sensor.payloads.telnet import (
    MAX_EDITS,
    asks,
    erased,
    prompt,
    without_colours,
    without_commands,
)

COMMANDS = re.compile(rb"(?s)\xff(?:[\xfb-\xfe].?|\xfa[^\xff]{0,200}(?:\xff\xf0)?|.)")
bytes_of = st.lists(
    st.sampled_from(
        [b"\xff", b"\xfb", b"\xfa", b"\xf0", b"\x18", b"a", b"\0", b"\xff\xfa" + b"x" * 150]
    ),
    max_size=12,
).map(b"".join)  # fmt: skip


@given(bytes_of)
def test_commands_are_taken_out_as_one_expression_says_it(payload: bytes) -> None:
    if not re.search(rb"\xff\Z", COMMANDS.sub(b"", payload)):
        assert without_commands(payload) == (COMMANDS.sub(b"", payload).replace(b"\0", b""), True)


@given(st.lists(st.sampled_from([b"\x08", b"\x7f", b"a", b"b", b"\n"]), max_size=30).map(b"".join))
def test_erasures_stay_within_their_line(text: bytes) -> None:
    lines = [bytearray()]
    for byte in text:
        if byte == 10:
            lines.append(bytearray())
        elif byte in (8, 0x7F):
            del lines[-1][-1:]
        else:
            lines[-1].append(byte)
    assert erased(text) == (b"\n".join(lines), True)


@pytest.mark.parametrize("edit", [b"\xff\xf1", b"\xff\xfb\x01", b"\xff\xfa\x01\xff\xf0"])
def test_too_many_commands_are_told(edit: bytes) -> None:
    assert without_commands(edit * (MAX_EDITS - 1))[1]
    assert not without_commands(edit * 700)[1]
    assert not erased(b"a\x08" * 700)[1]


@pytest.mark.parametrize(
    ("line", "asked", "sign"),
    [
        (b"login: ", "name", b""),
        (b"host User Name:", "name", b""),
        (b"\rPassword for bob: ", "password", b""),
        (b"root@host:~# ", "", b"#"),
        (b"x" * 200 + b"$ ", "", b""),
        (b"x" * 200 + b"\r$", "", b"$"),
        (b"100 %", "", b"%"),
        (b"", "", b""),
        (b"password" + b"x" * 40 + b":", "", b""),
    ],
)
def test_prompts(line: bytes, asked: str, sign: bytes) -> None:
    assert (asks(line), prompt(line)) == (asked, sign)


def test_colours() -> None:
    assert without_colours(b"\x1b[01;32mbob\x1b[0m$ ") == b"bob$ "
    assert without_colours(b"\x1b]0;title\x07# ") == b"# "
    assert without_colours(b"\x1b") == b""
