"""Landlock: which folders are named to the kernel; what it then refuses is in test_confinement."""

from __future__ import annotations

from pathlib import Path

from ontology.landlock import around


def test_a_folder_around_a_hole_is_all_but_the_hole(tmp_path: Path) -> None:
    for name in ("a/state/keys", "a/code", "b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "state")
    hole = tmp_path / "a" / "state"
    assert set(around(tmp_path, hole)) == {tmp_path / "a" / "code", tmp_path / "b"}
    assert list(around(tmp_path / "b", hole)) == [tmp_path / "b"]
    assert list(around(hole, hole)) == []
    assert list(around(hole / "keys", hole)) == [hole / "keys"]
