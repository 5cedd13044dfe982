"""Following a file: every line once, whatever rotation, truncation and crashes do."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.sensor.inputs.tail import MAX_LINE, STRETCH, Tail, TailError


def write(path: Path, *lines: str, end: str = "\n") -> None:
    with path.open("a") as file:
        file.write("".join(line + end for line in lines))


def older(path: Path, seconds: int) -> None:
    """Rotation takes seconds in life; the tests don't wait for them."""
    was = path.stat().st_mtime_ns - seconds * 1_000_000_000
    os.utime(path, ns=(was, was))


def drain(tail: Tail) -> list[str]:
    out = []
    while (stretch := tail.read()) is not None:
        tail.promise(stretch)
        out += [line.decode() for line in stretch.lines]
        tail.settle(stretch)
    return out


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "eve.json"


@pytest.fixture
def follow(log: Path, tmp_path: Path) -> Callable[..., Tail]:
    return lambda **options: Tail(log, tmp_path / "place", **options)


def test_a_file_known_for_the_first_time_is_read_from_its_end(
    log: Path, follow: Callable[..., Tail]
) -> None:
    write(log, "old")
    write(log, "half", end="")
    with follow() as tail:
        assert drain(tail) == []
        write(log, " a line", "next")
        assert drain(tail) == ["half a line", "next"]
    with Tail(log, log.with_name("other"), from_start=True) as tail:
        assert drain(tail) == ["old", "half a line", "next"]


def test_records_of_one_length_are_whole_whatever_is_in_them(
    log: Path, follow: Callable[..., Tail]
) -> None:
    log.write_bytes(b"old")
    with follow(record_bytes=4) as tail:
        assert drain(tail) == []
    log.write_bytes(b"olda\nb\rcdef")
    with follow(record_bytes=4) as tail:
        assert drain(tail) == ["olda", "\nb\rc"]
        log.write_bytes(b"olda\nb\rcdef\n")
        assert drain(tail) == ["def\n"]
    os.rename(log, log.with_name("eve.json.1"))
    older(log.with_name("eve.json.1"), 60)
    log.write_bytes(b"new1new")
    with follow(record_bytes=4) as tail:
        assert drain(tail) == ["new1"]


def test_a_file_that_appears_later_is_read_from_its_start(
    log: Path, follow: Callable[..., Tail]
) -> None:
    with follow() as tail:
        assert drain(tail) == []
    write(log, "one")
    with follow() as tail:  # also when it appeared while nobody looked
        assert drain(tail) == ["one"]
        assert tail.counters["gap"] == 0


def test_restart_goes_on_where_it_stopped(log: Path, follow: Callable[..., Tail]) -> None:
    log.touch()
    for number in range(5):
        with follow() as tail:
            if number:
                assert drain(tail) == [f"line {number - 1}"]
            assert drain(tail) == []
        write(log, f"line {number}")


def test_rotation_by_rename(log: Path, follow: Callable[..., Tail]) -> None:
    write(log, "zero")
    with follow() as tail:
        assert drain(tail) == []
        write(log, "one")
        log.rename(log.with_name("eve.json.1"))
        # The writer has not noticed yet: it goes on in the old file.
        write(log.with_name("eve.json.1"), "two")
        log.touch()
        assert drain(tail) == ["one", "two"]
        write(log.with_name("eve.json.1"), "three")
        write(log.with_name("eve.json.1"), "cut off", end="")
        assert drain(tail) == ["three"]
        write(log, "four")
        assert drain(tail) == ["cut off", "four"]
        assert tail.counters["gap"] == 0


def test_several_rotations_while_away(log: Path, follow: Callable[..., Tail]) -> None:
    write(log, "zero")
    with follow() as tail:
        assert drain(tail) == []
    write(log, "one")
    log.rename(log.with_name("eve.json.3"))
    older(log.with_name("eve.json.3"), 300)
    write(log, "two")
    log.rename(log.with_name("eve.json.2"))
    older(log.with_name("eve.json.2"), 200)
    write(log, "three")
    log.rename(log.with_name("eve.json.1"))
    older(log.with_name("eve.json.1"), 100)
    write(log.with_name("eve.json.bak"), "somebody's copy")
    write(log.with_name("eve.json.0"), "from long ago")
    older(log.with_name("eve.json.0"), 9999)
    write(log, "four")
    with follow() as tail:
        assert drain(tail) == ["one", "two", "three", "four"]
        assert tail.counters["gap"] == 0


@pytest.mark.parametrize("away", [False, True])
def test_copytruncate_loses_nothing(log: Path, follow: Callable[..., Tail], away: bool) -> None:
    write(log, "zero", "a line long enough to know the file by")
    tail = follow(from_start=True)
    assert len(drain(tail)) == 2
    if away:
        tail.close()
        tail = follow()
    write(log, "one")
    shutil.copy2(log, log.with_name("eve.json.1"))
    older(log.with_name("eve.json.1"), 100)
    os.truncate(log, 0)
    assert drain(tail) == ["one"]
    write(log, "two")
    assert drain(tail) == ["two"]
    assert tail.counters["gap"] == 0
    tail.close()


