"""``ontoidps evaluate ablation`` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.main import main

NAMES = ("Sadmind_Ping", "Sadmind_Amslverify_Overflow", "Rsh", "Email_Ehlo")


def alerts(folder: Path) -> Path:
    path = folder / "lldos.csv"
    rows = [
        f"{n},{1000 + 100 * n}.0,,,202.077.162.213,172.016.115.020,{name},,,1,514,,"
        for n, name in enumerate(NAMES, 1)
    ]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_without_attack_models_there_is_no_story(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "out.html"
    words = ["evaluate", "ablation", "--alerts", "realsecure", str(alerts(tmp_path)), "ning"]
    words += ["--source", "attack models", "--source", "network", "--json", "--html", str(page)]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    (whole,) = told["whole"]
    assert (whole["dataset"], whole["recall"], whole["false_incidents"]) == ("lldos", 1.0, 0)
    network, models = told["ablations"]
    # Alerts of others: no network was asked about them.
    assert network["effect"] == "nothing" and told["nothing"] == ["network"]
    # That a scan came before an exploit is known without models; what followed is not.
    assert models["recall"] < 0.7 and models["incidents_lost"] >= 1
    assert "Without network no incident, decision or severity changes." in page.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name captures with --captures DIR, or alerts with --alerts FORMAT FILE"),
        (["--alerts", "snort", "x"], "--alerts snort x: not FORMAT FILE [TRUTH]"),
        (["--alerts", "ait", "x", "--source", "stars"], "--source 'stars': no such source"),
        (["--captures", "."], "GROUND_TRUTH.tsv"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "ablation", *words]) == 1
    error = capsys.readouterr().err
    assert error.startswith("ontoidps evaluate: ") and error.count("\n") == 1
    assert said in error
