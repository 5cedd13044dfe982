"""Attack models and reaction rules: read, kept, and found again while the files are broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agents.knowledge.load import keep_playbook, one_line, start_playbook
from rules.shipped_files import models_path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "rules"
    found.mkdir()
    shipped = models_path().parent
    for path in (shipped / "attacks.owl", *shipped.glob("reaction*")):
        shutil.copy(path, found)
    monkeypatch.setattr("agents.knowledge.load.models_path", lambda: found / "attacks.owl")
    return found


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("attacks.owl", "<half a sav", "attacks.owl"),
        ("reaction_assets.tsv", "asset\n", "the columns must be"),
        ("reactions.ttl", "nonsense", "reactions.ttl: not Turtle"),
    ],
)
def test_a_start_with_a_broken_file_goes_on_with_the_last_good_ones(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, text: str, said: str
) -> None:
    kept = tmp_path / "state" / "playbook.json"
    good = start_playbook(kept)
    (folder / name).write_text(text)
    again = start_playbook(kept)
    assert again.reactions.rules == good.reactions.rules
    assert again.compiled.links == good.compiled.links
    (line,) = [r.getMessage() for r in caplog.records]
    assert str(folder / name) in line and said in line and "last good" in line
    with pytest.raises(ValueError) as refused:
        keep_playbook(kept)
    assert said in str(refused.value) and "\n" not in str(refused.value)
    # A damaged copy is no help, and does not hide what is wrong.
    kept.write_text("[1]")
    with pytest.raises(ValueError, match=said):
        start_playbook(kept)


def test_a_file_that_is_gone_and_nothing_kept_is_told(folder: Path, tmp_path: Path) -> None:
    (folder / "reaction_assets.tsv").unlink()
    with pytest.raises(FileNotFoundError, match="reaction_assets"):
        start_playbook(tmp_path / "playbook.json")


def test_of_several_slips_the_first_is_told_and_how_many_more() -> None:
    assert one_line(ValueError("a\nb\nc")) == "a; and 2 more"
    assert one_line(ValueError()) == "ValueError"
