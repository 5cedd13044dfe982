import subprocess
import sys
from pathlib import Path

import pytest

from agents.main import COMMANDS, main


def test_no_command_lists_them_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)


def test_unknown_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bloks"]) == 2
    assert "no command 'bloks'" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert f"usage: ontoidps {name}" in capsys.readouterr().out


def test_bad_input_is_one_line_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x\ny.toml"
    path.write_text("node = 7")
    assert main(["check", str(path)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "node: must be a list (got 7)" in said


def test_a_honeynet_without_a_page_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "honeynet.toml"
    text = '[[node]]\nname = "a"\nagents = ["supervisor", "ontology", "correlation"{}]\n'
    for more, warned in (("", True), (', "console"', False)):
        path.write_text(text.format(more))
        assert main(["check", str(path)]) == 0
        assert ("no node runs a console agent" in capsys.readouterr().err) == warned


def test_installed_command_runs() -> None:
    script = Path(sys.executable).with_name("ontoidps")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ontoidps 0.")


def test_an_interrupt_while_a_command_loads_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("agents.main.import_module", interrupted)
    assert main(["replay", "x"]) == 130
