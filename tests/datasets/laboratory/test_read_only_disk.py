"""Only below the folder, only while it is so, and for files that were open before as well."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.laboratory.read_only_disk import build, environment, make_read_only, make_writable

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


def test_read_only_and_back(tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc)")
    disk, beside = tmp_path / "disk", tmp_path / "disk-beside"
    disk.mkdir()
    beside.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", TRY, str(disk), str(beside)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment(build(tmp_path), disk),
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
