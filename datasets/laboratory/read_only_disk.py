"""A disk that becomes read-only while files on it are open, as ext4 does after an error.

Made for the processes that preload ``read_only_disk.c``, for one folder: a remount needs a moment
in which nothing is open for writing.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).with_suffix(".c")
_FLAG: Final = "read-only"


def build(folder: Path) -> Path:
    """The library, made in ``folder``. Raises: CalledProcessError, FileNotFoundError (no cc)."""
    library = folder / "read_only_disk.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, _SOURCE], check=True)
    return library


def environment(library: Path, disk: Path) -> dict[str, str]:
    """For the processes to which ``disk`` (absolute) may become read-only."""
    return {"LD_PRELOAD": str(library), "READ_ONLY_FOLDER": str(disk)}


def make_read_only(disk: Path) -> None:
    """From now on every change below ``disk`` fails with EROFS, also of files that are open."""
    (disk / _FLAG).touch()


def make_writable(disk: Path) -> None:
    """Ends it; nothing happens if it was writable."""
    (disk / _FLAG).unlink(missing_ok=True)
