from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.main import main
from datasets.recipe.traffic import SAMPLES

PCAPS = Path(os.environ.get("ONTOIDPS_DATA", "")) / "pcaps"
METRICS = {
    "accuracy",
    "detection_rate",
    "false_alarm_rate",
    "uncertain_share",
    "efficiency",
    "per_class",
}


def test_kdd_as_json_and_as_a_page(
    kdd_file: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = kdd_file("kdd", normal=200, neptune=100, smurf=40)
    page, details = tmp_path / "out.html", tmp_path / "out.json"
    words = ["evaluate", "kdd", str(path), "--json", "--html", str(page)]
    assert main([*words, "--details", str(details)]) == 0
    first = json.loads(capsys.readouterr().out)
    assert set(first) == {"dataset", "metrics", "seconds"}
    assert first["dataset"] == "kdd"
    assert set(first["metrics"]) == METRICS
    assert first["seconds"] > 0
    assert page.read_text().count("<svg") == 3
    titles = {table["title"] for table in json.loads(details.read_text())["tables"]}
    assert any(title.startswith("Table 3") for title in titles)
    assert any(title.startswith("Table 4") for title in titles)
    assert main(["evaluate", "kdd", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == first["metrics"]


def test_nsl_kdd_by_a_model_of_its_own_and_by_one_that_train_kept(
    kdd_file: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = kdd_file("train", normal=900, neptune=160, smurf=80, satan=60, rootkit=20)
    test = kdd_file("test", seed=2, normal=100, neptune=40, pod=20)
    model, details = tmp_path / "hybrid.npz", tmp_path / "details.json"
    words = ["evaluate", "nsl-kdd", "--test", str(test), "--json"]
    assert main([*words, "--train", str(train), "--details", str(details)]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert set(trained["metrics"]) == METRICS
    assert trained["metrics"]["per_class"]["DoS"]["new_records"] == 20
    tables = {table["title"]: table for table in json.loads(details.read_text())["tables"]}
    sensors = next(table for title, table in tables.items() if title.startswith("Table 3"))
    assert [row[0] for row in sensors["rows"]] == [1, 2, 4, 8]
    assert main(["train", "nsl-kdd", str(train), "--out", str(model)]) == 0
    said = capsys.readouterr().out
    assert "25 clusters, mean purity" in said
    assert "cases of 1220 records" in said
    assert main([*words, "--model", str(model)]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == trained["metrics"]
    assert main([*words, "--model", str(model), "--validate"]) == 1
    assert "--validate needs --train" in capsys.readouterr().err


def test_captures_of_the_shipped_samples_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["file\tattack\tattacker"]
    for name, attack in (("fin-scan", "FinScan"), ("benign-mail", "none")):
        shutil.copy(SAMPLES / f"{name}.pcap.xz", tmp_path)
        attacker = "192.0.2.66" if attack == "FinScan" else ""
        rows.append(f"{name}.pcap.xz\t{attack}\t{attacker}")
    (tmp_path / "GROUND_TRUTH.tsv").write_text("\n".join(rows) + "\n")
    page = tmp_path / "page.html"
    assert main(["evaluate", "captures", str(tmp_path), "--html", str(page)]) == 0
    html = page.read_text()
    assert html.count("<svg") == 3
    for title in ("Confusion table", "ROC curve", "first two principal components", "Table 4"):
        assert title in html
    text = capsys.readouterr().out
    assert "1 of 1 attacks with right class and attacker." in text
    assert "Confusion table" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["kdd", "missing"], "No such file"),
        (["captures", "."], "GROUND_TRUTH.tsv"),
        (["nsl-kdd", "--model", "bad", "--test", "bad"], "bad:1: 2 columns"),
        (["nsl-kdd", "--train", "bad", "--test", "bad"], "bad:1: 2 columns, expected 42 or 43"),
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
    Path("bad").write_text("1,2\n")
    assert main(["evaluate", *words]) == 1
    error = capsys.readouterr().err
    assert error.startswith("ontoidps evaluate: ")
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.data
def test_the_real_captures(capsys: pytest.CaptureFixture[str]) -> None:
    """Required: 95 % of the attacks with right class and attacker, and quiet on benign traffic."""
    if not PCAPS.is_dir():
        pytest.skip("ONTOIDPS_DATA names no folder with pcaps")
    assert main(["evaluate", "captures", str(PCAPS), "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert metrics["false_alarm_rate"] == 0
    attacks = [c for name, c in metrics["per_class"].items() if name != "normal"]
    found = sum(c["classified"] * c["records"] for c in attacks)
    assert found >= 0.95 * sum(c["records"] for c in attacks)
