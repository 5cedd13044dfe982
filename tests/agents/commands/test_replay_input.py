import os
from pathlib import Path

import pytest

from agents.commands.replay import shown
from agents.main import main


def test_a_file_name_cant_fake_a_line_or_a_colour() -> None:
    assert shown(Path("a\n  decision  x\x1b[31m")) == "a\\n  decision  x\\x1b[31m"


def test_what_is_no_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("gone", "no such file"), ("", "not a regular"), ("pipe", "not a regular")):
        assert main(["replay", str(tmp_path / name)]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and said in error
