"""Edits of files: noticed once, and only when they have settled."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from agents.knowledge.files import knowledge_paths
from agents.knowledge.watch import FileWatch


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """The shipped files, copied to where a test may edit them."""
    return [Path(shutil.copy(path, tmp_path / path.name)) for path in knowledge_paths()]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_an_edit_is_reported_once_and_only_when_settled(paths: list[Path]) -> None:
    watch = FileWatch(lambda: paths)
    assert not watch.poll()
    edit(paths[0], "Half-open", "A half-open")
    assert not watch.poll()  # seen, may still be being written
    assert watch.poll()
    assert not watch.poll()


def test_touching_a_file_is_no_edit(paths: list[Path]) -> None:
    watch = FileWatch(lambda: paths)
    os.utime(paths[0], ns=(1, 1))
    assert [watch.poll() for _ in range(3)] == [False, False, False]


def test_an_edit_undone_is_an_edit_again(paths: list[Path]) -> None:
    watch = FileWatch(lambda: paths)
    edit(paths[0], "Half-open", "A half-open")
    assert [watch.poll() for _ in range(3)] == [False, True, False]
    edit(paths[0], "A half-open", "Half-open")
    assert [watch.poll() for _ in range(3)] == [False, True, False]


def test_a_new_rule_file_and_a_lost_one_are_edits(paths: list[Path]) -> None:
    present = list(paths[:1])
    watch = FileWatch(lambda: tuple(present))
    extra = paths[0].with_name("extra.owl")
    extra.write_text("<x/>", encoding="utf-8")
    present.append(extra)
    assert [watch.poll() for _ in range(3)] == [False, True, False]
    extra.unlink()
    assert [watch.poll() for _ in range(3)] == [False, True, False]


def test_a_file_that_keeps_changing_is_waited_for(paths: list[Path]) -> None:
    watch = FileWatch(lambda: paths)
    for size in range(3):
        paths[0].write_text("x" * size, encoding="utf-8")
        assert not watch.poll()
    assert watch.poll()
