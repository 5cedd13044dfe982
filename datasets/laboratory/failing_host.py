"""A host whose disk becomes read-only while files on it are open, as ext4 does after an error, and
whose clock is set, for the processes that preload ``failing_host.c``."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).with_suffix(".c")
_FLAG: Final = "read-only"


def build(folder: Path) -> Path:
    """The library, made in ``folder``. Raises: CalledProcessError, FileNotFoundError (no cc)."""
    library = folder / "failing_host.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, _SOURCE], check=True)
    return library


def environment(
    library: Path, *, disk: Path | None = None, clock: Path | None = None
) -> dict[str, str]:
    """For the host's processes.

    Args:
        disk: what may become read-only, absolute.
        clock: a file for `set_clock`, to be made by it before the first process starts, where all
            of them may read.
    """
    words = {"LD_PRELOAD": str(library)}
    if disk is not None:
        words["READ_ONLY_FOLDER"] = str(disk)
    if clock is not None:
        words["CLOCK_FILE"] = str(clock)
    return words


def make_read_only(disk: Path) -> None:
    """From now on every change below ``disk`` fails with EROFS, also of files that are open."""
    (disk / _FLAG).touch()


def make_writable(disk: Path) -> None:
    """Ends it; nothing happens if it was writable."""
    (disk / _FLAG).unlink(missing_ok=True)


def set_clock(clock: Path, ahead_s: int) -> None:
    """The wall clock is ``ahead_s`` seconds ahead of the right time, for all at once; negative:
    behind."""
    file = os.open(clock, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(file, struct.pack("=q", ahead_s), 0)
    finally:
        os.close(file)
