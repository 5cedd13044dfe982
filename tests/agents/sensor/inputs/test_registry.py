"""Kinds of log by entry point: ours, and another package's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agents.sensor.inputs.events import Options
from agents.sensor.inputs.intake import Intake
from agents.sensor.inputs.registry import InputError, known_inputs, make_parser
from agents.settings.honeynet import Input

PLUGIN = """
from agents.sensor.inputs.events import LineRefused, Plain

class Made(Plain):
    kind = "ownpot"

    def __init__(self, options):
        self.options = options

    def on_line(self, line):
        if line == b"bad":
            raise LineRefused("bad")
        return () if line == b"fine" else ([][7],)
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package as pip leaves it: a module and its metadata on the path."""
    (tmp_path / "ownpot_input.py").write_text(PLUGIN)
    info = tmp_path / "ownpot_input-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ownpot-input\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[ontoidps.inputs]\nownpot = ownpot_input:Made\nbroken = ownpot_input:Nothing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "ownpot_input", raising=False)


@pytest.mark.usefixtures("plugin")
def test_another_packages_kind_is_found_and_allowed_in_the_settings(tmp_path: Path) -> None:
    assert "ownpot" in known_inputs()
    assert Input(kind="ownpot", path=tmp_path / "x").kind == "ownpot"


@pytest.mark.usefixtures("plugin")
def test_a_plugins_mistake_costs_a_line_and_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    intake = Intake(make_parser("ownpot", Options()), sensor="sensor")
    assert intake.on_lines([b"bad", b"fine", b"other", b"other"], "mark", 0) == []
    assert intake.counters["refused.fault"] == 2
    assert (intake.counters["refused.bad"], intake.counters["silent"]) == (1, 1)
    assert caplog.text.count("parser ownpot failed: IndexError") == 1


@pytest.mark.usefixtures("plugin")
def test_what_cannot_be_loaded_is_said_in_one_line() -> None:
    with pytest.raises(InputError, match=r"'broken' can't be loaded"):
        make_parser("broken", Options())
    with pytest.raises(InputError, match=r"no input is called 'x' \(known: .*cowrie"):
        make_parser("x", Options())
