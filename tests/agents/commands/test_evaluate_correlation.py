"""``ontoidps evaluate correlation`` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.main import main

NAMES = ("Sadmind_Ping", "Sadmind_Amslverify_Overflow", "Rsh", "Email_Ehlo")


def test_an_attack_in_four_alerts_of_realsecure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, page = tmp_path / "lldos.csv", tmp_path / "out.html"
    rows = [
        f"{n},{1000 + 100 * n}.0,,,202.077.162.213,172.016.115.020,{name},,,1,514,,"
        for n, name in enumerate(NAMES, 1)
    ]
    path.write_text("\n".join(rows) + "\n")
    words = ["evaluate", "correlation", "--format", "realsecure", str(path)]
    assert main([*words, "--truth", "ning", "--json", "--html", str(page)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["dataset"] == "lldos"
    metrics = told["metrics"]
    assert (metrics["alerts"], metrics["junior"], metrics["fused"]) == (4, 4, 4)
    assert metrics["completeness"] == metrics["soundness"] == 1.0
    assert metrics["false_alert_rate"] == 0.0
    story = max(told["incidents"], key=lambda one: len(one["alert_ids"]))
    assert story["phases"] == ["sadmind-probe", "sadmind-overflow", "install-mstream"]
    assert story["sources"] == ["202.77.162.213"] and story["targets"] == ["172.16.115.20"]
    assert story["alert_ids"] == ["1", "2", "3"]
    assert {"from": "2", "to": "3", "rule": "SadmindOverflowThenInstallMstream"} in story["edges"]
    assert "<svg" in page.read_text()


def test_a_file_of_another_form_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("1,2\n")
    assert main(["evaluate", "correlation", "--format", "realsecure", str(path)]) != 0
    assert "x.csv:1: 2 columns" in capsys.readouterr().err
