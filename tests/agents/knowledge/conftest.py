"""The installed files where a test may edit them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agents.knowledge.files import COMPILED_FILES, FileSet, edited_files, shipped_files
from agents.settings.honeynet import Policy
from rules.shipped_files import models_path


@pytest.fixture(scope="session")
def shipped() -> FileSet:
    return shipped_files(Policy())


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that agents take for the installed ones."""
    folder = tmp_path / "installed"
    folder.mkdir()
    for path in edited_files(Policy(paper_rules=True)).values():
        shutil.copy(path, folder)
    for name in COMPILED_FILES:
        shutil.copy(models_path().with_name(name), folder)
    for module in ("files", "sources"):
        monkeypatch.setattr(
            f"agents.knowledge.{module}.models_path", lambda: folder / "attacks.owl"
        )
    monkeypatch.setattr("agents.knowledge.files.ontology_path", lambda: folder / "ontoidps.owl")
    return folder
