"""Whole logs from disk: packed or not, cut or damaged."""

import gzip
import lzma
from pathlib import Path

import pytest

from agents.sensor.inputs import log_files
from agents.sensor.inputs.log_files import LINES, read_lines
from agents.sensor.inputs.tail import MAX_LINE


def lines_of(path: Path) -> list[bytes]:
    return [line for part in read_lines(path) for line in part]


CONTENT = b"one\r\ntwo\n\nfour"


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_packed_or_not_the_lines_are_the_same(tmp_path: Path, pack: type) -> None:
    path = tmp_path / "log"
    path.write_bytes(pack(CONTENT))
    assert lines_of(path) == [b"one", b"two", b"", b"four"]


def test_records_of_one_length_in_place_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "wtmp"
    path.write_bytes(gzip.compress(b"a\nb" * (LINES + 1) + b"c"))
    parts = list(read_lines(path, record_bytes=3))
    assert [len(part) for part in parts] == [LINES, 2]
    assert parts[-1] == [b"a\nb", b"c"]


def test_lines_come_in_portions(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x\n" * (LINES + 1))
    assert [len(part) for part in read_lines(path)] == [LINES, 1]


def test_a_line_that_is_too_long_comes_once_and_cut(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a" * (3 * MAX_LINE) + b"\nnext\n")
    assert [len(line) for line in lines_of(path)] == [MAX_LINE, 4]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_what_is_readable_comes_before_the_error(tmp_path: Path, pack: type) -> None:
    path = tmp_path / "log"
    path.write_bytes(pack(b"first\n" * 100_000)[:-9])
    lines: list[bytes] = []
    with pytest.raises(ValueError, match="damaged"):
        for part in read_lines(path):
            lines += part
    assert lines and set(lines) <= {b"first", b"first"[: len(lines[-1])]}
    assert log_files.LINES == LINES
