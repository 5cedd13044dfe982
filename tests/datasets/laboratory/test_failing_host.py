"""Only this disk and this clock, only while it is so, and for what was open before as well."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agents.clock import now_us
from datasets.laboratory.failing_host import (
    build,
    environment,
    make_read_only,
    make_writable,
    set_clock,
)

TRY = """
import errno, json, os, sqlite3, sys
disk, beside = sys.argv[1:]
base = sqlite3.connect(f"{disk}/base.sqlite3", isolation_level=None)
base.execute("PRAGMA journal_mode=WAL")
base.execute("CREATE TABLE thing (x)")
open_file = open(f"{disk}/open", "wb", buffering=0)

def made(name):
    os.close(os.open(name, os.O_RDONLY | os.O_CREAT))

ways = {
    "write": lambda: open_file.write(b"x"),
    "truncate": lambda: open_file.truncate(0),
    "open": lambda: open(f"{disk}/new", "wb"),
    "create for reading": lambda: made(f"{disk}/made"),
    "append": lambda: open(f"{disk}/open", "ab"),
    "rename": lambda: os.replace(f"{disk}/open", f"{disk}/open"),
    "mkdir": lambda: os.mkdir(f"{disk}/folder"),
    "unlink": lambda: os.unlink(f"{disk}/victim"),
    "SQLite": lambda: base.execute("INSERT INTO thing VALUES (1)"),
    "read": lambda: open(f"{disk}/open", "rb").read(),
    "create for reading what is there": lambda: made(f"{disk}/open"),
    "beside": lambda: open(f"{beside}/new", "wb").write(b"x"),
}
for _ in sys.stdin:
    said = {}
    for name, way in ways.items():
        try:
            way()
        except OSError as e:
            said[name] = errno.errorcode[e.errno]
        except sqlite3.Error as e:
            said[name] = "SQLite"
        else:
            said[name] = ""
    print(json.dumps(said), flush=True)
"""
GOES_ON = {"read", "create for reading what is there", "beside"}


pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc)")


def test_read_only_and_back(tmp_path: Path) -> None:
    disk, beside = tmp_path / "disk", tmp_path / "disk-beside"
    disk.mkdir()
    beside.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", TRY, str(disk), str(beside)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment(build(tmp_path), disk=disk),
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def tried() -> dict[str, str]:
            (disk / "victim").touch()
            (disk / "made").unlink(missing_ok=True)
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            said: dict[str, str] = json.loads(process.stdout.readline())
            if (disk / "folder").exists():
                (disk / "folder").rmdir()
            return said

        assert not any(tried().values())
        make_read_only(disk)
        said = tried()
        assert {name for name, error in said.items() if not error} == GOES_ON
        assert set(said.values()) == {"", "EROFS", "SQLite"}
        make_writable(disk)
        make_writable(disk)
        assert not any(tried().values())
        process.stdin.close()


TELL = """
import datetime, sys, time
for _ in sys.stdin:
    steady = time.clock_gettime(time.CLOCK_BOOTTIME)
    print(time.time(), datetime.datetime.now().timestamp(), time.monotonic(), steady, flush=True)
"""


def test_the_wall_clock_alone_is_set(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    set_clock(clock, 0)
    with subprocess.Popen(
        [sys.executable, "-c", TELL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment(build(tmp_path), clock=clock),
    ) as process:
        for ahead_s in (0, -86_400, 3_600, 10**9):
            set_clock(clock, ahead_s)
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            told = [float(word) for word in process.stdout.readline().split()]
            right = [now_us() / 1e6 + ahead_s] * 2
            right += [time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)]
            assert all(abs(t - r) < 1.0 for t, r in zip(told, right, strict=True)), (told, right)
        assert process.stdin is not None
        process.stdin.close()
