"""CSV whose fields hold strangers' text."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.sensor.inputs.events import HEADING, UNRELATED, LineRefused
from agents.sensor.inputs.quoted_csv import QuotedCsv

COLUMNS = ("at", "who", "password")


@given(st.lists(st.text('a,"\n x', max_size=12), min_size=1, max_size=6))
def test_every_row_is_read_once_whatever_its_password_is(passwords: list[str]) -> None:
    """What Python's csv wrote, by lines: as many rows, and who came is never a password's word."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for number, password in enumerate(passwords):
        writer.writerow([number, f"host{number}", password])
    reader = QuotedCsv(COLUMNS)
    seen = []
    for line in out.getvalue()[:-1].split("\n"):
        row = reader.read(line.encode())
        if isinstance(row, dict):
            seen.append((row["at"], row["who"]))
    assert seen == [(str(n), f"host{n}") for n in range(len(passwords))]
    assert not reader.inside


def test_headings_and_other_lines_are_told_apart() -> None:
    reader = QuotedCsv(COLUMNS)
    assert reader.read(b"at,who,password,more") is HEADING
    assert reader.read(b"something else") is UNRELATED
    assert reader.read(b"1,2,3,4") == {"at": "1", "who": "2", "password": "3"}
    with pytest.raises(LineRefused):
        reader.read(b"1,2")
    with pytest.raises(LineRefused):
        reader.read(b'1,2,"' + b"x" * 200_000 + b'"')
