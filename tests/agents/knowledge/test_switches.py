"""What operators switched by hand is there after a restart, and never more than fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.knowledge.switches import MAX_SWITCHES, Switch, Switches

OFF = Switch(False, "user:ana: too loud", 5)


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    switches = Switches(tmp_path / "rules")
    switches.keep(switches.after("A", OFF))
    again = Switches(tmp_path / "rules")
    assert again.by_label == {"A": OFF} and again.wanted() == {"A": False}


def test_there_is_an_end_to_them(tmp_path: Path) -> None:
    switches = Switches(tmp_path)
    switches.keep({f"R{n}": OFF for n in range(MAX_SWITCHES)})
    assert len(switches.after("R1", OFF)) == MAX_SWITCHES
    with pytest.raises(ValueError, match="1000 rules"):
        switches.after("one more", OFF)


@pytest.mark.parametrize("text", ["{", "[]", '{"A": 1}', '{"A": {"on": 1, "why": "", "x": 2}}'])
def test_a_damaged_file_switches_nothing_and_is_told(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "switches.json").write_text(text)
    assert Switches(tmp_path).by_label == {}
    assert "no rule is switched by hand" in caplog.text
