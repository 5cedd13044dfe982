"""A log file stays within its bound while several processes write to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.launcher.log_file import SIZE_BYTES, LogFile, turn_file
from tests.agents.base.small_disk import run_on_small_disk


@pytest.mark.parametrize("flags", [os.O_APPEND, 0])
def test_a_file_is_turned_and_so_many_older_ones_are_kept(tmp_path: Path, flags: int) -> None:
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags)
    log = LogFile(descriptor, size_bytes=1000, kept=3)
    for number in range(100):
        os.write(descriptor, b"%03d " % number + b"x" * 95 + b"\n")
        log.turn()
        assert path.stat().st_size < 1000
    os.close(descriptor)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "log.1", "log.2", "log.3"]
    lines = [
        int(line.split()[0])
        for name in ("log.3", "log.2", "log.1", "log")
        for line in (tmp_path / name).read_text().splitlines()
    ]
    assert lines == list(range(70, 100))


def test_processes_that_inherited_it_write_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        log = LogFile(file.fileno(), size_bytes=20_000)
        writers = [
            subprocess.Popen(
                [
                    *(sys.executable, "-c"),
                    "import sys, time\nfor n in range(200):\n"
                    "    print('a line of a writer', n, file=sys.stderr, flush=True)\n"
                    "    time.sleep(0.002)",
                ],
                stderr=file,
            )
            for _ in range(3)
        ]
        turned = 0
        while any(w.poll() is None for w in writers):
            turned += log.turn()
            assert path.stat().st_size < 40_000
        assert [w.wait() for w in writers] == [0, 0, 0]
    assert turned >= 0
    text = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    assert b"\0" not in text and text.count(b"a line of a writer") > 400


@pytest.mark.parametrize("kind", ["pipe", "null"])
def test_what_is_no_file_is_left_alone(kind: str) -> None:
    reader, writer = os.pipe() if kind == "pipe" else (os.open(os.devnull, os.O_RDONLY),) * 2
    assert not LogFile(writer, size_bytes=0).turn()
    for descriptor in {reader, writer}:
        os.close(descriptor)


def test_on_a_full_disk_it_makes_room(tmp_path: Path) -> None:
    run_on_small_disk(
        tmp_path,
        """
from agents.launcher.log_file import SIZE_BYTES, LogFile, turn_file
descriptor = os.open(disk / "log", os.O_WRONLY | os.O_CREAT)
log = LogFile(descriptor, size_bytes=1 << 20)
os.write(descriptor, bytes(3 << 20))
fill()
assert log.turn()
os.write(descriptor, b"a line")
assert (disk / "log").read_bytes() == b"a line"
""",
    )


def test_the_file_of_another_program_is_turned(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("ab", buffering=0) as file:
        file.write(b"x" * SIZE_BYTES)
        assert turn_file(path) and not turn_file(path)
        file.write(b"more")
    assert path.read_bytes() == b"more" and (tmp_path / "log.1").stat().st_size == SIZE_BYTES
    assert not turn_file(tmp_path / "none")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path, other = tmp_path / "log", tmp_path / "other"
    other.write_text("precious")
    (tmp_path / "log.1").symlink_to(other)
    with path.open("wb") as file:
        file.write(b"x" * 2000)
        file.flush()
        assert LogFile(file.fileno(), size_bytes=1000, kept=1).turn()
    assert other.read_text() == "precious"
