"""A disk of its own for one process: a tmpfs of a few MiB in a mount namespace, which ends with
the process."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

_PREAMBLE = """
import os, subprocess, sys
from pathlib import Path
disk = Path(sys.argv[1])

def fill(leave=0):
    '''No byte left, or so many.'''
    with open(disk / "filler", "ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    if leave:
        os.truncate(disk / "filler", max(0, os.stat(disk / "filler").st_size - leave))

def empty():
    (disk / "filler").unlink()

def remount(how):
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)
"""


def run_on_small_disk(folder: Path, code: str, *, mib: int = 8, limit_s: float = 120.0) -> str:
    """Run Python code that has ``disk`` (a folder), ``fill``, ``empty`` and ``remount``; returns
    what it prints. Fails with what it says if it fails."""
    place = folder / "disk"
    place.mkdir(exist_ok=True)
    script = folder / "script.py"
    script.write_text(_PREAMBLE + code, encoding="utf-8")
    done = subprocess.run(
        [
            *("unshare", "--mount", "--map-root-user", "--propagation", "private"),
            *("sh", "-c", 'mount -t tmpfs -o size="$1" none "$2" && exec "$3" "$4" "$2"', "sh"),
            *(f"{mib}m", place, sys.executable, script),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
