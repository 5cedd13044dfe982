"""What makes up a version, and its digest."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.knowledge.files import (
    FILE_NAME,
    KNOWN_FILES,
    MAX_FILE_BYTES,
    REQUIRED_FILES,
    FileSet,
    FileSetError,
    digest_of,
    edited_files,
    reasoner_files,
    shipped_files,
)
from agents.settings.honeynet import Policy


def test_the_shipped_files_are_a_version(shipped: FileSet) -> None:
    assert set(shipped.contents) == set(REQUIRED_FILES)
    assert set(shipped_files(Policy(paper_rules=True)).contents) == KNOWN_FILES
    assert all(FILE_NAME.fullmatch(name) for name in KNOWN_FILES)


def test_the_digest_can_be_had_with_tools_of_the_system(shipped: FileSet, tmp_path: Path) -> None:
    for name, data in shipped.contents.items():
        (tmp_path / name).write_bytes(data)
    tool = shutil.which("sha256sum")
    assert tool
    names = sorted(shipped.contents)
    listed = subprocess.run([tool, *names], cwd=tmp_path, capture_output=True, check=True).stdout
    assert hashlib.sha256(listed).hexdigest() == shipped.digest


@given(st.dictionaries(st.sampled_from("abc"), st.binary(max_size=3)))
def test_equal_digests_are_equal_files(contents: dict[str, bytes]) -> None:
    turned = dict(reversed(contents.items()))
    assert digest_of(contents) == digest_of(turned)
    for name in contents:
        assert digest_of(contents) != digest_of(contents | {name: contents[name] + b"x"})
        assert digest_of(contents) != digest_of({k: v for k, v in contents.items() if k != name})


def test_what_is_missing_unknown_or_too_large_is_named(shipped: FileSet) -> None:
    contents = dict(shipped.contents)
    with pytest.raises(FileSetError, match=r"'evil\.owl' is no file"):
        FileSet(contents | {"evil.owl": b""})
    with pytest.raises(FileSetError, match=r"reaction\.owl: larger"):
        FileSet(contents | {"reaction.owl": bytes(MAX_FILE_BYTES + 1)})
    del contents["attacks.owl"]
    with pytest.raises(FileSetError, match=r"attacks\.owl: missing"):
        FileSet(contents)


def test_the_papers_rules_are_in_force_only_by_policy(installed: Path) -> None:
    assert "paper.owl" not in edited_files(Policy())
    assert edited_files(Policy(paper_rules=True))["paper.owl"] == installed / "paper.owl"
    assert installed / "paper.owl" in reasoner_files(installed)
    (installed / "paper.owl").unlink()
    assert [path.name for path in reasoner_files(installed)] == [
        "ontoidps.owl",
        "correlation.owl",
        "reaction.owl",
        "scenarios.owl",
    ]
