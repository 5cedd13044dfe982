"""Whole logs from disk, for offline use: plain, gzip or xz."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from agents.sensor.inputs.tail import MAX_LINE

LINES = 4096
"""Lines handed out at once: alerts come while a long log is still being read."""


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(path))
    if magic == b"\xfd7zXZ\0":
        return cast(BinaryIO, lzma.open(path))
    return path.open("rb")


def read_lines(path: Path, *, record_bytes: int = 0) -> Iterator[list[bytes]]:
    """The lines of a log without their newlines; too long ones come cut and are refused by parsers.

    ``record_bytes``: records of this length in place of lines.

    Raises:
        ValueError, OSError: the file ends early or can't be read; after what is readable.
    """
    with _open(path) as file:
        lines: list[bytes] = []
        cut = False
        try:
            while record_bytes and (record := file.read(record_bytes)):
                lines.append(record)
                if len(lines) >= LINES:
                    yield lines
                    lines = []
            while line := file.readline(MAX_LINE):
                ended = line.endswith(b"\n")
                if not cut:
                    lines.append(line.rstrip(b"\r\n"))
                cut = not ended
                if len(lines) >= LINES:
                    yield lines
                    lines = []
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as e:
            yield lines
            raise ValueError(f"{path}: damaged: {e}") from e
        yield lines