def test_truncation_without_a_copy_is_a_gap_and_the_new_contents_are_read(
    log: Path, follow: Callable[..., Tail]
) -> None:
    write(log, "zero")
    with follow(from_start=True) as tail:
        assert drain(tail) == ["zero"]
        os.truncate(log, 0)
        # Longer than before at once: the size alone would not tell.
        write(log, "something quite different")
        assert drain(tail) == ["something quite different"]
        assert (tail.counters["truncated"], tail.counters["gap"]) == (1, 1)


def test_an_inode_used_again_is_another_file(log: Path, follow: Callable[..., Tail]) -> None:
    write(log, "first contents")
    with follow(from_start=True) as tail:
        assert drain(tail) == ["first contents"]
    inode = log.stat().st_ino
    log.write_text("other contents, longer than the first\n")  # the same inode
    assert log.stat().st_ino == inode
    with follow() as tail:
        assert drain(tail) == ["other contents, longer than the first"]
        assert tail.counters["gap"] == 1


def test_after_a_crash_the_promised_stretch_comes_again_as_it_was(
    log: Path, follow: Callable[..., Tail]
) -> None:
    write(log, "one", "two")
    with follow(from_start=True) as tail:
        first = tail.read()
        assert first is not None
        tail.promise(first)
        # … and here it dies, after it sent what it read.
    write(log, "three")
    with follow() as tail:
        again = tail.read()
        assert again is not None
        assert (again.mark, again.lines) == (first.mark, first.lines)
        tail.settle(again)
        rest = tail.read()
        assert rest is not None
        assert rest.lines == (b"three",)
        assert rest.mark != first.mark


def test_a_line_without_end_is_skipped_and_memory_stays_bounded(
    log: Path, follow: Callable[..., Tail]
) -> None:
    log.touch()
    with follow() as tail:
        assert drain(tail) == []
        with log.open("ab") as file:
            file.write(b"x" * (3 * STRETCH))
        assert drain(tail) == []
    with follow() as tail:  # a restart in the middle of it
        with log.open("ab") as file:
            file.write(b"x" * 100 + b"\nshort\n" + b"y" * (MAX_LINE + 1) + b"\nend\r\n")
        assert drain(tail) == ["short", "end"]
        assert tail.counters["overlong"] == 1


def test_no_file_but_a_pipe_or_folder_is_an_error_and_does_not_block(
    log: Path, follow: Callable[..., Tail]
) -> None:
    os.mkfifo(log)
    with follow() as tail, pytest.raises(TailError, match="not a regular file"):
        tail.read()
    log.unlink()
    log.mkdir()
    with follow() as tail, pytest.raises(TailError):
        tail.read()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"place":{"inode":-1}}', "\0", "null"])
def test_a_damaged_place_is_a_new_start(
    log: Path, follow: Callable[..., Tail], tmp_path: Path, text: str
) -> None:
    write(log, "old")
    (tmp_path / "place").write_text(text)
    with follow() as tail:
        assert drain(tail) == []
        assert tail.counters["place_unreadable"] == 1
        write(log, "new")
        assert drain(tail) == ["new"]


@pytest.mark.parametrize("seed", range(30))
def test_random_lives(log: Path, follow: Callable[..., Tail], seed: int) -> None:
    """Writes, rotations, crashes and restarts in any order: every line comes, in order, once;
    what came twice came with the mark that it had."""
    rng = random.Random(seed)
    log.touch()
    tail = follow(from_start=True)
    got: list[bytes] = []
    marks: dict[str, tuple[bytes, ...]] = {}
    written = rotations = 0

    def read(most: int) -> None:
        nonlocal tail
        for _ in range(most):
            stretch = tail.read()
            if stretch is None:
                return
            tail.promise(stretch)
            if stretch.mark in marks:
                assert marks[stretch.mark] == stretch.lines
            else:
                marks[stretch.mark] = stretch.lines
                got.extend(stretch.lines)
            if rng.random() < 0.3:
                tail.close()  # crashed between sending and settling
                tail = follow()
            else:
                tail.settle(stretch)

    read(1)
    for _ in range(120):
        action = rng.random()
        if action < 0.5:
            count = rng.randrange(1, 30)
            write(log, *(f"line {written + i} of {seed}" for i in range(count)))
            written += count
        elif action < 0.6 and log.stat().st_size:
            rotations += 1
            copy = log.with_name(f"eve.json.{rotations}")
            if rng.random() < 0.5:
                log.rename(copy)
                log.touch()
            else:
                # Something of it must have been read: a file is known by its first bytes.
                read(100)
                write(log, *(f"line {written + i} of {seed}" for i in range(3)))
                written += 3
                shutil.copy2(log, copy)
                os.truncate(log, 0)
            older(copy, 10_000 - rotations * 10)
            if rng.random() < 0.5:
                read(100)
        elif action < 0.7:
            tail.close()
            tail = follow()
        else:
            read(rng.randrange(1, 4))
    read(10_000)
    tail.close()
    assert got == [f"line {i} of {seed}".encode() for i in range(written)]
    assert tail.counters["gap"] == 0
