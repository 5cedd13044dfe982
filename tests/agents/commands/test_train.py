from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from agents.analyzer.core import load_model
from agents.analyzer.training import fit_rows, held_out_novelty, labelled_rows
from agents.commands.train import labelled
from agents.main import main
from datasets.recipe.traffic import SAMPLES, read_manifest


def test_training_again_gives_the_shipped_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.npz"
    assert main(["train", "--out", str(out)]) == 0
    made, shipped = load_model(out), load_model()
    assert made.labels == shipped.labels
    assert np.allclose(made.centers, shipped.centers, atol=1e-9)
    assert np.allclose(made.radius, shipped.radius, atol=1e-9)
    assert np.allclose(made.purity, shipped.purity)
    assert (made.sizes == shipped.sizes).all()
    said = capsys.readouterr().out
    assert "SynFlood" in said
    assert "25 clusters, mean purity 0." in said
    # Another processor rounds otherwise, and a network's training amplifies it: the verdicts are
    # the same but for a few at the edge.
    assert made.hybrid is not None and shipped.hybrid is not None
    rows = shipped.hybrid.cases
    before, after = shipped.hybrid.decide(rows), made.hybrid.decide(rows)
    assert (before.outcome == after.outcome).mean() > 0.98
    assert shipped.hybrid.classes == made.hybrid.classes


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nsl-kdd"], "needs a file to learn from and --out FILE"),
        (["nsl-kdd", "x.txt"], "needs a file to learn from and --out FILE"),
        (["nsl-kdd", "x.txt", "--out", "y", "--validate"], "ontoidps evaluate nsl-kdd --validate"),
        (["nsl-kdd", "gone.txt", "--out", "y"], "gone.txt"),
        (["captures", "x.txt"], "x.txt: a second name belongs to 'nsl-kdd' only"),
    ],
)
def test_bad_words_are_one_line(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *words]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_the_number_of_clusters_is_a_choice() -> None:
    """On a part of the samples: enough to fill seven."""
    rows = [labelled(SAMPLES, s) for s in read_manifest(SAMPLES) if "flood" not in s.file]
    model = fit_rows(labelled_rows(rows), clusters=7)
    assert len(model.labels) == len(model.radius) == 7
    assert 0.0 < model.mean_purity <= 1.0
    assert model.sizes.sum() == sum(1 for _ in labelled_rows(rows).labels)
    assert len(held_out_novelty(labelled_rows(rows[:12]), clusters=7)) == 5


@pytest.mark.parametrize("value", ["1", "x", "-3", "100000"])
def test_a_bad_number_of_clusters_is_refused(value: str) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--clusters", value])


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (None, "No such file"),
        ("a\tb\n", "columns must be"),
        (
            "file\tlabel\tattacker\tvictim\tcommand\tsha256\n../x\tNormal\t\t\t\t\n",
            "leaves the folder",
        ),
        ("file\tlabel\tattacker\tvictim\tcommand\tsha256\nx\tNormal\n", "not 6 columns"),
        ("file\tlabel\tattacker\tvictim\tcommand\tsha256\n", "can't fill 25 clusters"),
    ],
)
def test_bad_folders_are_one_line(
    manifest: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if manifest is not None:
        (tmp_path / "manifest.tsv").write_text(manifest)
    assert main(["train", str(tmp_path), "--out", str(tmp_path / "model.npz")]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_missing_capture_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(SAMPLES / "manifest.tsv", tmp_path)
    assert main(["train", str(tmp_path), "--out", str(tmp_path / "model.npz")]) == 1
    assert "benign-browse.pcap.xz" in capsys.readouterr().err
